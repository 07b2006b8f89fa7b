"""The kinds of field an event can have: how each is read from JSON, and how each is described in JSON Schema.

An event Struct names the kind of each of its fields with ``Annotated``; the codec and the schema generator both
read it from there, so a field has one definition.
"""

import re
from collections.abc import Callable
from typing import Annotated, Any, Final, cast

import msgspec

from schemas.money import (
    MICROS_MAX,
    MONEY_CHARACTERS_MAX,
    MoneyError,
    format_money,
    format_percent,
    format_rate,
    parse_money,
    parse_percent,
    parse_rate,
    shorten,
)
from schemas.reasons import Reason
from schemas.times import TIME_PATTERN, TimeError, parse_time, zone

TEXT_CHARACTERS_MAX: Final = 1024
EMAILS_MAX: Final = 50
USERS_MAX: Final = 100
RULES_MAX: Final = 100
WARNINGS_MAX: Final = 20
USAGE_TYPES_MAX: Final = 200
COUNT_MAX: Final = MICROS_MAX
DURATION_SECONDS_MAX: Final = 100 * 366 * 86_400  # a century: sums of instants and durations stay in range
DAYS_MAX: Final = 36_600

JsonSchema = dict[str, Any]  # a JSON Schema fragment is arbitrary JSON


class FieldError(ValueError):
    """A field that cannot be read: the reason code, and what was expected and found."""

    def __init__(self, reason: Reason, message: str) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message


class Kind(msgspec.Struct, frozen=True, eq=False):
    """How a field is read: ``read`` takes the JSON value and gives the canonical one or raises FieldError."""

    read: Callable[[object], object]
    schema: JsonSchema


def describe(value: object) -> str:
    """A JSON value as it would be named in a message."""
    match value:
        case None:
            return "null"
        case bool():
            return "true" if value else "false"
        case str():
            return repr(shorten(value))
        case JsonFloat():
            return f"the number {shorten(value.text)}"
        case int():
            return f"the number {value}" if abs(value) < 10**30 else "a number that is too large"
        case list():
            return "an array"
        case _:
            return "an object"


class JsonFloat(msgspec.Struct, frozen=True):
    """A JSON number with a point or an exponent, kept as text: no field accepts one, messages show it."""

    text: str


ID_CHARACTERS_MAX: Final = 128


def is_visible(text: str) -> bool:
    """Whether text is 1 to 128 printable characters without spaces: what an id may be."""
    return 0 < len(text) <= ID_CHARACTERS_MAX and text.isprintable() and " " not in text


def bad(expected: str, value: object, reason: Reason = Reason.BAD_FIELD) -> FieldError:
    """A FieldError that says what was expected and what was found."""
    return FieldError(reason, f"expected {expected}, found {describe(value)}")


def _id(reason: Reason) -> Callable[[object], str]:
    def read(value: object) -> str:
        if type(value) is not str or not is_visible(value):
            raise bad("1 to 128 visible characters without spaces", value, reason)
        return value

    return read


def _time(value: object) -> int:
    if type(value) is not str:
        raise bad("an RFC 3339 time such as 2026-01-31T10:00:00Z", value, Reason.BAD_TIME)
    try:
        return parse_time(value)
    except TimeError as error:
        raise FieldError(Reason.BAD_TIME, str(error)) from None


def _money(least: int | None) -> Callable[[object], int]:
    def read(value: object) -> int:
        if type(value) is not str:
            raise bad('money as a decimal string such as "0.12"', value, Reason.BAD_AMOUNT)
        try:
            return check_least(parse_money(value), least)
        except MoneyError as error:
            raise FieldError(Reason.BAD_AMOUNT, str(error)) from None

    return read


def _micros(least: int | None) -> Callable[[object], int]:
    def read(value: object) -> int:
        if type(value) is not int or not -MICROS_MAX <= value <= MICROS_MAX:
            raise bad("a whole number of micro-units in 63 bits", value, Reason.BAD_AMOUNT)
        return check_least(value, least)

    return read


