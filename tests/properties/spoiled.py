"""Lines that cannot be taken: no JSON, no such type, fields that are absent or cannot be read."""

import json
from typing import Final

from schemas.times import SECOND, format_time
from tests.properties.dice import Dice, happens, pick
from tests.properties.drafts import Json

NO_JSON: Final = (b"{", b"[]", b"7", b'"text"', b"\xff\xfe{}", b'{"a":NaN}', b"[" * 300, b"null", b'{"type":"tick"')
BAD_VALUES: Final[tuple[tuple[str, object], ...]] = (
    ("amount", 1.5),
    ("amount", "1.0000001"),
    ("amount", "NaN"),
    ("amount", "1e3"),
    ("amount", "-1"),
    ("amount", None),
    ("amount", "9223372036854.775808"),
    ("amount_micros", 5),
    ("type", "chargeback"),
    ("type", None),
    ("id", ""),
    ("id", "a b"),
    ("source", None),
    ("source", 7),
    ("client", None),
    ("client", "x" * 129),
    ("client", "nobody"),
    ("time", "2026-03-02"),
    ("time", None),
    ("time", "2026-03-02T10:00:00"),
    ("at", "yesterday"),
    ("currency", "eur"),
    ("currency", "XXX"),
    ("usage", {"type": "call", "unit": "second"}),
    ("usage", {"type": "call", "quantity": -1, "unit": "second"}),
    ("usage", {"type": "call", "quantity": 1, "unit": "minute"}),
    ("usage", {"type": "call", "quantity": 1, "unit": "second", "started_at": "now"}),
)
BAD_EVENTS: Final[tuple[Json, ...]] = (
    {"type": "adjustment", "amount": "1"},
    {"type": "adjustment", "kind": "refund", "amount": "0"},
    {"type": "credit_limit"},
    {"type": "temporary_credit", "amount": "5", "percent": 10},
    {"type": "temporary_credit"},
    {"type": "transfer", "amount": "1"},
    {"type": "invoice", "amount": "1"},
    {"type": "time_balance", "grant": "g1"},
    {"type": "time_balance", "action": "grant", "grant": "g1"},
    {"type": "client"},
    {"type": "client", "currency": "EUR", "cycle_day": 29},
    {"type": "client", "currency": "EUR", "time_zone": "Mars/Base"},
    {"type": "profile", "profile": "p9", "rules": [{"rule": "a", "audience": "client"}]},
    {"type": "time_balance_plan", "plan": "x9", "unit": "week", "units": 5},
    {"type": "exchange_rate", "base": "EUR", "quote": "USD", "rate": "0"},
    {"type": "transfer_leg"},
    {"type": "payment", "amount": "9223372036854.775807"},
    {"type": "charge", "amount": "9223372036854.775807"},
)


def line(dice: Dice, now: int, client: str) -> bytes:
    """One such line; some of them can be taken after all, when their client has room for the amount."""
    if happens(dice, 25):
        return pick(dice, NO_JSON)
    event: Json = {"type": "charge", "id": "bad", "source": "b", "time": format_time(now), "client": client}
    event["amount"] = "1"
    if happens(dice, 50):
        event |= {"amount": None, **pick(dice, BAD_EVENTS)}
        event["id"] = f"bad{dice.below(50)}"
    else:
        for _ in range(1 + dice.below(2)):
            name, value = pick(dice, BAD_VALUES)
            event[name] = value
    if happens(dice, 30):
        event["at"] = format_time(now + SECOND)
    return json.dumps(event).encode()
