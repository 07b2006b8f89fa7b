"""A group that changes while events come in: how long readers see nothing new, and that nothing comes out wrong."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import datetime
from itertools import count
from pathlib import Path

import httpx
import pytest

from schemas.topics import partition_of
from tests.integration.kafka.cluster import Cluster, assert_equal_to_replay
from tests.integration.kafka.test_shell import PARTITIONS, SESSION_SECONDS, Member
from tests.integration.kafka.test_worker import CLIENTS, opening, traffic

pytestmark = pytest.mark.kafka

PAUSE_SECONDS_MAX = 10.0
FAILOVER_SECONDS_MAX = SESSION_SECONDS + 3.0
LOADED_SECONDS = 10.0  # what a machine with other work on it may add; what it took is printed
BATCH, BATCH_SECONDS = 12, 0.05  # 240 events a second, each client in every batch


class Load:
    """Charges and transfers for every client, and how old what readers see of them is."""

    def __init__(self, cluster: Cluster, asked: str) -> None:
        self.worst_seconds = 0.0
        self.tasks: list[asyncio.Task[None]] = []
        self._cluster = cluster
        self._asked = asked
        self._seen = dict.fromkeys(range(PARTITIONS), time.time())
        self._clients = {partition_of(f"k-{each}", PARTITIONS): f"k-{each}" for each in range(CLIENTS)}
        assert len(self._clients) == PARTITIONS

    async def produce(self) -> None:
        numbers: Iterator[int] = count(1_000, BATCH)
        while True:
            begin = next(numbers)
            await self._cluster.produce(traffic(begin, begin + BATCH))
            await asyncio.sleep(BATCH_SECONDS)

    async def look(self) -> None:
        async with httpx.AsyncClient(timeout=5) as client:
            while True:
                for number, name in self._clients.items():
                    try:
                        answer = await client.get(f"{self._asked}/v1/clients/{name}")
                    except httpx.TimeoutException:
                        break  # a machine with much other work; what is not seen grows old meanwhile
                    if answer.status_code == 200:
                        at = datetime.fromisoformat(answer.json()["at"]).timestamp()
                        self._seen[number] = max(at, self._seen[number])
                self.worst_seconds = max(self.worst_seconds, self.age())
                await asyncio.sleep(BATCH_SECONDS)

    def age(self) -> float:
        """Seconds since the log time of what is seen of the partition that is furthest behind."""
        return time.time() - min(self._seen.values())

    async def flows(self) -> None:
        """Returns when readers see of every partition what came in within the last second."""
        deadline = time.monotonic() + 120
        while self.age() > 1.0:
            assert time.monotonic() < deadline, {number: time.time() - at for number, at in self._seen.items()}
            assert not any(task.done() for task in self.tasks), self.tasks
            await asyncio.sleep(BATCH_SECONDS)


@asynccontextmanager
async def load(cluster: Cluster, asked: str) -> AsyncIterator[Load]:
    made = Load(cluster, asked)
    made.tasks = [asyncio.create_task(made.produce()), asyncio.create_task(made.look())]
    try:
        await made.flows()
        yield made
        assert not any(task.done() for task in made.tasks), made.tasks
    finally:
        for task in made.tasks:
            task.cancel()
        await asyncio.gather(*made.tasks, return_exceptions=True)


async def test_scale_out_under_load_and_the_loss_of_the_new_worker(broker: str, prefix: str, tmp_path: Path) -> None:
    async with Cluster(broker, prefix, PARTITIONS) as cluster:
        await cluster.produce(opening())
        with Member(cluster, tmp_path / "a") as first:
            first.given(4)
            async with load(cluster, first.url) as under:
                under.worst_seconds = 0.0
                with Member(cluster, tmp_path / "b") as second:
                    await asyncio.to_thread(second.given, 2)
                    await asyncio.to_thread(first.given, 2)
                    for number in (each for each in range(PARTITIONS)):
                        await asyncio.to_thread(standing_by, number, first, second)
                    await under.flows()
                    pause = under.worst_seconds
                    killed = time.monotonic()
                    second.kill()
                await asyncio.to_thread(first.given, 4)
                await under.flows()
                failover = time.monotonic() - killed
            events = await cluster.settled()
            assert first.stop() == 0, first.errors
        print(f"pause {pause:.1f} s, failover {failover:.1f} s")
        assert pause < PAUSE_SECONDS_MAX
        assert failover < FAILOVER_SECONDS_MAX + LOADED_SECONDS
        await assert_equal_to_replay(cluster, events)


def standing_by(number: int, *members: Member) -> None:
    """Waits until one of them stands by for a partition."""
    deadline = time.monotonic() + 120
    while not any(f"standby {number}: stands by" in line for member in members for line in member.lines):
        assert time.monotonic() < deadline
        time.sleep(0.1)