def check_least(micros: int, least: int | None) -> int:
    """The amount itself; raises FieldError where it is below what its field allows."""
    if least is not None and micros < least:
        expected = "an amount above 0" if least else "an amount of 0 or more"
        raise FieldError(Reason.BAD_AMOUNT, f"{expected} is needed, found {micros} micro-units")
    return micros


def _whole(least: int, most: int) -> Callable[[object], int]:
    def read(value: object) -> int:
        if type(value) is not int or not least <= value <= most:
            raise bad(f"a whole number from {least} to {most}", value)
        return value

    return read


def _percent(value: object) -> int:
    try:
        if type(value) not in (str, int):
            raise bad('a percentage such as 90 or "12.5"', value)
        percent = parse_percent(cast("str | int", value))
    except MoneyError as error:
        raise FieldError(Reason.BAD_FIELD, str(error)) from None
    return percent


def _boolean(value: object) -> bool:
    if type(value) is not bool:
        raise bad("true or false", value)
    return value


def _text(value: object) -> str:
    if type(value) is not str or len(value) > TEXT_CHARACTERS_MAX:
        raise bad(f"text of at most {TEXT_CHARACTERS_MAX} characters", value)
    return value


def _pattern(pattern: str, expected: str) -> Kind:
    match = re.compile(pattern).fullmatch

    def read(value: object) -> str:
        if type(value) is not str or match(value) is None:
            raise bad(expected, value)
        return value

    return Kind(read, {"type": "string", "pattern": f"^{pattern}$"})


def _email(value: object) -> str:
    if type(value) is not str or len(value) > 254 or not value.isprintable() or _EMAIL(value) is None:
        raise bad("an e-mail address such as ops@example.net", value)
    return value


def _zone(value: object) -> str:
    if type(value) is not str:
        raise bad("an IANA time zone such as Europe/Kyiv", value)
    try:
        zone(value)
    except TimeError as error:
        raise FieldError(Reason.BAD_FIELD, str(error)) from None
    return value


def _rate(value: object) -> str:
    if type(value) is not str:
        raise bad('a rate as a decimal string such as "1.0842"', value, Reason.BAD_RATE)
    try:
        return format_rate(parse_rate(value))
    except MoneyError as error:
        raise FieldError(Reason.BAD_RATE, str(error)) from None


def _warning(value: object) -> str:
    if type(value) is not str:
        raise bad('an amount such as "5" or a percentage such as "90%"', value, Reason.BAD_AMOUNT)
    try:
        if value.endswith("%"):
            return f"{format_percent(parse_percent(value[:-1]))}%"
        return format_money(parse_money(value))
    except MoneyError as error:
        raise FieldError(Reason.BAD_AMOUNT, str(error)) from None


_EMAIL_PATTERN: Final = r'[^@\s<>,;"]+@[^@\s<>,;"]+'
_EMAIL = re.compile(_EMAIL_PATTERN).fullmatch
_VISIBLE_SCHEMA: JsonSchema = {"type": "string", "minLength": 1, "maxLength": 128, "pattern": r"^\S+$"}
MONEY_POSITIVE_PATTERN: Final = r"^(?=.*[1-9])[0-9]+(\.[0-9]{1,6})?$"


def _money_schema(pattern: str) -> JsonSchema:
    return {"type": "string", "maxLength": MONEY_CHARACTERS_MAX, "pattern": pattern}


_MONEY_SCHEMA = _money_schema(r"^-?[0-9]+(\.[0-9]{1,6})?$")
_UNSIGNED_SCHEMA = _money_schema(r"^(-(?=[0.]+$))?[0-9]+(\.[0-9]{1,6})?$")
_PERCENT_SCHEMA: JsonSchema = {
    "type": ["integer", "string"],
    "minimum": 0,
    "maximum": 10**12 - 1,
    "pattern": r"^[0-9]{1,12}(\.[0-9]{1,6})?$",
}


