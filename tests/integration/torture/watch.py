"""How long a committed reader of `events` has to wait for what was appended: what open transactions cost others."""

import asyncio
import time
from contextlib import suppress
from typing import Final

from aiokafka import TopicPartition
from aiokafka.errors import KafkaError

from engine.kafka.clients import Connection, Consumer, open_consumer
from schemas.topics import Topic

_FETCH_MS: Final = 100
_RECORDS_MAX: Final = 2_000
_AGAIN_SECONDS: Final = 0.5


class Watch:
    """Reads every partition on, and keeps the longest time from a record's append time to its arrival here."""

    def __init__(self, connection: Connection, prefix: str, partitions: int) -> None:
        self._connection = connection
        self._places = [TopicPartition(prefix + Topic.EVENTS.value, number) for number in range(partitions)]
        self._longest_seconds = 0.0

    def take(self) -> float:
        """The longest wait since this was asked last, in seconds."""
        longest, self._longest_seconds = self._longest_seconds, 0.0
        return longest

    async def run(self) -> None:
        """Reads until it is cancelled."""
        positions: dict[TopicPartition, int] = {}
        while True:
            consumer: Consumer = open_consumer(self._connection, "watch")
            try:
                await consumer.start()
                consumer.assign(self._places)
                positions = positions or await consumer.end_offsets(self._places)
                for place, position in positions.items():
                    consumer.seek(place, position)
                while True:
                    await self._read(consumer, positions)
            except KafkaError:
                await asyncio.sleep(_AGAIN_SECONDS)
            finally:
                with suppress(KafkaError):
                    await consumer.stop()

    async def _read(self, consumer: Consumer, positions: dict[TopicPartition, int]) -> None:
        found = await consumer.getmany(*self._places, timeout_ms=_FETCH_MS, max_records=_RECORDS_MAX)
        now = time.time()
        for place, records in found.items():
            if records:
                positions[place] = records[-1].offset + 1
                self._longest_seconds = max(self._longest_seconds, now - records[0].timestamp / 1000)
