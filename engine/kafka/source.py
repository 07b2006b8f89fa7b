"""`events` as the tasks of one process read them: one client for all, one fetch at a time at each broker (ADR 22).

A consumer for each partition costs a worker twelve long polls, and hands a task what it had prefetched while the task
was committing, however old that is by then. Here what arrives is laid down by partition, unread, and a task takes all
that is there when its turn comes. Reading is at read_committed: nothing after the last stable offset is sent by a
broker, and what was aborted is left out here, as the response says.
"""

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, suppress
from itertools import chain, islice
from typing import Any, Final, Protocol

from aiokafka import TopicPartition
from aiokafka.client import AIOKafkaClient
from aiokafka.errors import CorruptRecordException, KafkaError, NoError, TopicAuthorizationFailedError, for_code
from aiokafka.protocol.fetch import FetchRequest
from aiokafka.record.control_record import ABORT_MARKER, ControlRecord
from aiokafka.record.memory_records import MemoryRecords

from engine.connection import Connection
from engine.kafka.clients import security
from engine.kafka.failing import client_stopped

_READ_COMMITTED: Final = 1
_WAIT_MS: Final = 100  # a broker's for records; a partition that is new waits as long for the fetch that is under way
_BRIEF_WAIT_MS: Final = 10  # while one has a backlog: it is not asked for now, and has room again at any moment
_PACE_SECONDS: Final = 0.01  # between fetches that bring something: so a trickle comes in tens, not one by one
_PARTITION_BYTES_MAX: Final = 2 * 1024 * 1024  # of one fetch, compressed; so much may lie here when the next is sent
_FETCH_BYTES_MAX: Final = 4 * _PARTITION_BYTES_MAX
_RETRY_SECONDS: Final = 0.1
_AWAY_SECONDS_MAX: Final = 30.0  # a broker that is away for longer may have come back at another address
_LOOK_SECONDS: Final = 1.0  # between looks at who leads which partition
_FETCH_VERSION_OF_REPLICAS: Final = 11  # from here on a partition's answer names a replica, after the aborted ones


class EventRecord(Protocol):
    """A record of `events`: time in milliseconds."""

    @property
    def offset(self) -> int: ...

    @property
    def timestamp(self) -> int: ...

    @property
    def value(self) -> bytes | None: ...

    @property
    def headers(self) -> Sequence[tuple[str, bytes]]: ...


