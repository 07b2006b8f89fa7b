"""The partition task: one partition of `events`, exactly once (architecture, "Exactly-once on Kafka").

1. *Own*: a transactional producer, whose start fences the former owner and ends what it left open; then a signature in
   the changelog (``engine.kafka.signature``).
2. *Restore*: the changelog into the store, up to its end; then on from meta's position (``engine.kafka.restore``). A
   store that cannot be trusted is set aside first (``engine.kafka.local``).
3. *Batch*: decode and fold into an overlay; nothing touches the store (``engine.kafka.work``). Of a backlog, step by
   step, with others between the steps.
4. *Commit*: begin; changelog with meta last, outputs, legs; commit; **then** one WriteBatch of the same pairs; then the
   overlay is dropped (``engine.kafka.work``).
5. *Fail*: a failed store or a broken invariant: the process ends. Anything else: the overlay is dropped, the producer
   stopped, and after a pause (``engine.kafka.failing``) it begins at 1, unless another owner has signed: then it was
   fenced, and the task ends.

The store is never ahead of the changelog, and where it is behind, 2 mends it.
"""

import asyncio
import time
from collections.abc import Callable
from contextlib import AsyncExitStack
from typing import Final

from aiokafka.errors import InvalidProducerEpoch, ProducerFenced
from prometheus_client import CollectorRegistry

from engine.kafka.clients import TRANSACTION_MS_MAX, open_consumer, open_producer
from engine.kafka.failing import BackOff, Fenced, client_stopped, paused, until_stopped
from engine.kafka.folding import read_records
from engine.kafka.local import LocalStores
from engine.kafka.metrics import TaskMetrics
from engine.kafka.options import TaskOptions, wall_clock
from engine.kafka.refusals import why_denied
from engine.kafka.restore import catch_up, changelog_of
from engine.kafka.signature import Signature
from engine.kafka.source import EventRecord, Feed
from engine.kafka.turns import next_moment
from engine.kafka.work import Work
from engine.partition.partition import Partition
from engine.store.ports import StoreDamaged, StoreError
from engine.store.rocks import RocksStore

__all__ = ["Fenced", "PartitionTask", "TaskOptions", "wall_clock"]

_TICK_SECONDS: Final = 0.2  # at most so often, until the broker's clock has reached what is due
_RENEW_SECONDS: Final = 3600.0  # well under the age at which a store is not trusted any more
_PAUSED_SECONDS: Final = 0.2
_MEASURE_SECONDS: Final = 5.0  # between looks at the sizes of the store and, while paused, at the end of `events`
_STEP_PAUSE_SECONDS: Final = 0.001  # between two steps, for what other tasks and the door have to do meanwhile
_FETCH_SECONDS_MAX: Final = 0.05  # waited, within a batch, for what is known to be left
_COMMIT_SECONDS_MAX: Final = 2.0  # what a batch in flight may take when the task is to stop


