"""The engine's own records as bytes of the log: transfer legs, transfer outcomes, ticks (contract, last rows)."""

from typing import assert_never

import msgspec

from schemas.events import EngineEvent, Tick, TransferLeg, TransferOutcome
from schemas.money import format_money
from schemas.readers import tag_of
from schemas.times import format_time

_encode = msgspec.json.Encoder().encode


def encode_engine_event(event: EngineEvent | Tick) -> bytes:
    """One flat JSON object that ``decode(..., engine=True)`` reads back to an equal event."""
    if isinstance(event, Tick):
        return _encode({"type": "tick", "time": format_time(event.time)})
    values: dict[str, object] = {
        "type": tag_of(type(event)),
        "id": event.id,
        "source": event.source,
        "time": format_time(event.time),
        "client": event.client,
        "transfer": {"source": event.transfer.source, "id": event.transfer.id},
        "from": event.from_,
        "to": event.to,
        "amount": format_money(event.amount),
    }
    match event:
        case TransferLeg():
            values |= {"currency": event.currency, "requested_at": format_time(event.requested_at)}
        case TransferOutcome():
            values |= {"accepted": event.accepted} | ({} if event.reason is None else {"reason": event.reason})
        case _:
            assert_never(event)
    return _encode(values)
