"""What a test writes to a cluster, reads from it, and what a replay of the same log says should be there."""

import asyncio
import json
from collections.abc import Sequence
from contextlib import AsyncExitStack
from itertools import groupby
from typing import Any, Final

import msgspec
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from engine.core.fold import new_outcome
from engine.core.outcome import Outcome
from engine.core.state import State
from engine.kafka.clients import Connection, Consumer, open_admin, open_consumer, security
from engine.kafka.configuration import ConfigurationWriter, WriterOptions, is_configuration
from engine.kafka.folding import fold_records, is_by_engine, read_record
from engine.kafka.publishing import DOOR_HEADER
from engine.kafka.topics import CHANGELOG, create_topics
from engine.partition import keys
from engine.partition.partition import Meta, key_of, topic_of
from engine.partition.revisions import MemoryRevisions
from schemas.codec import decode
from schemas.engine_events import encode_engine_event
from schemas.outputs import Change, encode_output
from schemas.topics import Topic, partition_of

OUTPUTS: Final = (Topic.NOTIFICATIONS, Topic.JOURNAL, Topic.REJECTIONS)
_IDLE_MS: Final = 200
_SECONDS_MAX: Final = 120.0


class Cluster:
    """Topics of one test on a broker."""

    def __init__(self, broker: str | Connection, prefix: str, partitions: int) -> None:
        # Records are Any below: aiokafka's ConsumerRecord, whose fields the assertions name.
        self.connection = broker if isinstance(broker, Connection) else Connection(bootstrap=broker)
        self.bootstrap = self.connection.bootstrap
        self.prefix = prefix
        self.partitions = partitions
        self._producer: Any = None  # Any: aiokafka's clients have no annotations
        self._consumer: Consumer = open_consumer(self.connection, "test")
        self._plain: Any = AIOKafkaConsumer(**security(self.connection))  # it sees what is open too

    async def __aenter__(self) -> "Cluster":
        admin = open_admin(self.connection)
        await admin.start()
        await create_topics(admin, self.prefix, self.partitions, None)
        await admin.close()
        self._producer = AIOKafkaProducer(**security(self.connection))
        await self._producer.start()
        await self._consumer.start()
        await self._plain.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._producer.stop()
        await self._consumer.stop()
        await self._plain.stop()

    async def produce(self, lines: Sequence[bytes], *, at_ms: int | None = None) -> None:
        """Events to their clients' partitions, configuration through its writer, what is neither to every partition.

        What was sent is in the log; whether the engine takes it nobody waits for.
        """
        runs = groupby(lines, lambda line: is_configuration(decode(line)))
        async with AsyncExitStack() as stack:
            writer: ConfigurationWriter | None = None
            for configures, run in runs:
                if not configures:
                    await self._produce(list(run), at_ms)
                    continue
                if writer is None:
                    writer = await stack.enter_async_context(ConfigurationWriter(self.writing(answer_seconds=1.0)))
                await writer.append(list(run), at_ms=at_ms)

    def writing(self, *, answer_seconds: float) -> WriterOptions:
        """What the writer of configuration of this cluster needs."""
        return WriterOptions(
            connection=self.connection,
            app=f"{self.prefix}plimsoll",
            prefix=self.prefix,
            partitions=self.partitions,
            answer_seconds=answer_seconds,
        )

    async def send(self, client: str, line: bytes) -> None:
        """One record by an ordinary producer, to the partition of a client."""
        topic, target = self.prefix + Topic.EVENTS.value, partition_of(client, self.partitions)
        await self._producer.send_and_wait(topic, line, key=client.encode(), partition=target)

    async def _produce(self, lines: Sequence[bytes], at_ms: int | None) -> None:
        topic = self.prefix + Topic.EVENTS.value
        sent = []
        for line in lines:
            client = _client_of(line)
            targets = range(self.partitions) if client is None else [partition_of(client, self.partitions)]
            key = None if client is None else client.encode()
            for target in targets:
                sent.append(await self._producer.send(topic, line, key=key, partition=target, timestamp_ms=at_ms))
        for each in sent:
            await each

    async def read(self, name: str) -> list[list[Any]]:
        """Every committed record of a topic now, by partition."""
        places = [TopicPartition(self.prefix + name, number) for number in range(self.partitions)]
        self._consumer.assign(places)
        ends = await self._consumer.end_offsets(places)
        for place, begin in (await self._consumer.beginning_offsets(places)).items():
            self._consumer.seek(place, begin)
        found: list[list[Any]] = [[] for _ in places]
        while any([await self._consumer.position(place) < ends[place] for place in places]):
            for place, records in (
                await self._consumer.getmany(*places, timeout_ms=_IDLE_MS, max_records=10_000)
            ).items():
                found[place.partition] += records
        return found

    async def positions(self) -> list[int]:
        """How far the engine is in `events`, by partition, as the changelog says."""
        found = [0] * self.partitions
        for number, records in enumerate(await self.read(CHANGELOG)):
            for record in records:
                if record.key == keys.prefix(number, keys.META):
                    found[number] = msgspec.msgpack.decode(record.value, type=Meta).offsets[0]
        return found

    async def progressed(self, events: int) -> None:
        """Returns when the engine has committed that many positions more than none."""
        async with asyncio.timeout(_SECONDS_MAX):
            while sum(await self.positions()) < events:
                await self._moved()

    async def settled(self) -> list[list[Any]]:
        """The records of `events` once all of them, and every leg that follows from them, are worked off."""
        async with asyncio.timeout(_SECONDS_MAX):
            while (events := await self._settled()) is None or not await self.is_whole():
                await self._moved()
        return events

    async def is_whole(self) -> bool:
        """Whether no transaction is open: its marks come partition by partition, and what one already says is committed
        another may still hold back."""
        places = [
            TopicPartition(self.prefix + name, number)
            for name in (*(topic.value for topic in (Topic.EVENTS, Topic.CHANGES, *OUTPUTS)), CHANGELOG)
            for number in range(self.partitions)
        ]
        stable: dict[TopicPartition, int] = await self._consumer.end_offsets(places)
        ends: dict[TopicPartition, int] = await self._plain.end_offsets(places)
        return stable == ends

    async def written(self, topic: Topic, text: bytes) -> None:
        """Returns when a record of an output topic holds that text."""
        async with asyncio.timeout(_SECONDS_MAX):
            while not any(text in record.value for records in await self.read(topic.value) for record in records):
                await self._moved()

    async def _moved(self) -> None:
        """Waits for a record after those of the topic that was read last, or a moment."""
        await self._consumer.getmany(timeout_ms=_IDLE_MS, max_records=1)

    async def _settled(self) -> list[list[Any]] | None:
        events = await self.read(Topic.EVENTS.value)
        positions = await self.positions()
        if positions == [records[-1].offset + 1 if records else 0 for records in events]:
            decided = sorted(encode_engine_event(leg) for records in events for leg in replayed(records).legs)
            written = sorted(
                record.value
                for records in events
                for record in records
                if is_by_engine(record.headers) and b'"tick"' not in record.value
            )
            if decided == written:
                return events
        return None


