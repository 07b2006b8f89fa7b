"""From a call, whatever switch it came from, to the bytes of a charge event.

A call that was not answered, or lasted no whole second and carries no price of its own, owes nothing and is
skipped: a charge of zero would change no money and only fill the log.
"""

from typing import Final, Literal

import msgspec

from engine.importers.rating import RateTable
from engine.importers.rows import Imported, Row, RowError, Skipped
from schemas.codec import decode
from schemas.money import MoneyError, format_money, parse_money
from schemas.reasons import Refusal
from schemas.times import format_time

_SECONDS_MAX: Final = 366 * 86_400  # a call longer than a year is a broken clock, not a call


class Terms(msgspec.Struct, frozen=True):
    """How calls become charges, the same for every format.

    ``source``: the name of the switch, else its own. ``currency``: of the amounts (None: the client's own).
    ``rates``: prices calls that carry no amount. ``client_field``, ``amount_field``, ``destination_field``: other
    fields of the record than the usual ones; there is no usual one for the amount.
    """

    source: str | None = None
    currency: str | None = None
    usage_type: str = "call"
    rates: RateTable | None = None
    client_field: str | None = None
    amount_field: str | None = None
    destination_field: str | None = None


class Call(msgspec.Struct, frozen=True, gc=False):
    """One call, or other usage, as a switch recorded it. ``quantity`` is in ``unit``; instants in microseconds.

    ``answered_at`` None: it was not answered. ``amount`` in micro-units where the switch has rated it.
    """

    source: str
    id: str
    client: str
    ended_at: int
    answered_at: int | None
    quantity: int
    destination: str
    amount: int | None = None
    usage_type: str | None = None
    currency: str | None = None
    unit: Literal["event", "second", "byte"] = "second"


_encode = msgspec.json.Encoder().encode


def row_of(call: Call, terms: Terms, place: str) -> Row:
    """The row of a call: its charge, or skipped. Raises RowError where it cannot be priced or named."""
    if call.unit == "second" and not 0 <= call.quantity <= _SECONDS_MAX:
        raise RowError(f"expected a duration from 0 to {_SECONDS_MAX} seconds, found {call.quantity}")
    if call.amount is None and (call.answered_at is None or call.quantity == 0):
        return Skipped(place, "unanswered")
    amount, usage_type = _priced(call, terms)
    event: dict[str, object] = {
        "type": "charge",
        "id": call.id,
        "source": call.source,
        "client": call.client,
        "time": format_time(call.ended_at),
        "amount": format_money(amount),
    }
    currency = call.currency or terms.currency
    if currency is not None:
        event["currency"] = currency
    started_at = call.ended_at if call.answered_at is None else call.answered_at
    event["usage"] = {
        "type": usage_type,
        "quantity": call.quantity,
        "unit": call.unit,
        "started_at": format_time(started_at),
    }
    return Imported(place, checked(event))


def checked(event: dict[str, object]) -> bytes:
    """The bytes of an event that every door will take; raises RowError with the door's own sentence otherwise."""
    raw = _encode(event)
    verdict = decode(raw, unknown_refused=True)
    if isinstance(verdict, Refusal):
        raise RowError(verdict.message)
    return raw


def amount_of(text: str) -> int:
    """Micro-units of an amount that the switch wrote; raises RowError with what was expected and found."""
    try:
        return parse_money(text)
    except MoneyError as error:
        raise RowError(f"amount: {error}") from None


def whole_number(text: str, what: str) -> int:
    """A whole number >= 0 of at most 18 digits; raises RowError with what was expected and found."""
    if not (text.isascii() and text.isdigit() and len(text) <= 18):
        raise RowError(f"{what}: expected a whole number, found {text[:40]!r}")
    return int(text)


def _priced(call: Call, terms: Terms) -> tuple[int, str]:
    if call.amount is not None:
        return call.amount, call.usage_type or terms.usage_type
    if terms.rates is None:
        raise RowError("the record carries no amount: expected a table of rates to price it, or a field that has it")
    if call.unit != "second":
        raise RowError(f"expected an amount: rates price seconds, and this usage is in {call.unit}")
    rate = terms.rates.rate_of(call.destination)
    if rate is None:
        raise RowError(f"expected a destination that a prefix of the rates covers, found {call.destination[:40]!r}")
    return rate.price_micros(call.quantity), call.usage_type or rate.usage_type or terms.usage_type
