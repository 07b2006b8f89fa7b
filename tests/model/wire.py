"""Lines of a log as JSON objects, and the reading of their fields with the refusals of the contract."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, NoReturn

from .values import (
    MONEY_MAX,
    Refused,
    parse_currency,
    parse_key,
    parse_micros,
    parse_money,
    parse_percent,
    parse_rate,
    parse_time,
    zone_names,
)

# JSON is what it is: every value of a line is Any until a Reader has looked at it.
Object = dict[str, Any]

ECHO_MAX = 64 * 1024
CHANNELS = ("email", "sms")
PRECEDENCE = (
    "malformed",
    "unknown_type",
    "missing_field",
    "bad_id",
    "bad_time",
    "bad_amount",
    "bad_field",
    "bad_rate",
)


@dataclass(frozen=True)
class Inexact:
    """A JSON number with a fraction or an exponent: kept as text, good for nothing."""

    text: str


@dataclass(frozen=True)
class Line:
    """One line: `fields` is None if it is no JSON object; `echo` is what a rejection gives back."""

    fields: Object | None
    echo: object


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON")


def decode(raw: bytes, first: bool) -> Line | None:
    """The line as an object; None for a blank one. A byte order mark is skipped on the first line."""
    if first:
        raw = raw.removeprefix(b"\xef\xbb\xbf")
    raw = raw.strip(b" \t\r\n")
    if not raw:
        return None
    try:
        text = raw.decode("utf-8")
        plain = json.loads(text, parse_constant=_refuse_constant)
        json.dumps(plain, ensure_ascii=False).encode("utf-8")  # a lone surrogate is no text
        fields = json.loads(text, parse_float=Inexact)
    except (ValueError, RecursionError):
        return Line(None, _shortened(raw.decode("utf-8", errors="replace")))
    if not isinstance(plain, dict):
        return Line(None, _shortened(text))
    return Line(fields, _shortened(plain))


def _shortened(value: object) -> object:
    """The value itself, or, when it is over 64 KiB, with its longest strings cut, saying so."""
    while _size(value) > ECHO_MAX:
        longest = max(_strings(value), key=len, default="")
        if len(longest) < 256:
            return value
        value = _replaced(value, longest, longest[: len(longest) // 3] + f"… [cut from {len(longest)} characters]")
    return value


def _size(value: object) -> int:
    return len(json.dumps(value, ensure_ascii=False).encode("utf-8"))


def _strings(value: object) -> list[str]:
    if isinstance(value, str):
        return [value]
    items = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return [text for item in items for text in _strings(item)]


def _replaced(value: object, old: str, new: str) -> object:
    if isinstance(value, dict):
        return {key: _replaced(item, old, new) for key, item in value.items()}
    if isinstance(value, list):
        return [_replaced(item, old, new) for item in value]
    return new if value == old else value


class Reader:
    """Reads the fields of one object and collects what is wrong with them.

    Each method gives a usable stand-in after a problem, so that everything wrong is found; `check`
    then refuses with the reason that comes first in the contract's list. Null is missing everywhere.
    """

    def __init__(self, fields: Object, problems: list[tuple[str, str]] | None = None) -> None:
        self.fields = fields
        self.problems: list[tuple[str, str]] = [] if problems is None else problems

    def fail(self, reason: str, message: str) -> None:
        self.problems.append((reason, message))

    def check(self) -> None:
        """Raise the first reason of the contract's list, if there is any."""
        if self.problems:
            raise Refused(*min(self.problems, key=lambda problem: PRECEDENCE.index(problem[0])))

    def raw(self, name: str) -> Any:  # any JSON value
        return self.fields.get(name)

    def within(self, value: object, name: str) -> Reader | None:
        """A reader of a nested object that reports to this one."""
        if value is None:
            return None
        if not isinstance(value, dict):
            self.fail("bad_field", f"{name} is not an object")
            return None
        return Reader(value, self.problems)

    def nested(self, name: str) -> Reader | None:
        return self.within(self.raw(name), name)

    def _scalar(self, name: str, parsed: Any, reason: str, required: bool) -> Any:
        """The parsed value, with a problem noted if it is absent and required, or does not parse."""
        if self.raw(name) is None:
            if required:
                self.fail("missing_field", f"{name} is missing")
        elif parsed is None:
            self.fail(reason, f"{name} cannot be read: {self.raw(name)!r:.80}")
        return parsed

    # The common identifiers have a reason of their own, absent or bad.
    def identity(self, name: str) -> str:
        value = parse_key(self.raw(name))
        if value is None:
            self.fail("bad_id", f"{name} must be 1 to 128 visible characters")
        return value or ""

    def key(self, name: str) -> str:
        """A required identifier."""
        return self._scalar(name, parse_key(self.raw(name)), "bad_field", required=True) or ""

    def reference(self, name: str) -> str | None:
        """An optional identifier."""
        value: str | None = self._scalar(name, parse_key(self.raw(name)), "bad_field", required=False)
        return value

    def text(self, name: str) -> str | None:
        raw = self.raw(name)
        value: str | None = self._scalar(name, raw if isinstance(raw, str) else None, "bad_field", required=False)
        return value

    def string(self, name: str) -> str:
        """A required string."""
        raw = self.raw(name)
        return self._scalar(name, raw if isinstance(raw, str) else None, "bad_field", required=True) or ""

    def flag(self, name: str) -> bool:
        raw = self.raw(name)
        return bool(self._scalar(name, raw if isinstance(raw, bool) else None, "bad_field", required=False))

    def whole(self, name: str, required: bool = False, low: int = 0, high: int = MONEY_MAX) -> int | None:
        """A whole JSON number in [low, high]."""
        raw = self.raw(name)
        good = isinstance(raw, int) and not isinstance(raw, bool) and low <= raw <= high
        value: int | None = self._scalar(name, raw if good else None, "bad_field", required)
        return value

    def choice(self, name: str, options: tuple[str, ...], default: str | None = None) -> str:
        """One of the options; without a default it is required."""
        raw = self.raw(name)
        value = raw if isinstance(raw, str) and raw in options else None
        return self._scalar(name, value, "bad_field", required=default is None) or default or options[0]

    def currency(self, name: str, required: bool = False) -> str | None:
        value: str | None = self._scalar(name, parse_currency(self.raw(name)), "bad_field", required)
        return value

    def zone(self, name: str) -> str:
        raw = self.raw(name)
        good = isinstance(raw, str) and raw in zone_names()
        return self._scalar(name, raw if good else None, "bad_field", required=False) or "UTC"

    def time(self, name: str) -> int | None:
        value: int | None = self._scalar(name, parse_time(self.raw(name)), "bad_time", required=False)
        return value

    def percent(self, name: str, required: bool = False) -> int | None:
        value: int | None = self._scalar(name, parse_percent(self.raw(name)), "bad_field", required)
        if value is not None and value < 0:
            self.fail("bad_field", f"{name} is below zero")
        return value

    def rate(self, name: str) -> int:
        return self._scalar(name, parse_rate(self.raw(name)), "bad_rate", required=True) or 1

    def money(self, name: str, required: bool = False) -> int | None:
        """A decimal string that is no event amount: a limit, a threshold, a cap."""
        value: int | None = self._scalar(name, parse_money(self.raw(name)), "bad_amount", required)
        return value

    def amount(self, required: bool = True, low: int = 1) -> int | None:
        """The event's own amount, from `amount` or `amount_micros`, exactly one of the two."""
        text, micros = self.raw("amount"), self.raw("amount_micros")
        if text is None and micros is None:
            if required:
                self.fail("bad_amount", "an amount is missing")
            return None
        value = None
        if text is not None and micros is not None:
            self.fail("bad_amount", "the amount is given twice")
        else:
            value = parse_micros(micros) if text is None else parse_money(text)
            if value is None:
                self.fail("bad_amount", f"the amount cannot be read: {text if micros is None else micros!r:.80}")
            elif value < low:
                self.fail("bad_amount", "the amount is too small for this event")
        return value

    def items(self, name: str) -> list[Any]:
        raw = self.raw(name)
        if raw is not None and not isinstance(raw, list):
            self.fail("bad_field", f"{name} is not a list")
        return raw if isinstance(raw, list) else []

    def texts(self, name: str) -> tuple[str, ...]:
        """A list of strings."""
        items = self.items(name)
        if not all(isinstance(item, str) for item in items):
            self.fail("bad_field", f"{name} is not a list of strings")
        return tuple(item for item in items if isinstance(item, str))

    def keys(self, name: str) -> tuple[str, ...]:
        """A list of identifiers."""
        items = self.items(name)
        if any(parse_key(item) is None for item in items):
            self.fail("bad_field", f"{name} is not a list of identifiers")
        return tuple(item for item in items if isinstance(item, str))

    def channels(self, name: str) -> tuple[str, ...]:
        """Channels, e-mail first whatever the spelling; e-mail alone by default."""
        if self.raw(name) is None:
            return ("email",)
        items = self.items(name)
        if any(item not in CHANNELS for item in items):
            self.fail("bad_field", f"{name} knows only email and sms")
        return tuple(channel for channel in CHANNELS if channel in items)
