"""The changelog of a partition, read into its local store: by a restore up to an end, by a standby for good.

Every fetch goes into the store by one WriteBatch together with the position after it, so a restore that was cut off
goes on where it was. Opening a store needs no scan of it: what is asked for is read when it is asked for.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Final

from aiokafka.errors import KafkaTimeoutError

from engine.kafka.clients import Consumer, open_consumer
from engine.kafka.failing import client_stopped
from engine.kafka.local import LocalStores
from engine.kafka.metrics import TaskMetrics
from engine.kafka.options import TaskOptions
from engine.kafka.recording import Pair, write_pairs
from engine.kafka.standing import FORMAT, Standing, write_standing
from engine.store.rocks import RocksStore

_FETCH_BYTES_MAX: Final = 4 * 1024 * 1024  # as stored, compressed: some tens of thousands of records
_BATCH_RECORDS_MAX: Final = 2_000  # of one WriteBatch: larger ones cost more a record, and the event loop waits longer
_SMALL_RECORDS_MAX: Final = 50_000  # less than a second's work asks nobody's leave
_STALL_SECONDS_MAX: Final = 30.0
_TELL_SECONDS: Final = 5.0
_WAIT_MS: Final = 500
_TURNS: Final = 3  # of the event loop, until the client has sent its next fetch


class Changelog:
    """One partition of the changelog, at a position, and the store that has everything before it."""

    def __init__(
        self, options: TaskOptions, number: int, consumer: Consumer, store: RocksStore, position: int, end: int
    ) -> None:
        self.number = number
        self.store = store
        self.position = position
        self.end = end
        self._options = options
        self._consumer = consumer
        self._place = options.changelog(number)

    async def read(self, now: Callable[[], int]) -> int:
        """The next fetch into the store; how many records it had. ``now``: microseconds since the epoch."""
        found = await self._consumer.getmany(self._place, timeout_ms=_WAIT_MS, max_records=_BATCH_RECORDS_MAX)
        pairs: list[Pair] = [(record.key or b"", record.value) for record in found.get(self._place, ())]
        self.end = max(self.end, self._consumer.highwater(self._place) or 0)
        position = await self._consumer.position(self._place)
        if position != self.position:
            for _ in range(_TURNS):
                await asyncio.sleep(0)  # the next fetch is under way while this one is written
            self.write(pairs, position, now())
        return len(pairs)

    def write(self, pairs: list[Pair], position: int, now: int) -> None:
        """Records, the position after them, and the time at which that was so, in one WriteBatch."""
        batch = self.store.batch()
        write_pairs(self.store, batch, self.number, pairs)
        write_standing(batch, self.number, standing_of(self._options, position, now))
        self.store.write(batch)
        self.position = position


def standing_of(options: TaskOptions, position: int, now: int) -> Standing:
    """What a store says of itself that has everything before a position of the changelog."""
    return Standing(options.cluster, position, now, options.partitions, FORMAT)


@asynccontextmanager
async def changelog_of(
    options: TaskOptions, number: int, stores: LocalStores, now: Callable[[], int]
) -> AsyncIterator[Changelog]:
    """Opens store and changelog where the store left off; closes the changelog. The store is the caller's to close."""
    async with AsyncExitStack() as stack:
        consumer = open_consumer(options.connection, f"{options.app}-{number}", fetch_bytes_max=_FETCH_BYTES_MAX)
        stack.push_async_callback(client_stopped, consumer.stop)
        await consumer.start()
        place = options.changelog(number)
        begin = (await consumer.beginning_offsets([place]))[place]
        end = (await consumer.end_offsets([place]))[place]
        store, standing = stores.open(begin, end, now())
        try:
            position = begin if standing is None else standing.position
            consumer.assign([place])
            consumer.seek(place, position)
        except BaseException:
            store.close()
            raise
        yield Changelog(options, number, consumer, store, position, end)


async def catch_up(
    changelog: Changelog,
    number: int,
    permits: asyncio.Semaphore,
    tell: Callable[[str], None],
    metrics: TaskMetrics,
    now: Callable[[], int],
) -> None:
    """Reads up to the end that the changelog had when it was opened.

    Where that is far, it waits for a permit first. Raises KafkaTimeoutError where nothing more comes.
    """
    first, end = changelog.position, changelog.end
    remaining = metrics.restore_remaining_records.labels(str(number))
    remaining.set(end - first)
    async with AsyncExitStack() as stack:
        if end - first > _SMALL_RECORDS_MAX:
            if permits.locked():
                tell(f"partition {number}: waits for other restores; {end - first} offsets of the changelog to go")
            await stack.enter_async_context(permits)
        restored = metrics.restored_records.labels(str(number))
        began = told = progressed = time.monotonic()
        count = 0
        while changelog.position < end:
            before = changelog.position
            read = await changelog.read(now)
            moment = time.monotonic()
            if changelog.position == before:
                if moment - progressed > _STALL_SECONDS_MAX:
                    raise KafkaTimeoutError(f"the changelog gives nothing at {before}, it should reach {end}")
                continue
            progressed = moment
            count += read
            restored.inc(read)
            remaining.set(max(0, end - changelog.position))
            if moment - told >= _TELL_SECONDS:
                told = moment
                share = (changelog.position - first) / (end - first)
                tell(
                    f"partition {number}: restoring: {share:.0%} of the changelog from {first} to {end}, "
                    f"{count / (moment - began):,.0f} records/s"
                )
        changelog.write([], changelog.position, now())
        seconds = time.monotonic() - began
    tell(
        f"partition {number}: restored {count} records of the changelog, from {first} to {end}, in {seconds:.1f} s "
        f"({count / max(seconds, 0.001):,.0f}/s)"
    )
