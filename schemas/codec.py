"""JSON bytes to events and back: one flat object an event, one line an output (contract).

``decode`` never raises for what somebody sent: it gives the event or the Refusal that says why not.
"""

import json
from collections.abc import Iterable, Sequence
from typing import Annotated, Final, Literal, NoReturn

import msgspec

from schemas.checks import check_event
from schemas.events import EVENT_TYPES, AnyEvent, Charge, TransferLeg, TransferOutcome, Usage
from schemas.fields import ID_CHARACTERS_MAX, Currency, FieldError, JsonFloat, describe, is_visible
from schemas.money import MICROS_MAX, parse_money
from schemas.readers import JsonObject, Problems, read_event, reader_of, tag_of
from schemas.reasons import Reason, Refusal
from schemas.times import MINUTES, SECONDS, TimeError, parse_time

_TYPES: Final = {tag_of(cls): cls for cls in EVENT_TYPES}
_ENGINE_ONLY: Final = frozenset({tag_of(TransferLeg), tag_of(TransferOutcome)})
_NESTING_MAX: Final = 200
_POINT: Final = slice(-7, -6)  # with all six digits of a fraction written, the digits alone are the micro-units
_PLAIN_MIN: Final = 8
_PLAIN_MAX: Final = 19  # characters: far from the bound of 63 bits


_Name = Annotated[str, msgspec.Meta(min_length=1, max_length=ID_CHARACTERS_MAX)]
_Unsigned = Annotated[int, msgspec.Meta(ge=0, le=MICROS_MAX)]


class _UsageWire(msgspec.Struct, frozen=True, gc=False, forbid_unknown_fields=True):
    type: _Name
    quantity: _Unsigned
    unit: Literal["event", "second", "byte"]
    started_at: str | None = None


class _ChargeWire(msgspec.Struct, frozen=True, gc=False, forbid_unknown_fields=True):
    type: Literal["charge"]  # a field, not a tag: msgspec takes an object without its tag
    id: _Name
    source: _Name
    client: _Name
    time: str
    amount: str | None = None
    amount_micros: _Unsigned | None = None
    currency: str | None = None
    usage: _UsageWire | None = None
    at: str | None = None


class Line(msgspec.Struct, frozen=True):
    """A line of a replay file: the event or why not, and its log time where one could be read."""

    event: AnyEvent | Refusal
    at: int | None


_decode_charge = msgspec.json.Decoder(_ChargeWire).decode
_read_currency = reader_of(Currency)


def decode(raw: bytes, *, unknown_refused: bool = False, engine: bool = False) -> AnyEvent | Refusal:
    """The event of one JSON object, or the Refusal with the first reason in the contract's order.

    ``unknown_refused``: unknown fields are an error (at a door), not ignored (on the log). ``engine``: the record
    carries the engine's own mark, so that types which only the engine writes are allowed.
    """
    return decode_charges((raw,))[0] or _decode_any(raw, unknown_refused, engine)[0]


def decode_all(raws: Sequence[bytes]) -> list[AnyEvent | Refusal]:
    """``decode`` of everything that came in at a door, with fewer calls."""
    return [
        charge or _decode_any(raw, unknown_refused=True, engine=False)[0]
        for charge, raw in zip(decode_charges(raws), raws, strict=True)
    ]


def decode_line(raw: bytes) -> Line:
    """The event of a replay line with its log time: ``at`` where given, else ``time``."""
    charge = decode_charges((raw,))[0]
    if charge is not None and b'"at"' not in raw and b"\\" not in raw:  # a name may be written with escapes
        return Line(charge, charge.time)
    event, values = _decode_any(raw, unknown_refused=False, engine=False)
    if values is None:
        return Line(event, None)
    name = "at" if values.get("at") is not None else "time"
    try:
        at = _read_time(values.get(name))
    except FieldError as error:
        if isinstance(event, Refusal) and event.reason.number <= Reason.BAD_TIME.number:
            return Line(event, None)
        return Line(Refusal(Reason.BAD_TIME, f"{name}: {error.message}"), None)
    return Line(event, at)


def _read_time(value: object) -> int:
    if type(value) is not str:
        raise FieldError(Reason.BAD_TIME, f"expected an RFC 3339 time, found {describe(value)}")
    try:
        return parse_time(value)
    except TimeError as error:
        raise FieldError(Reason.BAD_TIME, str(error)) from None


