"""The partition task: one partition of `events`, exactly once (architecture, "Exactly-once on Kafka").

1. *Own*: a transactional producer, whose start fences the former owner and ends what it left open.
2. *Restore*: the changelog into the store, up to its end; then on from meta's position.
3. *Batch*: decode and fold into an overlay; nothing touches the store.
4. *Commit*: begin; changelog with meta last, outputs, legs; commit; **then** one WriteBatch of the same pairs; then the
   overlay is dropped.
5. *Fail*: fenced: the task ends. A failed store or a broken invariant: the process ends. Anything else: the overlay is
   dropped, the producer stopped, and after a pause it begins at 1.

The store is never ahead of the changelog, and where it is behind, 2 mends it.
"""

import asyncio
import shutil
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, suppress
from pathlib import Path
from typing import Final

import msgspec
from aiokafka import TopicPartition
from aiokafka.errors import InvalidProducerEpoch, KafkaTimeoutError, ProducerFenced
from aiokafka.structs import RecordMetadata

from engine.core.fold import Record
from engine.core.outcome import Outcome
from engine.core.state import DEDUPE_WINDOW
from engine.failures import OperationalError
from engine.kafka.clients import BatchBuilder, Connection, Consumer, Producer, open_consumer, open_producer
from engine.kafka.folding import ENGINE_HEADER, fold_batch, read_record
from engine.kafka.recording import Pair, RecordedBatch, chunks_before, write_pairs
from engine.kafka.standing import Standing, distrusted, read_standing, write_standing
from engine.kafka.topics import CHANGELOG
from engine.log.chunks import TOPIC_NUMBERS
from engine.partition.partition import Bounds, Partition
from engine.partition.seen import SeenFamilies
from engine.store.ports import StoreError
from engine.store.rocks import RocksStore
from schemas.engine_events import encode_engine_event
from schemas.events import EngineEvent, Tick
from schemas.topics import Topic, partition_of

_RESTORE_RECORDS_MAX: Final = 10_000  # of one WriteBatch
_RESTORE_STALL_SECONDS_MAX: Final = 30.0
_TICK_SECONDS: Final = 0.2  # at most so often, until the broker's clock has reached what is due
_ENDED_CHUNKS_MAX: Final = 500  # deleted with one commit
_BACK_OFF_SECONDS: Final = 0.2
_BACK_OFF_SECONDS_MAX: Final = 10.0
_STOP_SECONDS_MAX: Final = 5.0
_EVENTS: Final = TOPIC_NUMBERS[Topic.EVENTS]

Sent = tuple[int, bytes | None, bytes | None, list[tuple[str, bytes]]]  # milliseconds, key, value, headers


class TaskOptions(msgspec.Struct, frozen=True, kw_only=True):
    """What the tasks of a worker share. ``app`` and partition name the transactional id."""

    connection: Connection
    cluster: str
    app: str
    prefix: str
    partitions: int
    data: Path
    batch_records_max: int = 4_000
    batch_wait_ms: int = 100
    balances_max: int = 20_000
    accounts_max: int = 4_000


class Fenced(OperationalError):  # noqa: N818  # it names a state
    """Another process owns the partition now; nothing of this one's is left behind."""


def wall_clock() -> int:
    """Microseconds since the epoch: for when to ask for a tick, never for what is decided."""
    return time.time_ns() // 1000