def replayed(records: Sequence[Any]) -> Outcome:
    """One partition's log through the core in memory: every change in its place."""
    outcome = new_outcome(every_change=True)
    fold_records(State(), MemoryRevisions(), [read_record(each) for each in records], outcome)
    return outcome


async def assert_equal_to_replay(cluster: Cluster, events: Sequence[Sequence[Any]]) -> None:
    """Every output of every partition against a replay of its log with the same log times, byte for byte."""
    changes = await cluster.read(Topic.CHANGES.value)
    others = {topic: await cluster.read(topic.value) for topic in OUTPUTS}
    for number, records in enumerate(events):
        outcome = replayed(records)
        for topic in OUTPUTS:
            expected = [
                (key_of(output).encode() or None, encode_output(output))
                for output in outcome.outputs
                if topic_of(output) is topic
            ]
            found = [(record.key, record.value) for record in others[topic][number] if not _is_of_door(record)]
            assert found == expected, (topic, number)
        versions = {
            (output.client, output.version): encode_output(output)
            for output in outcome.outputs
            if isinstance(output, Change)
        }
        _assert_changes([record.value for record in changes[number]], versions)


def _is_of_door(record: Any) -> bool:
    """Whether a rejection was written by whoever sent the event, and not by the engine."""
    return any(name == DOOR_HEADER for name, _ in record.headers)


def _assert_changes(found: Sequence[bytes], versions: dict[tuple[str, int], bytes]) -> None:
    """Which versions appear depends on commits; each says what the replay says, in order, and the last is there."""
    last: dict[str, int] = {}
    for value in found:
        change = json.loads(value)
        client, version = change["client"], change["version"]
        assert version > last.get(client, 0), (client, version)
        last[client] = version
        assert value == versions[client, version]
    expected: dict[str, int] = {}
    for client, version in versions:
        expected[client] = max(version, expected.get(client, 0))
    assert last == expected


def _client_of(line: bytes) -> str | None:
    try:
        client = json.loads(line).get("client")
    except (ValueError, AttributeError):
        return "malformed"
    return client if isinstance(client, str) else None