def _whole_schema(least: int, most: int) -> JsonSchema:
    return {"type": "integer", "minimum": least, "maximum": most}


IDENTITY: Final = Kind(_id(Reason.BAD_ID), _VISIBLE_SCHEMA)
TIME: Final = Kind(_time, {"type": "string", "format": "date-time", "pattern": f"^{TIME_PATTERN}$"})

Identity = Annotated[str, IDENTITY]
Id = Annotated[str, Kind(_id(Reason.BAD_FIELD), _VISIBLE_SCHEMA)]
Time = Annotated[int, TIME]
Money = Annotated[int, Kind(_money(None), _MONEY_SCHEMA)]
MoneyUnsigned = Annotated[int, Kind(_money(0), _UNSIGNED_SCHEMA)]
MoneyPositive = Annotated[int, Kind(_money(1), _money_schema(MONEY_POSITIVE_PATTERN))]
Percent = Annotated[int, Kind(_percent, _PERCENT_SCHEMA)]
Count = Annotated[int, Kind(_whole(0, COUNT_MAX), _whole_schema(0, COUNT_MAX))]
CountPositive = Annotated[int, Kind(_whole(1, COUNT_MAX), _whole_schema(1, COUNT_MAX))]
Duration = Annotated[int, Kind(_whole(0, DURATION_SECONDS_MAX), _whole_schema(0, DURATION_SECONDS_MAX))]
DurationPositive = Annotated[int, Kind(_whole(1, DURATION_SECONDS_MAX), _whole_schema(1, DURATION_SECONDS_MAX))]
Days = Annotated[int, Kind(_whole(0, DAYS_MAX), _whole_schema(0, DAYS_MAX))]
CycleDay = Annotated[int, Kind(_whole(1, 28), _whole_schema(1, 28))]
SortOrder = Annotated[int, Kind(_whole(-(2**31), 2**31), _whole_schema(-(2**31), 2**31))]
Boolean = Annotated[bool, Kind(_boolean, {"type": "boolean"})]
Text = Annotated[str, Kind(_text, {"type": "string", "maxLength": TEXT_CHARACTERS_MAX})]
CURRENCY_PATTERN: Final = r"[A-Z][A-Z0-9]{2,7}"
Currency = Annotated[str, _pattern(CURRENCY_PATTERN, "a currency code such as EUR")]
Language = Annotated[
    str, _pattern(r"[A-Za-z]{2,8}([-_][A-Za-z0-9]{1,8}){0,4}", "a language tag such as uk or pt-BR")
]
Phone = Annotated[str, _pattern(r"\+?[0-9][0-9 ()./-]{0,31}", "a phone number such as +380441234567")]
Email = Annotated[str, Kind(_email, {"type": "string", "maxLength": 254, "pattern": f"^{_EMAIL_PATTERN}$"})]
TimeZone = Annotated[str, Kind(_zone, {"type": "string"})]
Rate = Annotated[str, Kind(_rate, {"type": "string", "pattern": r"^(?=.*[1-9])[0-9]{1,18}(\.[0-9]{1,12})?$"})]
Warning = Annotated[str, Kind(_warning, {"type": "string", "pattern": r"^-?[0-9]+(\.[0-9]{1,6})?%?$"})]


class Most(msgspec.Struct, frozen=True):
    """The most items an array field may have."""

    items: int


MICROS_KINDS: Final = {
    id(kind): Kind(_micros(least), {"type": "integer", "minimum": low, "maximum": MICROS_MAX})
    for annotated, least, low in ((Money, None, -MICROS_MAX), (MoneyUnsigned, 0, 0), (MoneyPositive, 1, 1))
    for kind in annotated.__metadata__  # type: ignore[attr-defined]  # Annotated keeps its metadata there
}
"""By kind of ``amount``: how ``amount_micros`` is read."""