class PartitionTask:
    """Works on one partition until it is stopped or fenced.

    ``paused`` may be set: nothing more is read until it is unset. ``metrics``: those of the process, given to every
    task of it.
    """

    def __init__(
        self,
        options: TaskOptions,
        number: int,
        tell: Callable[[str], None],
        *,
        clock: Callable[[], int] = wall_clock,
        metrics: TaskMetrics | None = None,
    ) -> None:
        self.number = number
        self.paused = False
        self._options = options
        self._tell = tell
        self._clock = clock
        self._metrics = TaskMetrics(CollectorRegistry()) if metrics is None else metrics
        self._id = f"{options.app}-{number}"
        self._source = options.events(number)
        self._stores = LocalStores(options, number, tell, self._metrics)
        self._back_off = BackOff()
        self._store: RocksStore | None = None
        self._work: Work | None = None
        self._signature = Signature(options, number)
        self._committed_to: int | None = None
        self._worked = False
        self._caught_up = False

    @property
    def caught_up(self) -> bool:
        """Whether it is restored and was near the end of `events` when it last looked."""
        return self._caught_up

    @property
    def state(self) -> Partition | None:
        """The partition as it was committed last, for views: to be read before the next ``await``. None: not yet."""
        return None if self._work is None else self._work.committed()

    def checkpoint(self) -> bool:
        """Makes the store durable now, so that it outlives the machine. False: there is none yet. Raises StoreError."""
        if self._store is None:
            return False
        self._store.sync()
        return True

    async def run(self, stop: asyncio.Event) -> None:
        """Works until ``stop``, and ends within 5 s of it. Raises Fenced, StoreError, or AssertionError where an
        invariant is broken."""
        try:
            while not stop.is_set():
                began = time.monotonic()
                try:
                    await until_stopped(self._own(stop), stop, self._grace)
                except Fenced:
                    self._metrics.fences.labels(str(self.number)).inc()
                    raise
                except (ProducerFenced, InvalidProducerEpoch) as error:
                    if self._committed_to is None and time.monotonic() - began < TRANSACTION_MS_MAX / 1000:
                        self._metrics.fences.labels(str(self.number)).inc()
                        raise self._fenced() from error
                    await self._failed(error, stop)
                except StoreDamaged as error:
                    self._stores.mark_damaged(error)
                    if self._worked:
                        raise
                    await self._failed(error, stop)
                except (AssertionError, StoreError):
                    raise
                except Exception as error:
                    await self._failed(error, stop)
        finally:
            self._metrics.left(self.number)

    def _fenced(self) -> Fenced:
        return Fenced(f"partition {self.number}: another worker has taken it over")

    def _grace(self) -> float:
        return 0.0 if self._work is None else _COMMIT_SECONDS_MAX

    async def _failed(self, error: Exception, stop: asyncio.Event) -> None:
        """Step 5: begins again after a pause."""
        kind = type(error).__name__
        self._metrics.restarts.labels(str(self.number), kind).inc()
        pause = self._back_off.after_failure()
        told = why_denied(error, self._options.connection) or f"{kind}: {error}"
        self._tell(f"partition {self.number}: {told}; again in {pause:.1f} s")
        await paused(stop, pause)

    async def _own(self, stop: asyncio.Event) -> None:
        self._worked = False
        if self._committed_to is not None and await self._signature.is_superseded(self._committed_to):
            raise self._fenced()
        async with AsyncExitStack() as stack:
            stack.callback(self._let_go)
            producer = open_producer(self._options.connection, self._id)
            stack.push_async_callback(client_stopped, producer.stop)
            await producer.start()
            self._committed_to = await self._signature.sign(producer, self._clock())
            async with changelog_of(self._options, self.number, self._stores, self._clock) as changelog:
                self._store = changelog.store
                permits = self._options.restores
                await catch_up(changelog, self.number, permits, self._tell, self._metrics, self._clock)
            work = Work(
                self._options, self.number, changelog.store, producer, self._clock, self._metrics, self._committed_to
            )
            feed = await stack.enter_async_context(self._options.source.reading(self.number, work.position))
            self._work, self._worked = work, True
            self._tell(f"partition {self.number}: works from {work.position}")
            await self._work_off(work, feed, stop)

    async def _work_off(self, work: Work, feed: Feed, stop: asyncio.Event) -> None:
        """Steps 3 and 4, batch by batch; between them what a partition without traffic needs."""
        ticked = measured = ended = 0.0
        renewed = time.monotonic()
        while not stop.is_set():
            last: EventRecord | None = None
            if self.paused:
                await paused(stop, _PAUSED_SECONDS)
            else:
                await feed.arrives(self._options.batch_wait_ms / 1000)
                if feed.has_arrived:
                    await self._rested(feed, ended)
                    last = await self._take(work, feed, stop)
                    ended = time.monotonic()
            moment = time.monotonic()
            if last is not None:
                self._back_off.worked()
                self._metrics.last_commit.labels(str(self.number)).set(self._clock() / 1e6)
            elif not self.paused and work.is_due(self._clock()) and moment - ticked >= _TICK_SECONDS:
                ticked = moment
                await work.append_tick(self._clock())
            elif moment - renewed >= _RENEW_SECONDS:
                renewed = moment
                await work.renew()
            if self._is_near(feed):
                work.learn()
            await self._look(work, feed, last, measure=moment - measured >= _MEASURE_SECONDS)
            if moment - measured >= _MEASURE_SECONDS:
                measured = moment

    async def _rested(self, feed: Feed, ended: float) -> None:
        """Waits until the partition's next moment after its last commit, or not at all where a whole batch is there."""
        interval, share = self._options.commit_interval_ms / 1000, self.number / self._options.partitions
        seconds = next_moment(ended, interval, share) - time.monotonic()
        if seconds > 0 and self._is_near(feed):
            await asyncio.sleep(seconds)

    def _is_near(self, feed: Feed) -> bool:
        """Whether no backlog is known: all that is left can be folded in one step."""
        return (feed.end or 0) - feed.position < self._options.step_records_max

    async def _take(self, work: Work, feed: Feed, stop: asyncio.Event) -> EventRecord | None:
        """One batch, of what is there when the turn has come; its last record."""
        turns = self._options.turns
        async with AsyncExitStack() as stack:
            if self._is_near(feed):
                await stack.enter_async_context(turns.turn())
                last = self._step(work, feed, self._options.batch_records_max)
            else:
                async with turns.backlog() as seconds:
                    last = await self._fold(work, feed, stop, seconds)
                    await stack.enter_async_context(turns.turn())
            if last is not None:
                await work.commit()
            return last

    async def _fold(self, work: Work, feed: Feed, stop: asyncio.Event, seconds: float) -> EventRecord | None:
        """A backlog step by step, until its batch is whole or poisoned, or no more comes in time; its last record."""
        ends = time.monotonic() + seconds
        left = self._options.batch_records_max
        last: EventRecord | None = None
        while left > 0 and not stop.is_set() and time.monotonic() < ends:
            if not feed.has_arrived and not self._is_near(feed):
                await feed.arrives(_FETCH_SECONDS_MAX)
            before = feed.position
            found = self._step(work, feed, left)
            if found is None:
                break
            last = found
            left -= feed.position - before
            if work.is_poisoned:
                break
            await asyncio.sleep(_STEP_PAUSE_SECONDS)
        return last

    def _step(self, work: Work, feed: Feed, records_max: int) -> EventRecord | None:
        """Folds what has arrived, one step of it at most; the last record, None where there was none."""
        records = feed.take(min(self._options.step_records_max, records_max))
        if not records:
            return None
        work.fold(read_records(records), records[-1].offset + 1)
        return records[-1]

    async def _look(self, work: Work, feed: Feed, last: EventRecord | None, *, measure: bool) -> None:
        """How far the task is behind; now and then, and while it is paused, by asking instead of by what came."""
        if measure:
            work.measure()
            if self.paused:
                feed.end = await self._end()
        if feed.end is None:
            return
        lag = max(0, feed.end - feed.position)
        if last is not None:
            seconds = self._clock() / 1e6 - last.timestamp / 1e3
        elif lag and work.log_time > 0:
            seconds = (self._clock() - work.log_time) / 1e6
        else:
            seconds = 0.0
        self._caught_up = lag <= self._options.caught_up_records_max
        self._metrics.observe_lag(self.number, lag, max(0.0, seconds), caught_up=self._caught_up)

    async def _end(self) -> int:
        """The end of `events`, asked of the cluster: what is not read says nothing."""
        async with AsyncExitStack() as stack:
            consumer = open_consumer(self._options.connection, self._id)
            stack.push_async_callback(client_stopped, consumer.stop)
            await consumer.start()
            return (await consumer.end_offsets([self._source]))[self._source]

    def _let_go(self) -> None:
        """The attempt is over: what it had is nobody's to look at any more."""
        if self._work is not None:
            self._committed_to = self._work.committed_to
        if self._store is not None:
            self._store.close()
        self._store = self._work = None
        self._caught_up = False
        self._metrics.caught_up.labels(str(self.number)).set(0)
