"""A notifications topic in memory, with every promise of the port ``NotificationLog``."""

import asyncio
from collections.abc import Mapping, Sequence

from engine.log.ports import LogRecord
from schemas.outputs import Delivery, Notification, encode_output
from schemas.times import parse_time
from schemas.topics import Topic


class LogDownError(Exception):
    """The log cannot be reached for now."""

    retriable = True


class MemoryNotificationLog:
    """What one process sees of the log; another ``Delivering`` on the same object is that process started again."""

    def __init__(self, partitions: int = 2) -> None:
        self._records: list[list[LogRecord]] = [[] for _ in range(partitions)]
        self._positions: dict[str, dict[int, int]] = {}
        self._changed = asyncio.Condition()
        self.deliveries: dict[str, list[Delivery]] = {}
        self.commits = 0
        self.commits_failing = 0
        """So many of the next commits fail and change nothing."""

    @property
    def partitions(self) -> int:
        return len(self._records)

    async def append(self, *notifications: Notification, partition: int = 0) -> None:
        """Adds notifications to a partition, and is news."""
        for notification in notifications:
            await self.append_bytes(
                encode_output(notification), parse_time(notification.at), notification.client, partition
            )

    async def append_bytes(self, value: bytes, at: int = 0, key: str = "c-1", partition: int = 0) -> None:
        """Adds a record as it is."""
        records = self._records[partition]
        records.append(LogRecord(Topic.NOTIFICATIONS, partition, len(records), at, key, value))
        async with self._changed:
            self._changed.notify_all()

    async def positions(self, consumer: str) -> Mapping[int, int]:
        return dict(self._positions.get(consumer, {}))

    async def read(self, partition: int, offset: int, records_max: int) -> Sequence[LogRecord]:
        assert records_max > 0
        return self._records[partition][offset : offset + records_max]

    async def wait(self, timeout_seconds: float) -> None:
        async with self._changed:
            try:
                await asyncio.wait_for(self._changed.wait(), timeout_seconds)
            except TimeoutError:
                return

    async def settled(self, consumer: str, notifications: Sequence[str]) -> frozenset[str]:
        known = {delivery.notification for delivery in self.deliveries.get(consumer, [])}
        return frozenset(known.intersection(notifications))

    async def commit(self, consumer: str, positions: Mapping[int, int], deliveries: Sequence[Delivery]) -> None:
        if self.commits_failing:
            self.commits_failing -= 1
            raise LogDownError("commits fail in this test")
        mine = self._positions.setdefault(consumer, {})
        for partition, offset in positions.items():
            assert mine.get(partition, 0) <= offset <= len(self._records[partition]), "a position went astray"
        recorded = self.deliveries.setdefault(consumer, [])
        known = {delivery.notification for delivery in recorded}
        for delivery in deliveries:
            assert delivery.notification not in known, f"{delivery.notification} has two outcomes"
            known.add(delivery.notification)
        mine.update(positions)
        recorded.extend(deliveries)
        self.commits += 1
        async with self._changed:
            self._changed.notify_all()

    async def recorded(self, consumer: str, count: int) -> list[Delivery]:
        """The consumer's deliveries once there are ``count``; fails after two minutes."""
        async with asyncio.timeout(120), self._changed:
            await self._changed.wait_for(lambda: len(self.deliveries.get(consumer, [])) >= count)
        return self.deliveries[consumer]

    async def reached(self, consumer: str, positions: Mapping[int, int]) -> None:
        """Returns once the consumer's positions are these; fails after two minutes."""
        async with asyncio.timeout(120), self._changed:
            await self._changed.wait_for(lambda: self._positions.get(consumer, {}) == positions)