class PartitionTask:
    """Works on one partition until it is stopped or fenced."""

    def __init__(
        self,
        options: TaskOptions,
        number: int,
        tell: Callable[[str], None],
        *,
        clock: Callable[[], int] = wall_clock,
    ) -> None:
        self.number = number
        self._options = options
        self._tell = tell
        self._clock = clock
        self._id = f"{options.app}-{number}"
        self._folder = options.data / f"{options.prefix}partition-{number}"
        self._changelog = TopicPartition(options.prefix + CHANGELOG, number)
        self._source = TopicPartition(options.prefix + Topic.EVENTS.value, number)
        self._bounds = Bounds(balances_max=options.balances_max, accounts_max=options.accounts_max)
        self._ticked = 0.0
        self._committed = False

    async def run(self, stop: asyncio.Event) -> None:
        """Works until ``stop``. Raises Fenced, StoreError, or AssertionError where an invariant is broken."""
        pause = _BACK_OFF_SECONDS
        while not stop.is_set():
            self._committed = False
            try:
                await self._own(stop)
            except (ProducerFenced, InvalidProducerEpoch) as error:
                raise Fenced(f"partition {self.number}: another worker has taken it over") from error
            except (AssertionError, StoreError):
                raise
            except Exception as error:
                if self._committed:
                    pause = _BACK_OFF_SECONDS
                detail = f"{type(error).__name__}: {error}"
                self._tell(f"partition {self.number}: {detail}; again in {pause:.1f} s")
                with suppress(TimeoutError):
                    await asyncio.wait_for(stop.wait(), pause)
                pause = min(2 * pause, _BACK_OFF_SECONDS_MAX)

    async def _own(self, stop: asyncio.Event) -> None:
        async with AsyncExitStack() as stack:
            producer = open_producer(self._options.connection, self._id)
            stack.push_async_callback(_stopped, producer.stop)
            await producer.start()
            store = await self._restored()
            stack.callback(store.close)
            work = _Work(self._options, self.number, store, producer, self._bounds, self._clock)
            consumer = open_consumer(self._options.connection, self._id)
            stack.push_async_callback(_stopped, consumer.stop)
            await consumer.start()
            consumer.assign([self._source])
            consumer.seek(self._source, work.position)
            self._tell(f"partition {self.number}: works from {work.position}")
            while not stop.is_set():
                found = await consumer.getmany(
                    self._source, timeout_ms=self._options.batch_wait_ms, max_records=self._options.batch_records_max
                )
                records = found.get(self._source)
                if records:
                    work.fold([read_record(record) for record in records], records[-1].offset + 1)
                    await work.commit()
                    self._committed = True
                elif work.is_due(self._clock()) and time.monotonic() - self._ticked >= _TICK_SECONDS:
                    self._ticked = time.monotonic()
                    await work.append_tick(self._clock())

    async def _restored(self) -> RocksStore:
        """The local store, brought to the end of the changelog; wiped before where it cannot be trusted."""
        async with AsyncExitStack() as stack:
            consumer = open_consumer(self._options.connection, self._id)
            stack.push_async_callback(_stopped, consumer.stop)
            await consumer.start()
            changelog = self._changelog
            begin = (await consumer.beginning_offsets([changelog]))[changelog]
            end = (await consumer.end_offsets([changelog]))[changelog]
            consumer.assign([changelog])
            store = RocksStore(self._folder)
            try:
                standing = read_standing(store, self.number)
                why = distrusted(standing, self._options.cluster, begin, end, self._clock())
                if why is not None:
                    self._tell(f"partition {self.number}: the local store starts anew: {why}")
                    store.close()
                    shutil.rmtree(self._folder)
                    store = RocksStore(self._folder)
                start = begin if why is not None or standing is None else standing.position
                consumer.seek(changelog, start)
                count = await self._read_changelog(consumer, store, start, end)
            except BaseException:
                store.close()
                raise
            self._tell(f"partition {self.number}: restored {count} records of the changelog, from {start} to {end}")
            return store

    async def _read_changelog(self, consumer: Consumer, store: RocksStore, position: int, end: int) -> int:
        restored = 0
        progressed = time.monotonic()
        while True:
            batch = store.batch()
            standing = Standing(self._options.cluster, position, self._clock())
            if position >= end:
                write_standing(batch, self.number, standing)
                store.write(batch)
                return restored
            found = await consumer.getmany(self._changelog, timeout_ms=500, max_records=_RESTORE_RECORDS_MAX)
            pairs: list[Pair] = [(record.key or b"", record.value) for record in found.get(self._changelog, ())]
            reached = await consumer.position(self._changelog)
            if reached == position:
                if time.monotonic() - progressed > _RESTORE_STALL_SECONDS_MAX:
                    raise KafkaTimeoutError(f"the changelog gives nothing at {position}, it should reach {end}")
                continue
            position, progressed = reached, time.monotonic()
            write_pairs(store, batch, self.number, pairs)
            write_standing(batch, self.number, Standing(self._options.cluster, position, self._clock()))
            store.write(batch)
            restored += len(pairs)


