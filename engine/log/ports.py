"""The log as its users see it: what may be appended, what may be read, where a consumer stands.

Adapters: embedded (``engine.embedded``), HTTP (``engine.log.http``), Kafka (``engine.kafka``). Every adapter runs the
contract suite in ``tests/contract``.
"""

from collections.abc import Mapping, Sequence
from typing import Literal, Protocol

import msgspec

from schemas.outputs import Delivery
from schemas.topics import Topic


class LogRecord(msgspec.Struct, frozen=True, gc=False):
    """One record of a topic: its place, its log time in microseconds, its key, and its bytes."""

    topic: Topic
    partition: int
    offset: int
    at: int
    key: str
    value: bytes


class Answer(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """What became of one submitted event, given only once it is durable.

    ``accepted`` carries partition and offset; ``refused`` a reason code of the contract and a sentence.
    """

    status: Literal["accepted", "duplicate", "refused"]
    partition: int | None = None
    offset: int | None = None
    reason: str | None = None
    message: str | None = None


class Overloaded(Exception):  # noqa: N818  # it names a state, like BlockingIOError
    """The queue is full: nothing of this submission was taken. Send it again after ``retry_after_seconds``."""

    retriable = True

    def __init__(self, retry_after_seconds: int) -> None:
        super().__init__(f"the ingest queue is full; send again in {retry_after_seconds} s")
        self.retry_after_seconds = retry_after_seconds


class Unavailable(Exception):  # noqa: N818
    """The engine takes nothing now (starting, stopping, or its disk failed); ``str`` says which and what to do."""

    retriable = True


class Ingest(Protocol):
    """Appends events and answers each once its effects are durable."""

    async def submit(self, events: Sequence[bytes]) -> list[Answer]:
        """One answer per event, in order; each event is one JSON text as received.

        Raises Overloaded or Unavailable where none was taken.
        """
        ...


class NotificationLog(Protocol):
    """The notifications topic for one consumer, with its position and its deliveries.

    A position is the offset of the next record to read, per partition. ``commit`` makes positions and deliveries
    durable together, so that a delivery that was recorded is never repeated.
    """

    @property
    def partitions(self) -> int:
        """How many partitions the topic has, fixed for life."""
        ...

    async def positions(self, consumer: str) -> Mapping[int, int]:
        """Where the consumer stands; a partition that is absent stands at the start."""
        ...

    async def read(self, partition: int, offset: int, records_max: int) -> Sequence[LogRecord]:
        """Durable records from ``offset`` on, in order; empty where there are none now."""
        ...

    async def wait(self, timeout_seconds: float) -> None:
        """Returns when there may be something new, at the latest after the timeout."""
        ...

    async def settled(self, consumer: str, notifications: Sequence[str]) -> frozenset[str]:
        """Which of these notification ids already have a delivery recorded by this consumer."""
        ...

    async def commit(self, consumer: str, positions: Mapping[int, int], deliveries: Sequence[Delivery]) -> None:
        """Records deliveries and moves positions forward, in one durable step."""
        ...
