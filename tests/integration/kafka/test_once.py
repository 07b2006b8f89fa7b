"""Once is once: after a restore as before, and between partitions whose owners come and go."""

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from engine.kafka.task import PartitionTask
from schemas.topics import Topic, partition_of
from tests.integration.kafka.cluster import Cluster, assert_equal_to_replay
from tests.integration.kafka.tasks import options_of
from tests.integration.kafka.test_worker import event

pytestmark = pytest.mark.kafka

PARTITIONS = 3
SECONDS = 120.0
A, B = "k-0", "k-1"


@asynccontextmanager
async def owned(cluster: Cluster, data: Path, partitions: Sequence[int]) -> AsyncIterator[None]:
    """Tasks over those partitions, from whatever is in the folder; cut off at the end as a kill would."""
    options = await options_of(cluster, data)
    stop = asyncio.Event()
    tasks = [asyncio.create_task(PartitionTask(options, number, lambda _: None).run(stop)) for number in partitions]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def live(cluster: Cluster) -> dict[str, str]:
    """The last change of each client: what it has."""
    found = {}
    for records in await cluster.read(Topic.CHANGES.value):
        for record in records:
            change = json.loads(record.value)
            found[change["client"]] = change["live"]
    return found


async def worked_off(cluster: Cluster, partitions: Sequence[int]) -> None:
    """Returns when the engine is at the end of those partitions."""
    async with asyncio.timeout(SECONDS):
        while True:
            whole = await cluster.is_whole()
            events, positions = await cluster.read(Topic.EVENTS.value), await cluster.positions()
            ends = [records[-1].offset + 1 if records else 0 for records in events]
            if whole and all(positions[number] == ends[number] for number in partitions) and await cluster.is_whole():
                return


CLIENTS = [event(1, type="client", client=name, currency="USD", transfers="yes") for name in (A, B)] + [
    event(2, type="payment", client=name, amount="10") for name in (A, B)
]


async def test_a_repeat_and_a_conflict_are_known_after_the_store_is_lost(
    broker: str, prefix: str, tmp_path: Path
) -> None:
    charge = event(3, type="charge", client=A, amount="1")
    user = event(4, type="user", user="u")
    async with Cluster(broker, prefix, PARTITIONS) as cluster:
        async with owned(cluster, tmp_path / "first", range(PARTITIONS)):
            await cluster.produce([*CLIENTS, charge, user])
            await cluster.settled()
        async with owned(cluster, tmp_path / "second", range(PARTITIONS)):
            other = event(3, type="charge", client=A, amount="2")
            await cluster.produce([charge, other, user, event(4, type="user", user="u", name="another")])
            events = await cluster.settled()
        await assert_equal_to_replay(cluster, events)
        assert await live(cluster) == {A: "9", B: "10"}
        rejections = [json.loads(each.value) for records in await cluster.read("rejections") for each in records]
        assert [each["reason"] for each in rejections] == ["conflict"] * (1 + PARTITIONS)


async def test_a_transfer_waits_for_the_owner_of_the_receiver_and_counts_once(
    broker: str, prefix: str, tmp_path: Path
) -> None:
    """The receiver's partition has no owner, then one whose store is lost; the sender's is lost before the outcome."""
    sender, receiver = partition_of(A, PARTITIONS), partition_of(B, PARTITIONS)
    assert sender != receiver
    async with Cluster(broker, prefix, PARTITIONS) as cluster:
        async with owned(cluster, tmp_path / "first", range(PARTITIONS)):
            await cluster.produce(CLIENTS)
            await cluster.settled()
        transfer = event(5, type="transfer", client=A, to=B, amount="4")
        async with owned(cluster, tmp_path / "first", [sender]):
            await cluster.produce([transfer])
            await worked_off(cluster, [sender])
            assert await live(cluster) == {A: "10", B: "10"}  # held, and not moved
        async with owned(cluster, tmp_path / "second", [receiver]):
            await worked_off(cluster, [receiver])
            assert await live(cluster) == {A: "10", B: "14"}
        async with owned(cluster, tmp_path / "third", range(PARTITIONS)):
            await cluster.settled()
            assert await live(cluster) == {A: "6", B: "14"}
            await cluster.produce([transfer])  # a repeat, after every store was lost
            events = await cluster.settled()
        assert await live(cluster) == {A: "6", B: "14"}
        await assert_equal_to_replay(cluster, events)
