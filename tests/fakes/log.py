"""The notification log in memory: NotificationLog as it is meant, in the fewest words."""

import asyncio
from collections.abc import Mapping, Sequence

from engine.log.ports import LogRecord
from schemas.outputs import Delivery
from schemas.topics import Topic


class FakeNotificationLog:
    """``append`` writes a record; ``deliveries`` holds those committed, by consumer; ``failure`` is raised if set.

    ``waiting`` is set while somebody waits, ``left`` once somebody has ceased to.
    """

    def __init__(self, partitions: int = 3) -> None:
        self.deliveries: dict[str, list[Delivery]] = {}
        self.failure: Exception | None = None
        self.waiting = asyncio.Event()
        self.left = asyncio.Event()
        self._records: list[list[LogRecord]] = [[] for _ in range(partitions)]
        self._positions: dict[str, dict[int, int]] = {}
        self._appended = asyncio.Event()

    def append(self, partition: int, key: str, value: bytes, at: int = 0) -> LogRecord:
        """Writes a record at the end of a partition."""
        records = self._records[partition]
        records.append(LogRecord(Topic.NOTIFICATIONS, partition, len(records), at, key, value))
        self._appended.set()
        self._appended = asyncio.Event()
        return records[-1]

    @property
    def partitions(self) -> int:
        return len(self._records)

    async def positions(self, consumer: str) -> Mapping[int, int]:
        self._fail()
        return dict(self._positions.get(consumer, {}))

    async def read(self, partition: int, offset: int, records_max: int) -> Sequence[LogRecord]:
        self._fail()
        return self._records[partition][offset : offset + records_max]

    async def wait(self, timeout_seconds: float) -> None:
        self._fail()
        appended = self._appended
        self.waiting.set()
        try:
            async with asyncio.timeout(timeout_seconds):
                await appended.wait()
        except TimeoutError:
            pass
        finally:
            self.waiting.clear()
            self.left.set()

    async def settled(self, consumer: str, notifications: Sequence[str]) -> frozenset[str]:
        self._fail()
        recorded = frozenset(delivery.notification for delivery in self.deliveries.get(consumer, []))
        return recorded & frozenset(notifications)

    async def commit(self, consumer: str, positions: Mapping[int, int], deliveries: Sequence[Delivery]) -> None:
        self._fail()
        self.deliveries.setdefault(consumer, []).extend(deliveries)
        mine = self._positions.setdefault(consumer, {})
        for partition, offset in positions.items():
            mine[partition] = max(offset, mine.get(partition, 0))

    def _fail(self) -> None:
        if self.failure is not None:
            raise self.failure
