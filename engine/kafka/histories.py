"""The history of a cluster, read to be moved: `events` and `deliveries` as they are when it begins."""

import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, Final

import msgspec
from aiokafka import TopicPartition
from aiokafka.errors import KafkaTimeoutError

from engine.core.fold import Record, fold
from engine.core.outcome import Answer, Outcome
from engine.core.state import State
from engine.kafka.clients import Connection, Consumer, open_consumer
from engine.kafka.folding import Moved, Revised, fold_records, read_record
from engine.kafka.ledger import CONSUMER_HEADER
from engine.kafka.worker import cluster_of
from engine.moving import History, HistoryError
from engine.partition.revisions import MemoryRevisions
from schemas.events import Tick
from schemas.topics import Topic

_RECORDS_MAX: Final = 5_000  # of one fetch
_STALL_SECONDS_MAX: Final = 30.0

Delivered = tuple[str, bytes, str]
"""A delivery that was recorded: its client, its record, and the consumer whose it is."""


class ByRevision:
    """Configuration is in every partition under its revision; what moved before has its legs beside it."""

    def __init__(self) -> None:
        self._revisions = MemoryRevisions()

    def fold(self, state: State, record: Record, out: Outcome) -> None:
        if isinstance(record, Revised):
            fold_records(state, self._revisions, (record,), out)
        else:
            fold(state, (record,), out)

    def barrier(self, record: Record, answer: Answer) -> int | None:
        if not isinstance(record, Revised):
            return None
        have = self._revisions.get(record.kind, record.key).revision
        return record.revision if have == record.revision else None


class _OfClient(msgspec.Struct):
    client: str


@asynccontextmanager
async def cluster_history(
    connection: Connection, prefix: str
) -> AsyncIterator[tuple[History, AsyncIterator[Delivered]]]:
    """The history of a cluster's topics and its deliveries. Raises TopicError or KafkaError."""
    _, partitions = await cluster_of(connection, prefix)
    async with AsyncExitStack() as stack:
        consumer = open_consumer(connection, "plimsoll-move")
        stack.push_async_callback(consumer.stop)
        await consumer.start()
        events = [TopicPartition(prefix + Topic.EVENTS.value, number) for number in range(partitions)]
        deliveries = [TopicPartition(prefix + Topic.DELIVERIES.value, number) for number in range(partitions)]
        begins = await consumer.beginning_offsets(events + deliveries)
        ends = await consumer.end_offsets(events + deliveries)
        consumer.assign(events + deliveries)
        for place, begin in begins.items():
            consumer.seek(place, begin)
        logs = [_records(consumer, place, begins[place], ends[place]) for place in events]
        yield History(logs, ByRevision), _deliveries(consumer, deliveries, ends)


async def _records(consumer: Consumer, place: TopicPartition, begin: int, end: int) -> AsyncIterator[Record]:
    if begin > 0:
        raise HistoryError(f"{place.topic}/{place.partition} begins at {begin}: what came before it is not kept")
    async for record in _read(consumer, place, end):
        read = read_record(record)
        if isinstance(read, Revised) and read.asks:
            assert read.at is not None
            yield Record(read.at, Tick(time=read.at), read.raw)
        elif isinstance(read, Moved):
            yield Record(read.at, read.event, read.raw)
        else:
            yield read
    now = (await consumer.end_offsets([place]))[place]
    if now != end:
        raise HistoryError(
            f"{place.topic}/{place.partition} has grown from {end} to {now}: stop whoever sends events and the "
            "workers, and begin again"
        )


async def _deliveries(
    consumer: Consumer, places: list[TopicPartition], ends: dict[TopicPartition, int]
) -> AsyncIterator[Delivered]:
    for place in places:
        async for record in _read(consumer, place, ends[place]):
            named = dict(record.headers).get(CONSUMER_HEADER)
            if named is not None and record.value is not None:
                client = msgspec.json.decode(record.value, type=_OfClient).client
                yield client, record.value, named.decode()


async def _read(consumer: Consumer, place: TopicPartition, end: int) -> AsyncIterator[Any]:  # Any: aiokafka's records
    progressed = time.monotonic()
    position = await consumer.position(place)
    while position < end:
        for record in (await consumer.getmany(place, timeout_ms=500, max_records=_RECORDS_MAX)).get(place, ()):
            if record.offset < end:
                yield record
        reached = await consumer.position(place)
        if reached > position:
            position, progressed = reached, time.monotonic()
        elif time.monotonic() - progressed > _STALL_SECONDS_MAX:
            raise KafkaTimeoutError(f"{place.topic}/{place.partition} gives nothing at {position}, it ends at {end}")
