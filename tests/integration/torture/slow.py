"""A consumer of notifications that is far behind all the time, and must see the same as one that is not."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from typing import Final

from aiokafka import TopicPartition
from aiokafka.errors import KafkaError

from engine.kafka.clients import Connection, Consumer, open_consumer
from schemas.topics import Topic

_FETCH_MS: Final = 200
_AT_ONCE: Final = 2
_PAUSE_SECONDS: Final = 1.0
_SECONDS_MAX: Final = 120.0


class SlowConsumer:
    """Reads two records, then rests; once ``hurry`` is called it rests no more."""

    def __init__(self, connection: Connection, prefix: str, partitions: int) -> None:
        self._connection = connection
        self._places = [TopicPartition(prefix + Topic.NOTIFICATIONS.value, number) for number in range(partitions)]
        self._seen: list[list[bytes]] = [[] for _ in range(partitions)]
        self._hurry = asyncio.Event()

    async def run(self) -> None:
        """Reads until it is cancelled."""
        positions = dict.fromkeys(self._places, 0)
        while True:
            consumer: Consumer = open_consumer(self._connection, "slow")
            try:
                await consumer.start()
                consumer.assign(self._places)
                for place, position in positions.items():
                    consumer.seek(place, position)
                while True:
                    found = await consumer.getmany(*self._places, timeout_ms=_FETCH_MS, max_records=_AT_ONCE)
                    for place, records in found.items():
                        self._seen[place.partition] += [record.value or b"" for record in records]
                        positions[place] = records[-1].offset + 1
                    with suppress(TimeoutError):
                        await asyncio.wait_for(self._hurry.wait(), _PAUSE_SECONDS)
            except KafkaError:
                await asyncio.sleep(_PAUSE_SECONDS)
            finally:
                with suppress(KafkaError):
                    await consumer.stop()

    async def check(self, notifications: Sequence[Sequence[bytes]]) -> int:
        """Lets it read the rest, and holds all that it saw against those. How many it saw."""
        self._hurry.set()
        wanted = sum(map(len, notifications))
        with suppress(TimeoutError):
            async with asyncio.timeout(_SECONDS_MAX):
                while True:
                    if sum(map(len, self._seen)) >= wanted:
                        break
                    await asyncio.sleep(_FETCH_MS / 1000)
        assert self._seen == [list(each) for each in notifications], "a slow consumer saw other notifications"
        return wanted
