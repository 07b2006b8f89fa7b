"""The source reads of `events` what a consumer at read_committed reads, for several tasks, from wherever they are."""

import asyncio
import random

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.errors import OffsetOutOfRangeError

from engine.kafka.clients import TRANSACTION_MS_MAX, security
from engine.kafka.source import Feed, Source
from schemas.topics import Topic
from tests.integration.kafka.cluster import Cluster

pytestmark = pytest.mark.kafka

SEED = 20261121
PARTITIONS = 2
TRANSACTIONS = 30
SECONDS = 60.0

Read = list[tuple[int, int, bytes | None]]


def source_of(cluster: Cluster) -> Source:
    return Source(cluster.connection, cluster.prefix + Topic.EVENTS.value, "test")


async def taken(feed: Feed, records_max: int, until: int) -> Read:
    """Everything up to an offset, a few records at a time."""
    found: Read = []
    async with asyncio.timeout(SECONDS):
        while feed.position < until:
            await feed.arrives(1.0)
            records = feed.take(records_max)
            assert len(records) <= records_max
            found += [(record.offset, record.timestamp, record.value) for record in records]
    return found


async def committed(cluster: Cluster) -> list[Read]:
    """What a consumer reads, by partition."""
    return [
        [(record.offset, record.timestamp, record.value) for record in records]
        for records in await cluster.read(Topic.EVENTS.value)
    ]


async def write(cluster: Cluster) -> list[int]:
    """Transactions of two producers, side by side, committed or not, some compressed; the offsets after them."""
    rng = random.Random(SEED)
    topic = cluster.prefix + Topic.EVENTS.value
    writers = [
        AIOKafkaProducer(
            transactional_id=f"{cluster.prefix}{name}",
            transaction_timeout_ms=TRANSACTION_MS_MAX,
            compression_type=codec,
            **security(cluster.connection),
        )
        for name, codec in (("one", None), ("two", "zstd"))
    ]
    for writer in writers:
        await writer.start()

    async def work(writer: AIOKafkaProducer, name: str) -> None:
        for number in range(TRANSACTIONS):
            await writer.begin_transaction()
            for place in range(rng.randrange(1, 6)):
                await writer.send(topic, b"%s %d %d" % (name.encode(), number, place), partition=rng.randrange(2))
            await (writer.abort_transaction() if rng.random() < 0.4 else writer.commit_transaction())

    await asyncio.gather(*(work(writer, name) for writer, name in zip(writers, "ab", strict=True)))
    for number in range(PARTITIONS):
        await writers[0].begin_transaction()
        last = await writers[0].send(topic, b"last", partition=number)
        await writers[0].commit_transaction()
        await last
    for writer in writers:
        await writer.stop()
    return [records[-1].offset + 1 for records in await cluster.read(Topic.EVENTS.value)]


async def test_it_reads_what_was_committed(broker: str, prefix: str) -> None:
    async with Cluster(broker, prefix, PARTITIONS) as cluster:
        ends = await write(cluster)
        source = source_of(cluster)
        async with source.reading(0, 0) as one, source.reading(1, 0) as other:
            found = await asyncio.gather(taken(one, 7, ends[0]), taken(other, 1000, ends[1]))
        expected = await committed(cluster)
        assert len(expected[0]) > TRANSACTIONS, SEED
        assert list(found) == expected, SEED
        for number in range(PARTITIONS):
            middle = len(expected[number]) // 2
            async with source.reading(number, expected[number][middle][0]) as feed:
                assert await taken(feed, 1000, ends[number]) == expected[number][middle:], SEED


async def first(feed: Feed) -> int:
    """The offset of the first record that comes."""
    async with asyncio.timeout(SECONDS):
        while not (records := feed.take(1)):
            await feed.arrives(1.0)
    return records[0].offset


async def test_what_is_written_later_comes_too(broker: str, prefix: str) -> None:
    async with Cluster(broker, prefix, PARTITIONS) as cluster:
        source = source_of(cluster)
        async with source.reading(0, 0) as one, source.reading(1, 0) as other:
            reading = asyncio.gather(first(one), first(other))
            await write(cluster)
            found = await reading
        assert list(found) == [records[0][0] for records in await committed(cluster)]


async def test_a_position_that_the_log_does_not_have_fails_for_that_partition(broker: str, prefix: str) -> None:
    async with Cluster(broker, prefix, PARTITIONS) as cluster:
        ends = await write(cluster)
        source = source_of(cluster)
        async with source.reading(0, 1_000_000) as beyond, source.reading(1, 0) as other:
            with pytest.raises(OffsetOutOfRangeError):
                await taken(beyond, 10, 1_000_001)
            assert await taken(other, 10, ends[1]) == (await committed(cluster))[1], SEED
