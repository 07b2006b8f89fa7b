"""The embedded engine: one RocksDB, all partitions, one writer (architecture, "One core, two runtimes").

Commit order, for every batch:

1. fold the batch into the overlay in memory (nothing touches the store);
2. one WriteBatch: events appended to the log, state, identities, outputs, meta, for every partition together;
3. fsync of the write-ahead log, shared by all batches written since the last one (group commit);
4. answer the senders, let consumers read what is now durable.

A batch folds and writes without waiting, so readers on the event loop never see half of one. A failed write or fsync
ends the engine: what was not answered was not promised.
"""

import asyncio
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, Literal

import msgspec

from engine.embedded.batch import BatchFold
from engine.embedded.journal import EmbeddedNotificationLog
from engine.embedded.retention import trim
from engine.embedded.routes import Routes
from engine.log.ports import Answer, Overloaded, Unavailable
from engine.metrics import EngineMetrics
from engine.partition.partition import Bounds, Partition
from engine.partition.seen import FILTER_BYTES, SeenFamilies
from engine.store.ports import STATE, Batch, Store, StoreError
from schemas.codec import decode_all
from schemas.events import Tick
from schemas.times import SECOND
from schemas.topics import PARTITIONS_DEFAULT, Topic

FORMAT: Final = 2
_READ: Final = (1, FORMAT)  # 1 has no packed chunks (ADR 23)
_FORMAT_KEY: Final = b"\xff\xffm"
_TICK_SECONDS: Final = 0.2  # timers fire within a second without traffic, with room for a slow commit
_LEARNT_MAX: Final = 1_000  # identities at a time, a millisecond: after a start, until the filters know all of them
_LEARN_SECONDS: Final = 0.01
_RETRY_AFTER_SECONDS: Final = 1
_KEEP_SETTLED: Final = 30 * 86_400 * SECOND
_MAINTENANCE_SECONDS: Final = 600.0
_TURNS: Final = 3  # of the loop before a commit: a request that is there is read, begun, and answered or queued
_BACKLOG_SHARE: Final = 4  # of the queue goes into a commit beside readers: small commits alone would not catch up
_READ_LATELY_SECONDS: Final = 1.0


class EmbeddedOptions(msgspec.Struct, frozen=True, kw_only=True):
    """How the embedded engine runs. ``durability`` ``os`` answers before the fsync: a power cut may lose what was
    answered in the last moments, kill -9 does not. ``beside_readers_max``: records of a commit while somebody reads
    and waits for its end; 3 ms."""

    data: Path
    partitions: int = PARTITIONS_DEFAULT
    durability: Literal["fsync", "os"] = "fsync"
    batch_records_max: int = 4_000
    beside_readers_max: int = 100
    queue_records_max: int = 100_000
    balances_max: int = 240_000
    accounts_max: int = 1_200
    store_cache_bytes: int = 64 * 1024 * 1024
    dedupe_filter_bytes: int = FILTER_BYTES
    keep_changes_seconds: int = 86_400
    keep_outputs_seconds: int = 30 * 86_400


class _Format(msgspec.Struct, array_like=True):
    format: int
    partitions: int


class _Submission(msgspec.Struct, gc=False):
    """What waits for its commit, as received: decoded only then, it is in the processor's cache when it is folded."""

    events: Sequence[bytes]
    done: "asyncio.Future[list[Answer]]"


def wall_clock() -> int:
    """Microseconds since the epoch: the only clock of this runtime, read here alone."""
    return time.time_ns() // 1000


