"""The embedded log as consumers see it: durable records of a topic, positions, and settled notifications."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Final

import msgspec

from engine.log.chunks import chunk_key, decode_chunk, offset_of
from engine.log.ports import LogRecord
from engine.partition.keys import after
from engine.partition.partition import Partition
from engine.store.ports import LOG, STATE, Batch, Store
from schemas.outputs import Delivery
from schemas.topics import Topic

_GLOBAL: Final = b"\xff\xff"  # no partition has this number
_POSITIONS: Final = _GLOBAL + b"p"
_SETTLED: Final = _GLOBAL + b"s"
_encode = msgspec.msgpack.Encoder().encode
_decode_positions = msgspec.msgpack.Decoder(dict[int, int]).decode


def read_topic(
    store: Store, partition: int, topic: Topic, offset: int, end: int, records_max: int
) -> list[LogRecord]:
    """Records of a topic from ``offset`` up to, not including, ``end``; at most ``records_max``."""
    records: list[LogRecord] = []
    begin = chunk_key(partition, topic, 0)
    found = store.last_before(LOG, begin, chunk_key(partition, topic, offset))
    first = begin if found is None else found[0]
    for key, value in store.scan(LOG, first, chunk_key(partition, topic, end)):
        at_offset = offset_of(key)
        for entry in decode_chunk(value):
            if offset <= at_offset < end:
                if len(records) >= records_max:
                    return records
                records.append(LogRecord(topic, partition, at_offset, entry.at, entry.key, entry.value))
            at_offset += 1
    return records


class EmbeddedNotificationLog:
    """NotificationLog over the embedded store. Positions and deliveries are one batch, fsynced before it returns."""

    def __init__(
        self,
        store: Store,
        partitions: Sequence[Partition],
        route: Callable[[str], int],
        durable_end: Callable[[int, Topic], int],
        write: Callable[[Batch], "asyncio.Future[None]"],
        now: Callable[[], int],
    ) -> None:
        """``durable_end``: the offset after the last durable record; ``write``: writes and resolves once durable."""
        self._store = store
        self._partitions = partitions
        self._route = route
        self._durable_end = durable_end
        self._write = write
        self._now = now
        self._news = asyncio.Event()

    @property
    def partitions(self) -> int:
        return len(self._partitions)

    def announce(self) -> None:
        """There may be something new to read."""
        self._news.set()

    async def positions(self, consumer: str) -> Mapping[int, int]:
        stored = self._store.get(STATE, _POSITIONS + consumer.encode())
        return {} if stored is None else _decode_positions(stored)

    def unread(self) -> dict[int, int]:
        """By partition the first offset that some consumer has not read; empty where no consumer has ever read."""
        positions = [
            _decode_positions(value) for _, value in self._store.scan(STATE, _POSITIONS, after(_POSITIONS))
        ]
        if not positions:
            return {}
        return {number: min(each.get(number, 0) for each in positions) for number in range(self.partitions)}

    async def read(self, partition: int, offset: int, records_max: int) -> Sequence[LogRecord]:
        end = self._durable_end(partition, Topic.NOTIFICATIONS)
        return read_topic(self._store, partition, Topic.NOTIFICATIONS, offset, end, records_max)

    async def wait(self, timeout_seconds: float) -> None:
        news = self._news
        try:
            await asyncio.wait_for(news.wait(), timeout_seconds)
        except TimeoutError:
            return
        if self._news is news:
            self._news = asyncio.Event()

    async def settled(self, consumer: str, notifications: Sequence[str]) -> frozenset[str]:
        begin = _settled_prefix(consumer)
        return frozenset(
            name for name in notifications if self._store.get(STATE, begin + name.encode()) is not None
        )

    async def commit(self, consumer: str, positions: Mapping[int, int], deliveries: Sequence[Delivery]) -> None:
        """A commit that is repeated, because its answer was lost, records nothing twice."""
        current = dict(await self.positions(consumer))
        for partition, offset in positions.items():
            current[partition] = max(offset, current.get(partition, 0))
        batch = self._store.batch()
        settled = await self.settled(consumer, [delivery.notification for delivery in deliveries])
        deliveries = [delivery for delivery in deliveries if delivery.notification not in settled]
        by_partition: dict[int, list[Delivery]] = {}
        for delivery in deliveries:
            by_partition.setdefault(self._route(delivery.client), []).append(delivery)
        for number, items in sorted(by_partition.items()):
            self._partitions[number].append_deliveries(batch, items, self._now())
        batch.use(STATE)
        at = self._now().to_bytes(8, "big")
        for delivery in deliveries:
            batch.put(_settled_prefix(consumer) + delivery.notification.encode(), at)
        batch.put(_POSITIONS + consumer.encode(), _encode(current))
        await self._write(batch)

    def forget_settled(self, before: int, entries_max: int) -> int:
        """Forgets deliveries recorded before an instant: their positions are long past. How many were forgotten."""
        batch, count = self._store.batch(), 0
        batch.use(STATE)
        for key, value in self._store.scan(STATE, _SETTLED, after(_SETTLED)):
            if int.from_bytes(value, "big") < before:
                batch.delete(key)
                count += 1
                if count >= entries_max:
                    break
        self._store.write(batch)
        return count


def _settled_prefix(consumer: str) -> bytes:
    return _SETTLED + consumer.encode() + b"\0"
