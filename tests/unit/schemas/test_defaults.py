"""A default that is written out is the same value as one that is left out: in identities, and in what is stored."""

import msgspec
import pytest

from engine.core.identity import content_of
from schemas.codec import decode
from schemas.reasons import Refusal

CLIENT = {"type": "client", "id": "1", "source": "s", "client": "c", "time": "2026-01-01T00:00:00Z", "currency": "EUR"}
PAYMENT = {
    "type": "payment", "id": "1", "source": "s", "client": "c", "time": "2026-01-01T00:00:00Z", "amount": "1"
}  # fmt: skip
PLAN = {
    "type": "time_balance_plan", "id": "1", "source": "s", "time": "2026-01-01T00:00:00Z", "plan": "p",
    "unit": "minute", "units": 60,
}  # fmt: skip


def _stored(event: dict[str, object]) -> tuple[bytes, int]:
    decoded = decode(msgspec.json.encode(event))
    assert not isinstance(decoded, Refusal), decoded
    return msgspec.msgpack.encode(decoded), content_of(decoded)


@pytest.mark.parametrize(
    ("event", "written_out"),
    [
        (CLIENT, {"model": "prepaid"}),
        (CLIENT, {"time_zone": "UTC"}),
        (CLIENT, {"warning_channels": ["email"]}),
        (CLIENT, {"warning_thresholds": []}),
        (CLIENT, {"cycle_day": 1}),
        (PAYMENT, {"kind": "payment"}),
        (PLAN, {"late_grace_seconds": 3600}),
        (PLAN, {"order": "fresh_first", "on_exhausted": "charge"}),
    ],
)
def test_a_default_written_out_is_the_same_event(event: dict[str, object], written_out: dict[str, object]) -> None:
    assert _stored({**event, **written_out}) == _stored(event)
