"""Ingest in memory: reads events with the real codec, remembers identities, and can be told to be full or down."""

from collections.abc import Sequence

import msgspec

from engine.log.ports import Answer
from schemas.codec import decode
from schemas.events import ClientEvent, Tick
from schemas.reasons import Reason, Refusal
from schemas.topics import PARTITIONS_DEFAULT, partition_of


class FakeIngest:
    """``submitted`` holds every event that was handed over, refused ones too; ``failure`` is raised where it is set."""

    def __init__(self) -> None:
        self.submitted: list[bytes] = []
        self.failure: Exception | None = None
        self._identities: set[tuple[str, str, str]] = set()
        self._ends = [0] * PARTITIONS_DEFAULT

    async def submit(self, events: Sequence[bytes]) -> list[Answer]:
        if self.failure is not None:
            raise self.failure
        self.submitted += events
        return [self._answer(raw) for raw in events]

    def _answer(self, raw: bytes) -> Answer:
        event = decode(raw, unknown_refused=True)
        if isinstance(event, Refusal):
            return Answer("refused", reason=event.reason.value, message=event.message)
        if isinstance(event, Tick):
            return Answer("refused", reason=Reason.UNKNOWN_TYPE.value, message="ticks are written by the engine only")
        client = event.client if isinstance(event, ClientEvent) else ""
        identity = (client, event.source, event.id)
        if identity in self._identities:
            return Answer("duplicate")
        self._identities.add(identity)
        partition = partition_of(client, PARTITIONS_DEFAULT)
        self._ends[partition] += 1
        return Answer("accepted", partition, self._ends[partition] - 1)


class InstantIngest:
    """Accepts everything at once, for measuring what stands before it."""

    async def submit(self, events: Sequence[bytes]) -> list[Answer]:
        return [Answer("accepted", 3, offset) for offset in range(len(events))]


def charge(id_: str, client: str = "c-1", amount: object = "0.12") -> bytes:
    """A charge as a sender would write it."""
    return msgspec.json.encode(
        {
            "type": "charge",
            "id": id_,
            "source": "sbc-1",
            "client": client,
            "time": "2026-01-31T10:00:00Z",
            "amount": amount,
        }
    )
