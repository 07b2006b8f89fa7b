"""A real broker for the benchmarks, topics of their own on it, and what they write to it and read from it."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any, Final, NamedTuple

import msgspec
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from engine.kafka.folding import ENGINE_HEADER, REVISION_HEADER
from engine.kafka.topics import CHANGELOG, POLICIES, create_topics
from engine.partition import keys
from engine.partition.partition import Meta
from schemas.topics import partition_of

PARTITIONS: Final = 12
_RUN: Final = Path(__file__).parents[1] / "deploy" / "kafka" / "run.sh"
_STOP_SECONDS_MAX: Final = 30.0
_BATCH_BYTES_MAX: Final = 256 * 1024
_READ_MAX: Final = 20_000
_LAST_RECORDS: Final = 3  # offsets from a partition's end in which a commit's last record is: a marker follows it
_meta = msgspec.msgpack.Decoder(Meta).decode


class NoBroker(Exception):  # noqa: N818  # it names a state
    """None could be started; the sentence says why, and belongs into the report."""


class Broker(NamedTuple):
    """Where it listens, and which process it is (None: one that was named, and may be anywhere)."""

    bootstrap: str
    pid: int | None


# What Kafka's own start script gives a broker; run.sh's are for one that starts soon, and half as fast once it is warm.
_JVM: Final = (
    "-Xmx1G -Xms1G -server -XX:+UseG1GC -XX:MaxGCPauseMillis=20 -XX:InitiatingHeapOccupancyPercent=35 "
    "-XX:+ExplicitGCInvokesConcurrent -Djava.awt.headless=true"
)


@contextmanager
def running_broker() -> Iterator[Broker]:
    """``PLIMSOLL_TEST_KAFKA`` names one, else ``deploy/kafka/run.sh`` starts one. Raises NoBroker."""
    named = os.environ.get("PLIMSOLL_TEST_KAFKA")
    if named:
        yield Broker(named, None)
        return
    data = tempfile.mkdtemp(prefix="plimsoll-bench-kafka-")
    environment = {"KAFKA_JVM": _JVM} | os.environ | {"KAFKA_DATA": data, "NODES": "1"}
    with (Path(data) / "errors").open("w+b") as told:
        run = subprocess.Popen([_RUN], stdout=subprocess.PIPE, stderr=told, text=True, env=environment)
        try:
            assert run.stdout is not None
            found = run.stdout.readline().split()
            if len(found) != 2 or found[0] != "bootstrap":
                told.seek(0)
                said = " ".join(told.read().decode(errors="replace").split())
                raise NoBroker(f"no broker could be had: {said}")
            yield Broker(found[1], int((Path(data) / "node-1" / "pid").read_text(encoding="ascii")))
        finally:
            run.terminate()
            run.wait(_STOP_SECONDS_MAX)
            shutil.rmtree(data, ignore_errors=True)


class Line(NamedTuple):
    """A record to write: its client, None for configuration, which goes to every partition; bytes and headers."""

    client: str | None
    value: bytes
    headers: tuple[tuple[str, bytes], ...] = ()


def configured(raw: bytes, revision: int) -> Line:
    """Configuration as its writer marks it."""
    return Line(None, raw, ((ENGINE_HEADER, b"1"), (REVISION_HEADER, b"%d" % revision)))


class Cluster:
    """Topics of one benchmark. Records are written uncompressed by whoever calls; offsets are at read_committed."""

    def __init__(self, bootstrap: str, producer: Any, consumer: Any) -> None:  # Any: aiokafka has no annotations
        self.bootstrap = bootstrap
        self._producer = producer
        self._consumer = consumer
        self._partition_of: dict[str, int] = {}

    async def make_engine_topics(self, prefix: str) -> None:
        """Everything that the engine needs, by its own policies."""
        admin = AIOKafkaAdminClient(bootstrap_servers=self.bootstrap)
        await admin.start()
        await create_topics(admin, prefix, PARTITIONS, 1)
        await admin.close()
        await self._known([prefix + name for name in POLICIES])

    async def make_topics(self, *names: str) -> None:
        """Topics with the broker's own settings."""
        admin = AIOKafkaAdminClient(bootstrap_servers=self.bootstrap)
        await admin.start()
        await admin.create_topics([NewTopic(name, PARTITIONS, 1) for name in names])
        await admin.close()
        await self._known(names)

    async def _known(self, names: Iterable[str]) -> None:
        for name in names:
            await self._producer.partitions_for(name)

    def place(self, client: str) -> int:
        """The partition of a client."""
        found = self._partition_of.get(client)
        if found is None:
            found = self._partition_of[client] = partition_of(client, PARTITIONS)
        return found

    async def write(self, topic: str, lines: Iterable[Line]) -> None:
        """Appends all of them, in order within a partition, and returns when the broker has them."""
        builders: dict[int, Any] = {}  # Any, here and below: aiokafka's builders and futures
        waiting: list[Any] = []
        for client, value, headers in lines:
            targets = range(PARTITIONS) if client is None else (self.place(client),)
            key = None if client is None else client.encode()
            for target in targets:
                builder = builders.get(target)
                if (
                    builder is None
                    or builder.append(timestamp=None, key=key, value=value, headers=list(headers)) is None
                ):
                    if builder is not None:
                        waiting.append(await self._send(builder, topic, target))
                    builder = builders[target] = self._producer.create_batch()
                    builder.append(timestamp=None, key=key, value=value, headers=list(headers))
            if len(waiting) > 4 * PARTITIONS:
                await waiting.pop(0)
        for target, builder in builders.items():
            waiting.append(await self._send(builder, topic, target))
        for sent in waiting:
            await sent

    async def _send(self, builder: Any, topic: str, target: int) -> Any:
        builder.close()
        return await self._producer.send_batch(builder, topic, partition=target)

    async def send_now(self, topic: str, lines: Sequence[Line]) -> list[Any]:
        """Hands a few records over, one batch a partition; their futures."""
        by_place: dict[int, Any] = {}
        for client, value, headers in lines:
            assert client is not None
            target = self.place(client)
            builder = by_place.get(target)
            if builder is None:
                builder = by_place[target] = self._producer.create_batch()
            builder.append(timestamp=None, key=client.encode(), value=value, headers=list(headers))
        return [await self._send(builder, topic, target) for target, builder in by_place.items()]

    async def ends(self, topic: str) -> dict[int, int]:
        """By partition the offset after the last committed record and marker."""
        found = await self._consumer.end_offsets(_places(topic))
        return {place.partition: end for place, end in found.items()}

    async def engine_positions(self, prefix: str) -> dict[int, int]:
        """How far the engine is in `events`, by partition: what the last meta of each changelog says."""
        places = _places(prefix + CHANGELOG)
        self._consumer.assign(places)
        ends = await self._consumer.end_offsets(places)
        found = dict.fromkeys(range(PARTITIONS), 0)
        for place, end in ends.items():
            self._consumer.seek(place, max(end - _LAST_RECORDS, 0))
        waiting = {place for place, end in ends.items() if end > 0}
        while waiting:
            for place, records in (await self._consumer.getmany(*waiting, timeout_ms=200)).items():
                for record in records:
                    if record.key == keys.prefix(place.partition, keys.META):
                        found[place.partition] = _meta(record.value).offsets[0]
            waiting = {place for place in waiting if await self._consumer.position(place) < ends[place]}
        return found

    async def read(self, topic: str) -> AsyncIterator[Any]:
        """Every committed record of a topic as of now, in order within a partition."""
        places = _places(topic)
        self._consumer.assign(places)
        ends = await self._consumer.end_offsets(places)
        for place, begin in (await self._consumer.beginning_offsets(places)).items():
            self._consumer.seek(place, begin)
        waiting = set(places)
        while waiting:
            for records in (await self._consumer.getmany(*waiting, timeout_ms=200, max_records=_READ_MAX)).values():
                for record in records:
                    yield record
            waiting = {place for place in waiting if await self._consumer.position(place) < ends[place]}


@asynccontextmanager
async def connected(bootstrap: str) -> AsyncIterator[Cluster]:
    """A cluster with started clients."""
    producer = AIOKafkaProducer(bootstrap_servers=bootstrap, max_batch_size=_BATCH_BYTES_MAX, acks="all")
    consumer = open_reader(bootstrap)
    await producer.start()
    await consumer.start()
    try:
        yield Cluster(bootstrap, producer, consumer)
    finally:
        await producer.stop()
        await consumer.stop()


def open_reader(bootstrap: str) -> Any:  # Any: aiokafka has no annotations
    """A consumer outside of any group that sees what was committed, not started."""
    return AIOKafkaConsumer(
        bootstrap_servers=bootstrap,
        group_id=None,
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        isolation_level="read_committed",
        max_partition_fetch_bytes=4 * 1024 * 1024,
    )


def _places(topic: str) -> list[TopicPartition]:
    return [TopicPartition(topic, number) for number in range(PARTITIONS)]