def decode_charges(raws: Iterable[bytes]) -> list[Charge | None]:
    """Of each, the charge if it is a well-formed one, or None for anything else: ``decode`` then finds what it is.

    The usual forms of amount and time are read in place: this is done for every event.
    """
    charges: list[Charge | None] = []
    append, known_minute, whole_second = charges.append, MINUTES.get, SECONDS.get
    for raw in raws:
        try:
            wire = _decode_charge(raw)
            id, source, client, text, time = wire.id, wire.source, wire.client, wire.amount, wire.time
            if (
                text is not None
                and wire.amount_micros is None
                and text[_POINT] == "."
                and _PLAIN_MIN <= len(text) <= _PLAIN_MAX
                and text.isascii()
                and (digits := text.replace(".", "", 1)).isdigit()
            ):
                amount = int(digits)
            else:
                amount = _amount_of(text, wire.amount_micros)
            names = f"{id}{source}{client}"
            if not names.isprintable() or " " in names:  # ``is_visible`` of all three, for the price of one
                append(None)
                continue
            minute, second = known_minute(time[:17]), whole_second(time[17:])
            at = parse_time(time) if minute is None or second is None else minute + second
            if wire.currency is not None:
                _read_currency(wire.currency)
            append(
                Charge(
                    id=id,
                    source=source,
                    client=client,
                    time=at,
                    amount=amount,
                    currency=wire.currency,
                    usage=None if wire.usage is None else _usage(wire.usage, at),
                )
            )
        except (msgspec.MsgspecError, ValueError, TypeError, RecursionError):
            append(None)
    return charges


def _amount_of(text: str | None, micros: int | None) -> int:
    """An amount in any form. Raises ValueError where it is none, or two."""
    if text is None and micros is not None:
        return micros
    if text is None or micros is not None or not text.isascii():
        raise ValueError
    amount = int(parse_money(text))
    if amount < 0:
        raise ValueError
    return amount


def _usage(wire: _UsageWire, time: int) -> Usage:
    if not is_visible(wire.type):
        raise ValueError
    started_at = time if wire.started_at is None else parse_time(wire.started_at)
    return Usage(type=wire.type, quantity=wire.quantity, unit=wire.unit, started_at=started_at)


def _decode_any(raw: bytes, unknown_refused: bool, engine: bool) -> tuple[AnyEvent | Refusal, JsonObject | None]:
    values = parse_object(raw)
    if isinstance(values, Refusal):
        return values, None
    tag = values.get("type")
    cls = _TYPES.get(tag) if isinstance(tag, str) else None
    if cls is None or (tag in _ENGINE_ONLY and not engine):
        known = "is written by the engine only" if cls is not None else "is not a type of event"
        return Refusal(Reason.UNKNOWN_TYPE, f"type: {describe(tag)} {known}"), values
    problems = Problems()
    event = read_event(cls, values, unknown_refused=unknown_refused, problems=problems)
    if event is None:
        first = problems.first()
        assert first is not None
        return first, values
    if isinstance(event, Charge) and event.usage is not None and event.usage.started_at is None:
        usage = msgspec.structs.replace(event.usage, started_at=event.time)
        event = msgspec.structs.replace(event, usage=usage)
    return check_event(event) or event, values


def parse_object(raw: bytes) -> JsonObject | Refusal:
    """The JSON object of ``raw``, numbers with a point or exponent kept as text; or why it is none."""
    try:
        text = raw.decode()
        value = json.loads(text, parse_float=JsonFloat, parse_constant=_refuse_constant)
        _check_unicode(value)
    except UnicodeDecodeError as error:
        return Refusal(Reason.MALFORMED, f"expected JSON in UTF-8, found a bad byte at {error.start}")
    except RecursionError:
        return Refusal(Reason.MALFORMED, "expected a flat JSON object, found one nested too deeply")
    except UnicodeEncodeError:
        return Refusal(Reason.MALFORMED, "expected JSON text, found half a surrogate pair")
    except ValueError as error:
        return Refusal(Reason.MALFORMED, f"expected one JSON object, found no JSON: {str(error)[:120]}")
    if not isinstance(value, dict):
        return Refusal(Reason.MALFORMED, f"expected one JSON object, found {describe(value)}")
    return value


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def _check_unicode(value: object, depth: int = 0) -> None:
    """Raises UnicodeEncodeError where a string holds half a surrogate pair, RecursionError past the nesting limit."""
    if depth > _NESTING_MAX:
        raise RecursionError
    if isinstance(value, str):
        value.encode()
    elif isinstance(value, dict):
        for name, item in value.items():
            name.encode()
            _check_unicode(item, depth + 1)
    elif isinstance(value, list):
        for item in value:
            _check_unicode(item, depth + 1)