class EmbeddedEngine:
    """Ingest, timers and the log in one process. ``run`` works until it is stopped or its store fails."""

    def __init__(
        self,
        store: Store,
        options: EmbeddedOptions,
        metrics: EngineMetrics,
        *,
        clock: Callable[[], int] = wall_clock,
    ) -> None:
        """Opens every partition; raises StoreError where the folder is another format or partition count."""
        self._store = store
        self._options = options
        self._metrics = metrics
        self._clock = clock
        _check_format(store, options)
        store.sync()  # what the last process wrote and did not sync is read from here on as durable
        self._families = SeenFamilies(store, options.dedupe_filter_bytes)
        bounds = Bounds(
            balances_max=max(1, options.balances_max // options.partitions),
            accounts_max=max(1, options.accounts_max // options.partitions),
        )
        self.partitions = [Partition(store, number, self._families, bounds) for number in range(options.partitions)]
        self._routes = Routes(options.partitions)
        self._queue: deque[_Submission] = deque()
        self._queued = 0
        self._unsynced: list[tuple[list[int], Callable[[], None]]] = []
        self._durable = [list(partition.meta.offsets) for partition in self.partitions]
        self._waiting: set[asyncio.Future[Any]] = set()  # Any: answers, or nothing but the end of a write
        self._work = asyncio.Event()
        self._written = asyncio.Event()
        self._read_at = -_READ_LATELY_SECONDS
        self._stopping = False
        self._ended = False
        self._failure: StoreError | None = None
        self._failed = asyncio.Event()
        self.notifications = EmbeddedNotificationLog(
            store, self.partitions, self.route, self.durable_end, self._write_aside, clock
        )

    def route(self, client: str) -> int:
        """The partition of a client."""
        return self._routes[client]

    async def submit(self, events: Sequence[bytes]) -> list[Answer]:
        """Port ``Ingest``: one answer an event, in order, once its effects are durable."""
        if self._failure is not None:
            raise Unavailable(str(self._failure))
        if self._stopping:
            raise Unavailable("the engine is stopping; send again in a moment")
        if self._queued + len(events) > self._options.queue_records_max and self._queued:
            raise Overloaded(_RETRY_AFTER_SECONDS)
        done: asyncio.Future[list[Answer]] = self._promise()
        self._queue.append(_Submission(events, done))
        self._queued += len(events)
        self._metrics.queued.set(self._queued)
        self._work.set()
        return await done

    async def run(self, stop: asyncio.Event) -> None:
        """Works until ``stop`` is set, then finishes what is queued. Raises StoreError where the store failed."""
        tasks = [
            asyncio.create_task(self._commit_loop(), name="commit"),
            asyncio.create_task(self._sync_loop(), name="sync"),
            asyncio.create_task(self._tick_loop(), name="tick"),
            asyncio.create_task(self._learn_loop(), name="learn"),
            asyncio.create_task(self._maintenance_loop(), name="maintenance"),
            asyncio.create_task(self._raise_failure(), name="failure"),
        ]
        stopped = asyncio.create_task(stop.wait(), name="stop")
        try:
            done, _ = await asyncio.wait([stopped, *tasks], return_when=asyncio.FIRST_COMPLETED)
            self._stopping = True
            self._work.set()
            if done == {stopped}:
                await tasks[0]
                self._written.set()
                await tasks[1]
            for task in done - {stopped}:
                await task
        except StoreError as error:
            self._fail(error)
            raise
        finally:
            for task in (stopped, *tasks):
                task.cancel()
            await asyncio.gather(stopped, *tasks, return_exceptions=True)
            self._answer_nobody()

    def learn(self) -> bool:
        """Lets the dedupe window's filters read some of what was on disk before the start; False: they know all."""
        return self._families.learn(_LEARNT_MAX)

    def now(self) -> int:
        """The instant that an event submitted now would get, in microseconds."""
        return self._clock()

    def note_reader(self) -> None:
        """Somebody reads the state and waits for it: commits are kept short for a while, which costs throughput."""
        self._read_at = time.monotonic()

    def close(self) -> None:
        """Closes the store; ``run`` must have returned."""
        self._store.close()

    def ready(self) -> tuple[bool, str]:
        """Whether events are taken now, and a sentence."""
        if self._failure is not None:
            return False, str(self._failure)
        if self._stopping:
            return False, "the engine is stopping"
        return True, "events are taken"

    def durable_end(self, partition: int, topic: Topic) -> int:
        """The offset after the last record of a topic that is durable."""
        return self._durable[partition][list(Topic).index(topic)]

    async def _commit_loop(self) -> None:
        while True:
            if not self._queue:
                if self._stopping:
                    return
                self._work.clear()
                await self._work.wait()
                continue
            for _ in range(_TURNS):
                await asyncio.sleep(0)
            self._commit(self._next_batch(), [])

    def _next_batch(self) -> list[_Submission]:
        """Takes submissions from the queue, whole ones: as many as make a batch, and one at the least."""
        most = self._options.batch_records_max
        if time.monotonic() - self._read_at < _READ_LATELY_SECONDS:
            most = min(most, max(self._options.beside_readers_max, self._queued // _BACKLOG_SHARE))
        submissions = [self._queue.popleft()]
        count = len(submissions[0].events)
        while self._queue and count + len(self._queue[0].events) <= most:
            submissions.append(self._queue.popleft())
            count += len(submissions[-1].events)
        self._queued -= count
        self._metrics.queued.set(self._queued)
        return submissions

    def _commit(self, submissions: list[_Submission], ticks: list[int]) -> None:
        """Steps 1 and 2 of the commit order; 3 and 4 follow in the sync loop."""
        # One log time for all partitions: a configuration event's identity, which they share, has one first time.
        now = max([self._clock(), *(partition.state.clock for partition in self.partitions)])
        started = time.perf_counter()
        for partition in self.partitions:
            partition.begin(now)
        folded = BatchFold(self.partitions, self._routes, now)
        submissions = [submission for submission in submissions if _added(folded, submission)]
        for number in ticks:
            folded.add_tick(number, Tick(time=now))
        apply_seconds = time.perf_counter() - started
        batch = self._store.batch()
        touched = folded.touched()
        for number in touched:  # one after the other: what a fold has touched is in the processor's cache for its views
            partition, outcome = self.partitions[number], folded.outcomes[number]
            begun = time.perf_counter()
            folded.fold(number)
            apply_seconds += time.perf_counter() - begun
            partition.append(batch, Topic.EVENTS, folded.entries(number))
            partition.commit(batch, outcome)
            folded.written(number)
            partition.written()
        self._store.write(batch)
        for number in touched:
            self.partitions[number].committed()
        self._metrics.observe_batch(
            folded.kinds,
            folded.answers,
            folded.outcomes,
            plain=folded.plain,
            apply_seconds=apply_seconds,
            write_seconds=time.perf_counter() - started - apply_seconds,
        )
        self._after_write(touched, lambda: _resolve(submissions, folded.answers))

    def _after_write(self, touched: list[int], settle: Callable[[], None]) -> None:
        if self._options.durability == "os":
            self._advance(touched)
            settle()
            self.notifications.announce()
            return
        self._unsynced.append((touched, settle))
        self._written.set()

    async def _sync_loop(self) -> None:
        while True:
            if not self._unsynced:
                if self._stopping and not self._queue:
                    return
                self._written.clear()
                await self._written.wait()
                continue
            synced, self._unsynced = self._unsynced, []
            offsets = [list(partition.meta.offsets) for partition in self.partitions]
            started = time.perf_counter()
            await asyncio.to_thread(self._store.sync)
            self._metrics.sync_seconds.observe(time.perf_counter() - started)
            self._durable = offsets
            for _, settle in synced:
                settle()
            self.notifications.announce()

    def _advance(self, touched: list[int]) -> None:
        for number in touched:
            self._durable[number] = list(self.partitions[number].meta.offsets)

    def _write_aside(self, batch: Batch) -> "asyncio.Future[None]":
        """Writes what is no event (positions, deliveries); the future resolves once it is durable."""
        if self._failure is not None:
            raise Unavailable(str(self._failure))
        if self._ended:
            raise Unavailable("the engine has stopped")
        try:
            self._store.write(batch)
        except StoreError as error:
            self._fail(error)
            raise Unavailable(str(error)) from error
        done: asyncio.Future[None] = self._promise()

        def settle() -> None:
            if not done.done():
                done.set_result(None)

        self._after_write(list(range(len(self.partitions))), settle)
        return done

    async def _tick_loop(self) -> None:
        while not self._stopping:
            now = self._clock()
            due = [number for number, part in enumerate(self.partitions) if part.state.dues.earliest <= now]
            if due:
                self._commit([], due)
            await asyncio.sleep(_TICK_SECONDS)

    async def _learn_loop(self) -> None:
        """A tenth of the time until the filters know all: 20 million identities in four minutes."""
        while not self._stopping:
            is_more = self.learn()
            await asyncio.sleep(_LEARN_SECONDS if is_more else _TICK_SECONDS)

    async def _maintenance_loop(self) -> None:
        while not self._stopping:
            now = self._clock()
            await self._drop_spans(now)
            self.notifications.forget_settled(now - _KEEP_SETTLED, 10_000)
            self._trim(now)
            self._metrics.observe_store(self._store, self.partitions)
            await asyncio.sleep(_MAINTENANCE_SECONDS)

    def _trim(self, now: int) -> None:
        """Deletes outputs that are past their keeping; events and journal are the history and stay."""
        outputs = now - self._options.keep_outputs_seconds * SECOND
        before = dict.fromkeys((Topic.NOTIFICATIONS, Topic.REJECTIONS, Topic.DELIVERIES), outputs)
        before[Topic.CHANGES] = now - self._options.keep_changes_seconds * SECOND
        trim(self._store, self.partitions, before, {Topic.NOTIFICATIONS: self.notifications.unread()})

    async def _drop_spans(self, now: int) -> None:
        """Drops identities that are out of every window, once that log time is durable: the clock may be set back,
        and a partition without traffic would then look for them again."""
        if self._families.has_before(now):
            self._commit([], list(range(len(self.partitions))))
            await asyncio.to_thread(self._store.sync)
            self._families.drop_before(min(partition.state.clock for partition in self.partitions))

    def _fail(self, error: StoreError) -> None:
        self._failure = error
        self._failed.set()

    async def _raise_failure(self) -> None:
        """Ends ``run`` where the store failed in a write that was not its own."""
        await self._failed.wait()
        assert self._failure is not None
        raise self._failure

    def _promise(self) -> "asyncio.Future[Any]":
        """A future that is resolved by the sync loop, or told of the end by ``_answer_nobody``."""
        done: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._waiting.add(done)
        done.add_done_callback(self._waiting.discard)
        return done

    def _answer_nobody(self) -> None:
        """Whoever still waits, queued or written and not synced, is told that nothing was promised."""
        self._ended = True
        self._queue.clear()
        self._queued = 0
        failure = str(self._failure or "the engine has stopped; send again, nothing is applied twice")
        for done in self._waiting:
            if not done.done():
                done.set_exception(Unavailable(failure))


def _added(folded: BatchFold, submission: _Submission) -> bool:
    """Decodes and adds. False: decoding raised, a fault of ours, which only the sender is told of; all else goes on."""
    try:
        events = decode_all(submission.events)
    except Exception as error:
        with suppress(asyncio.InvalidStateError):
            submission.done.set_exception(error)
        return False
    folded.add(submission.events, events)
    return True


def _resolve(submissions: list[_Submission], answers: list[Answer | None]) -> None:
    first = 0
    for submission in submissions:
        end = first + len(submission.events)
        with suppress(asyncio.InvalidStateError):  # the sender went away; what it sent is applied all the same
            submission.done.set_result(answers[first:end])  # type: ignore[arg-type]  # the fold filled every place
        first = end


def stored_partitions(store: Store) -> int | None:
    """How many partitions a data folder was made with; None: it is no data folder of this format."""
    stored = store.get(STATE, _FORMAT_KEY)
    found = None if stored is None else msgspec.msgpack.decode(stored, type=_Format)
    return found.partitions if found is not None and found.format in _READ else None


def _check_format(store: Store, options: EmbeddedOptions) -> None:
    stored = store.get(STATE, _FORMAT_KEY)
    if stored is None:
        _put_format(store, options.partitions)
        return
    found = msgspec.msgpack.decode(stored, type=_Format)
    if found.format not in _READ:
        raise StoreError(
            f"the data folder {options.data} has format {found.format}, this version reads {FORMAT}: "
            "use the version that wrote it"
        )
    if found.partitions != options.partitions:
        raise StoreError(
            f"the data folder {options.data} was made with {found.partitions} partitions, found {options.partitions} "
            "in the configuration: the count is fixed for life; set it back, or move the history into a new folder"
        )
    if found.format != FORMAT:  # from here on it is not for the version that wrote it
        _put_format(store, found.partitions)


def _put_format(store: Store, partitions: int) -> None:
    batch = store.batch()
    batch.use(STATE)
    batch.put(_FORMAT_KEY, msgspec.msgpack.encode(_Format(FORMAT, partitions)))
    store.write(batch)