class Feed:
    """What has arrived of one partition and was not taken. Records up to ``position`` were; ``end`` is the offset after
    the partition's last record, as last heard; None: not yet."""

    def __init__(self, place: TopicPartition, position: int, has_room: Callable[[], None]) -> None:
        """``has_room`` is called when it was full and is not any more."""
        self.place = place
        self.position = position
        self.end: int | None = None
        self.fetched = position
        """The offset that the next fetch asks for."""
        self.bytes_held = 0
        self._batches: deque[tuple[Any, int, int, int]] = deque()  # Any: aiokafka's batch, None where nothing is in it
        self._reading: Iterator[EventRecord] | None = None
        self._after = position  # where the batch ends that ``_reading`` is of
        self._failure: Exception | None = None
        self._waiter: asyncio.Future[None] | None = None
        self._has_room = has_room

    @property
    def is_full(self) -> bool:
        """Whether nothing more is asked for until some of it is taken."""
        return self.bytes_held >= _PARTITION_BYTES_MAX

    @property
    def has_arrived(self) -> bool:
        """Whether there is something to take, or to raise."""
        return bool(self._reading or self._batches or self._failure)

    async def arrives(self, seconds: float) -> None:
        """Returns when something has arrived, or after that time."""
        if self.has_arrived:
            return
        loop = asyncio.get_running_loop()
        self._waiter = loop.create_future()
        timer = loop.call_later(seconds, self._wake)
        try:
            await self._waiter
        finally:
            timer.cancel()
            self._waiter = None

    def take(self, records_max: int) -> list[EventRecord]:
        """The next records, in order, at most that many; none where nothing but markers was there. Raises KafkaError
        where the partition cannot be read on."""
        if self._failure is not None:
            raise self._failure
        found: list[EventRecord] = []
        was_full = self.is_full
        while len(found) < records_max:
            if self._reading is None:
                if not self._batches:
                    break
                batch, first, self._after, size = self._batches.popleft()
                self.bytes_held -= size
                if batch is None:
                    self.position = self._after
                    continue
                # A record is made when it is taken, not all of a batch before. A batch may begin before what was asked.
                records = chain(batch)  # aiokafka's iterator is one that cannot be asked for twice
                self._reading = records if batch.base_offset >= first else (r for r in records if r.offset >= first)
            wanted = records_max - len(found)
            more = list(islice(self._reading, wanted))
            found += more
            self.position = more[-1].offset + 1 if len(more) == wanted else self._after
            if self.position == self._after:
                self._reading = None
        if was_full and not self.is_full:
            self._has_room()
        return found

    def receive(self, first: int, fetched: bytes, aborted: Sequence[tuple[int, int]], end: int) -> None:
        """Lays down a fetch that asked for ``first``; ``aborted``: producers and the first offsets of transactions.

        Raises CorruptRecordException.
        """
        self.end = end
        coming = sorted(aborted, key=lambda each: each[1])
        open_ones: set[int] = set()
        records = MemoryRecords(fetched)
        found: list[tuple[Any, int]] = []
        while records.has_next():
            batch: Any = records.next_batch()  # Any: aiokafka's, of one of two formats
            if not batch.validate_crc():
                raise CorruptRecordException(f"a batch of {self.place} at {batch.base_offset} is damaged")
            while coming and coming[0][1] <= batch.base_offset:
                open_ones.add(coming.pop(0)[0])
            after = batch.next_offset
            if batch.is_control_batch:
                if ControlRecord.parse(next(batch).key) == ABORT_MARKER:
                    open_ones.discard(batch.producer_id)
                batch = None
            elif batch.is_transactional and batch.producer_id in open_ones:
                batch = None
            found.append((batch, after))
        for batch, after in found:  # each counts for as much, so that there is room before all of them are taken
            self._batches.append((batch, first, after, len(fetched) // len(found)))
            self.bytes_held += len(fetched) // len(found)
            self.fetched = after
        if found:
            self._wake()

    def fail(self, failure: Exception) -> None:
        """Who takes next is told."""
        self._failure = failure
        self._wake()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)


class Source:
    """Fetches for the feeds that are open. Its client lives from the first of them to the last."""

    def __init__(self, connection: Connection, topic: str, client: str) -> None:
        self._connection = connection
        self._topic = topic
        self._name = client
        self._feeds: dict[int, Feed] = {}
        self._opening = asyncio.Lock()
        self._client: AIOKafkaClient | None = None
        self._is_broken = False
        self._watching: asyncio.Task[None] | None = None
        self._polling: dict[int, asyncio.Task[None]] = {}
        self._changed = asyncio.Event()

    @asynccontextmanager
    async def reading(self, number: int, position: int) -> AsyncIterator[Feed]:
        """A partition from that offset on, for as long as the block lasts. One at a time. Raises KafkaError."""
        assert number not in self._feeds
        feed = Feed(TopicPartition(self._topic, number), position, self._change)
        self._feeds[number] = feed
        try:
            async with self._opening:
                if self._client is None or self._is_broken:
                    await self._close()
                    await self._open()
            self._change()
            yield feed
        finally:
            del self._feeds[number]
            if not self._feeds:  # so nobody opens a client now
                await self._close()

    def _change(self) -> None:
        """A feed is new, or has room again."""
        self._changed.set()
        self._changed = asyncio.Event()

    async def _open(self) -> None:
        client = AIOKafkaClient(client_id=self._name, **security(self._connection))
        try:
            await client.bootstrap()
            await client.set_topics([self._topic])
        except BaseException:
            await client_stopped(client.close)
            raise
        self._client, self._is_broken = client, False
        self._watching = asyncio.create_task(self._watch(client))
        self._watching.add_done_callback(self._ended)

    async def _close(self) -> None:
        client, self._client = self._client, None
        tasks = [task for task in (self._watching, *self._polling.values()) if task is not None]
        self._watching = None
        self._polling = {}
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)
        if client is not None:
            await client_stopped(client.close)

    async def _watch(self, client: AIOKafkaClient) -> None:
        """Sees to it that each broker that leads a partition is asked."""
        while True:
            changed = self._changed
            for feed in self._feeds.values():
                leader = client.cluster.leader_for_partition(feed.place)
                if leader is None or leader == -1:
                    client.force_metadata_update()
                elif leader not in self._polling:
                    self._polling[leader] = asyncio.create_task(self._poll(client, leader))
                    self._polling[leader].add_done_callback(self._ended)
            with suppress(TimeoutError):
                await asyncio.wait_for(changed.wait(), _LOOK_SECONDS)

    async def _poll(self, client: AIOKafkaClient, node: int) -> None:
        """One fetch after another at one broker. Where it is away for too long, its partitions begin again, with a
        client that is new; feeds of other brokers do not notice."""
        answered = time.monotonic()
        while True:
            changed = self._changed
            wanted = sorted(
                (
                    feed
                    for feed in self._feeds.values()
                    if not feed.is_full and client.cluster.leader_for_partition(feed.place) == node
                ),
                key=lambda feed: feed.bytes_held,
            )
            if not wanted:
                answered = time.monotonic()
                await changed.wait()
                continue
            asked = time.monotonic()
            try:
                pause = await self._fetch(client, node, wanted)
                answered = time.monotonic()
            except KafkaError as error:
                if time.monotonic() - answered > _AWAY_SECONDS_MAX:
                    self._is_broken = True
                    for feed in wanted:
                        feed.fail(error)
                client.force_metadata_update()
                pause = _RETRY_SECONDS
            await asyncio.sleep(max(0.0, pause - (time.monotonic() - asked)))

    async def _fetch(self, client: AIOKafkaClient, node: int, feeds: Sequence[Feed]) -> float:
        """One fetch, laid down; seconds from its begin to the next one."""
        asked = {feed.place.partition: (feed, feed.fetched) for feed in feeds}
        places = [(number, offset, _PARTITION_BYTES_MAX) for number, (_, offset) in asked.items()]
        wait_ms = _BRIEF_WAIT_MS if any(feed.is_full for feed in self._feeds.values()) else _WAIT_MS
        request = FetchRequest(wait_ms, 1, _FETCH_BYTES_MAX, _READ_COMMITTED, [(self._topic, places)])
        response = await client.send(node, request)
        aborted_at = -3 if response.API_VERSION >= _FETCH_VERSION_OF_REPLICAS else -2
        pause = 0.0
        for _, partitions in response.topics:
            for number, code, end, *rest in partitions:
                feed, first = asked[number]
                failure = for_code(code)
                if self._feeds.get(number) is not feed:
                    continue
                if failure is NoError:
                    try:
                        feed.receive(first, rest[-1], rest[aborted_at] or (), end)
                    except CorruptRecordException as error:
                        feed.fail(error)
                    if rest[-1]:
                        pause = max(pause, _PACE_SECONDS)
                elif failure.retriable:
                    client.force_metadata_update()
                    pause = _RETRY_SECONDS
                elif failure is TopicAuthorizationFailedError:
                    feed.fail(failure(self._topic, "Read"))
                else:
                    feed.fail(failure(f"{feed.place} at {first}"))
        return pause

    def _ended(self, task: "asyncio.Task[None]") -> None:
        """What fetches has failed by something unforeseen: so do all tasks, and begin again."""
        if task.cancelled():
            return
        failure = task.exception()
        assert isinstance(failure, Exception)
        self._is_broken = True
        for feed in self._feeds.values():
            feed.fail(failure)