class _Work:
    """An owned and restored partition: steps 3 and 4. After an exception it is not used again."""

    def __init__(
        self,
        options: TaskOptions,
        number: int,
        store: RocksStore,
        producer: Producer,
        bounds: Bounds,
        clock: Callable[[], int],
    ) -> None:
        self._options = options
        self._number = number
        self._store = store
        self._producer = producer
        self._bounds = bounds
        self._clock = clock
        self._families = SeenFamilies(store)
        self._partition = self._open()
        self._outcome: Outcome | None = None
        self._drop_spans()

    def _open(self) -> Partition:
        return Partition(self._store, self._number, self._families, self._bounds)

    @property
    def position(self) -> int:
        """The offset of the next record of `events`."""
        return self._partition.next_offset_of_events

    def is_due(self, now: int) -> bool:
        """Whether a timer is due that no record has fired."""
        return self._partition.state.dues.earliest <= now

    def fold(self, records: Sequence[Record], position: int) -> None:
        """Step 3. ``position``: the offset after the last of them."""
        self._partition, self._outcome = fold_batch(self._partition, self._open, records)
        self._partition.meta.offsets[_EVENTS] = position

    async def commit(self) -> None:
        """Step 4, in its order."""
        outcome, partition = self._outcome, self._partition
        assert outcome is not None
        recorded = RecordedBatch()
        partition.commit(recorded, outcome)
        ended = chunks_before(self._store, self._number, _span_before(partition.state.clock), _ENDED_CHUNKS_MAX)
        pairs = recorded.changelog(self._number, self.position, ended)
        changelog = (self._options.prefix + CHANGELOG, self._number)
        sent: dict[tuple[str, int], list[Sent]] = {changelog: [(self._clock() // 1000, *pair, []) for pair in pairs]}
        for topic, entries in recorded.outputs():
            name = self._options.prefix + topic.value
            sent[name, self._number] = [
                (entry.at // 1000, entry.key.encode() or None, entry.value, []) for entry in entries
            ]
        for leg in outcome.legs:
            target = partition_of(leg.client, self._options.partitions)
            self._add_own(sent, target, leg, leg.client)
        position = (await self._transact(sent))[changelog]
        batch = self._store.batch()
        write_pairs(self._store, batch, self._number, pairs)
        write_standing(batch, self._number, Standing(self._options.cluster, position, self._clock()))
        self._store.write(batch)
        partition.committed()
        self._outcome = None
        self._drop_spans()

    def _drop_spans(self) -> None:
        """Drops the identities of spans that are over and whose chunks are deleted."""
        clock = self._partition.state.clock
        if self._families.has_before(clock) and not chunks_before(self._store, self._number, _span_before(clock), 1):
            self._families.drop_before(clock)

    async def append_tick(self, now: int) -> None:
        """Asks the log for its time: a record of the partition's own, read back like any other."""
        sent: dict[tuple[str, int], list[Sent]] = {}
        self._add_own(sent, self._number, Tick(time=now), "")
        await self._transact(sent)

    def _add_own(
        self, sent: dict[tuple[str, int], list[Sent]], target: int, event: EngineEvent | Tick, client: str
    ) -> None:
        record = (self._clock() // 1000, client.encode() or None, encode_engine_event(event), [(ENGINE_HEADER, b"1")])
        sent.setdefault((self._options.prefix + Topic.EVENTS.value, target), []).append(record)

    async def _transact(self, sent: dict[tuple[str, int], list[Sent]]) -> dict[tuple[str, int], int]:
        """One transaction; by topic and partition the offset after the last record."""
        await self._producer.begin_transaction()
        waiting: list[tuple[tuple[str, int], int, asyncio.Future[RecordMetadata]]] = []
        for place, records in sent.items():
            for builder in self._builders(records):
                done = await self._producer.send_batch(builder, place[0], partition=place[1])
                done.add_done_callback(_looked_at)
                waiting.append((place, builder.record_count(), done))
        answers = await asyncio.gather(*(done for _, _, done in waiting), return_exceptions=True)
        ends: dict[tuple[str, int], int] = {}
        for (place, count, _), answer in zip(waiting, answers, strict=True):
            if isinstance(answer, BaseException):
                raise answer
            ends[place] = answer.offset + count
        await self._producer.commit_transaction()
        return ends

    def _builders(self, records: Sequence[Sent]) -> list[BatchBuilder]:
        builder = self._producer.create_batch()
        builders = [builder]
        for at, key, value, headers in records:
            if builder.append(timestamp=at, key=key, value=value, headers=headers) is None:
                builder = self._producer.create_batch()
                builders.append(builder)
                added = builder.append(timestamp=at, key=key, value=value, headers=headers)
                assert added is not None
        for each in builders:
            each.close()
        return builders


def _span_before(clock: int) -> int:
    """The earliest span of identities that a window ending at ``clock`` or later reaches."""
    return clock // DEDUPE_WINDOW - 1


def _looked_at(done: "asyncio.Future[RecordMetadata]") -> None:
    """Takes note of a failure that nobody awaits: another one ended the transaction before."""
    if not done.cancelled():
        done.exception()


async def _stopped(stop: Callable[[], Awaitable[None]]) -> None:
    """Stops a client of the cluster; one whose broker is gone is not waited for."""
    with suppress(Exception):
        await asyncio.wait_for(stop(), _STOP_SECONDS_MAX)
