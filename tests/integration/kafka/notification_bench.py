"""The notification log on topics of its own, for tests, with what only a test may do to it."""

import asyncio
import time
from collections.abc import Sequence
from typing import Final

import msgspec
from aiokafka import TopicPartition

from engine.kafka.clients import Connection, Producer, open_admin, open_consumer, open_producer
from engine.kafka.ledger import CONSUMER_HEADER
from engine.kafka.notification_log import KafkaNotificationLog
from engine.kafka.topics import create_topics
from engine.log.ports import NotificationLog
from schemas.outputs import Delivery
from schemas.topics import Topic

PARTITIONS: Final = 2
SECONDS_MAX: Final = 120.0
_MOMENT_MS: Final = 200
_decode = msgspec.json.Decoder(Delivery).decode


class KafkaBench:
    """The adapter on topics of its own. What is appended is a transaction, so that the log has holes as in life."""

    def __init__(self, broker: str | Connection, prefix: str) -> None:
        self.connection = broker if isinstance(broker, Connection) else Connection(bootstrap=broker)
        self.prefix = prefix
        self.topic = prefix + Topic.NOTIFICATIONS.value
        self._producer: Producer = open_producer(self.connection, f"{prefix}bench")
        self._reader = open_consumer(self.connection, "bench")
        self._tail = open_consumer(self.connection, "bench")
        self._delivered: list[tuple[str, Delivery]] = []
        self._delivered_to: dict[TopicPartition, int] = {}
        self.opened: KafkaNotificationLog | None = None

    @property
    def log(self) -> NotificationLog:
        assert self.opened is not None
        return self.opened

    async def start(self) -> None:
        admin = open_admin(self.connection)
        await admin.start()
        await create_topics(admin, self.prefix, PARTITIONS, None)
        await admin.close()
        await self._producer.start()
        await self._reader.start()
        await self._tail.start()
        await self.reopen()

    async def append(self, partition: int, key: str, value: bytes) -> None:
        await self._producer.begin_transaction()
        sent = await self._producer.send(
            self.topic, value, key=key.encode(), partition=partition, timestamp_ms=1_769_853_600_000, headers=[]
        )
        await self._producer.commit_transaction()
        place, offset = TopicPartition(self.topic, partition), (await sent).offset
        self._reader.assign([place])
        self._reader.seek(place, offset)
        async with asyncio.timeout(SECONDS_MAX):  # the commit's mark is written after its answer
            while not await self._reader.getmany(place, timeout_ms=200, max_records=1):
                pass

    async def reopen(self) -> None:
        await self.close()
        self.opened = await KafkaNotificationLog.open(self.connection, self.prefix)

    async def close(self) -> None:
        if self.opened is not None:
            await self.opened.__aexit__(None, None, None)
            self.opened = None

    async def end(self) -> None:
        await self.close()
        await self._producer.stop()
        await self._reader.stop()
        await self._tail.stop()

    async def appended(self, values: Sequence[tuple[int, str, bytes]]) -> None:
        """Many at once, each with partition and key, in one transaction."""
        at_ms = time.time_ns() // 10**6
        await self._producer.begin_transaction()
        for partition, key, value in values:
            await self._producer.send(
                self.topic,
                value,
                key=key.encode(),
                partition=partition,
                timestamp_ms=at_ms,
                headers=[],
            )
        await self._producer.commit_transaction()

    async def deliveries(self) -> list[tuple[str, Delivery]]:
        """Everything that is committed in `deliveries`, each with its consumer; waits a moment for more."""
        places = [TopicPartition(self.prefix + Topic.DELIVERIES.value, number) for number in range(PARTITIONS)]
        if not self._delivered_to:
            self._tail.assign(places)
            for place in places:
                self._tail.seek(place, 0)
        self._delivered_to = await self._tail.end_offsets(places)
        while True:
            found = await self._tail.getmany(*places, timeout_ms=_MOMENT_MS, max_records=1000)
            for records in found.values():
                for record in records:
                    assert record.value is not None
                    delivery = _decode(record.value)
                    assert record.key == delivery.notification.encode()
                    self._delivered.append((dict(record.headers)[CONSUMER_HEADER].decode(), delivery))
            if all([await self._tail.position(place) >= self._delivered_to[place] for place in places]):
                return self._delivered
