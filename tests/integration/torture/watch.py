"""How long a committed reader has to wait: for what was appended to `events`, and for the next balance.

The first is what open transactions cost others, the second how long a partition was not worked on.
"""

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
    """Reads `events` and `changes` of every partition on, under load."""

    def __init__(self, connection: Connection, prefix: str, partitions: int) -> None:
        self._connection = connection
        self._events = [TopicPartition(prefix + Topic.EVENTS.value, number) for number in range(partitions)]
        self._changes = [TopicPartition(prefix + Topic.CHANGES.value, number) for number in range(partitions)]
        self._held_up_seconds = 0.0
        self._gap_seconds = 0.0
        self._changed: dict[TopicPartition, float] = {}

    def begin(self) -> None:
        """Load begins: from now on it counts."""
        self._held_up_seconds = self._gap_seconds = 0.0
        self._changed = dict.fromkeys(self._changes, time.monotonic())

    def end(self) -> tuple[float, float]:
        """Load ends. The longest in seconds from append to arrival of an event, and between changes of a partition."""
        gaps = [time.monotonic() - at for at in self._changed.values()]
        self._changed = {}
        return self._held_up_seconds, max(self._gap_seconds, *gaps)

    async def run(self) -> None:
        """Reads until it is cancelled."""
        positions: dict[TopicPartition, int] = {}
        places = [*self._events, *self._changes]
        while True:
            consumer: Consumer = open_consumer(self._connection, "watch")
            try:
                await consumer.start()
                consumer.assign(places)
                positions = positions or await consumer.end_offsets(places)
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
        found = await consumer.getmany(*positions, timeout_ms=_FETCH_MS, max_records=_RECORDS_MAX)
        now, moment = time.time(), time.monotonic()
        for place, records in found.items():
            if not records:
                continue
            positions[place] = records[-1].offset + 1
            if place in self._changed:
                self._gap_seconds = max(self._gap_seconds, moment - self._changed[place])
                self._changed[place] = moment
            elif place in self._events and self._changed:
                self._held_up_seconds = max(self._held_up_seconds, now - records[0].timestamp / 1000)
