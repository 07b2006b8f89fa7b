"""Unknown fields: ignored on the log, refused at a door, in the event and in the objects inside it (contract)."""

import msgspec
import pytest

from schemas.codec import decode
from schemas.reasons import Reason, Refusal

IDENTITY = {"id": "1", "source": "t", "time": "2026-01-01T09:00:00Z"}
CHARGE = {"type": "charge", "client": "c", "amount": "1", **IDENTITY}
RULE = {"rule": "low", "audience": "client", "threshold": "5"}


@pytest.mark.parametrize(
    ("event", "named"),
    [
        ({**CHARGE, "colour": 1}, "colour"),
        ({**CHARGE, "usage": {"type": "call", "quantity": 1, "unit": "event", "colour": 1}}, "usage.colour"),
        ({**IDENTITY, "type": "profile", "profile": "p", "rules": [RULE, {**RULE, "rule": "b", "at": 1}]}, "rules.at"),
        (
            {**IDENTITY, "type": "client", "client": "c", "currency": "EUR", "low_balance": {"type": 1}},
            "low_balance.type",
        ),
        ({**CHARGE, "limit_micros": 5}, "limit_micros"),
    ],
)
def test_unknown_field_is_named_at_a_door_and_ignored_on_the_log(event: dict[str, object], named: str) -> None:
    raw = msgspec.json.encode(event)
    refused = decode(raw, unknown_refused=True)
    assert isinstance(refused, Refusal)
    assert (refused.reason, refused.message.split(" ")[0]) == (Reason.BAD_FIELD, named)
    assert not isinstance(decode(raw), Refusal)


def test_log_time_of_a_replay_line_is_no_unknown_field() -> None:
    raw = msgspec.json.encode({**CHARGE, "at": "2026-01-01T09:00:00Z"})
    assert not isinstance(decode(raw, unknown_refused=True), Refusal)
