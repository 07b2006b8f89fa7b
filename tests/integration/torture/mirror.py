"""What the cluster holds, read once and kept, and the replay of it: the core alone decides what must be there.

A mirror reads on from where it was, at read_committed. Events are folded a record at a time up to the position that
the engine has committed, with a fresh state in memory that is never thrown away; then everything that was read must be
what that fold says, byte for byte.
"""

import asyncio
import json
import time
from collections import Counter
from typing import Any, Final

import msgspec
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError
from aiokafka.structs import ConsumerRecord

from engine.core.fold import new_outcome
from engine.core.outcome import ACCEPTED, DUPLICATE
from engine.core.state import State
from engine.kafka.clients import Connection, Consumer, open_consumer, security
from engine.kafka.folding import Revised, fold_records, is_by_engine, read_record
from engine.kafka.topics import CHANGELOG
from engine.log.chunks import TOPIC_NUMBERS, Entry
from engine.partition import keys
from engine.partition.partition import Meta, key_of, topic_of
from engine.partition.revisions import MemoryRevisions
from schemas.engine_events import encode_engine_event
from schemas.events import Tick, TransferOutcome
from schemas.outputs import Change, encode_output
from schemas.topics import Topic
from tests.integration.torture.poison import without_poison
from tests.simulation.books import check_books
from tests.simulation.folding import Folded

Kept = tuple[bytes | None, bytes | None]
Name = tuple[int, str, str]
"""Partition, source and id of an event."""


def field_of(line: bytes, name: str) -> str | None:
    """A text field of a line; None: it has none, or the line is no JSON object."""
    try:
        value = json.loads(line).get(name)
    except (ValueError, AttributeError):
        return None
    return value if isinstance(value, str) else None


def name_of(line: bytes, partition: int) -> Name | None:
    """The name of an event in a partition, whatever else is wrong with it."""
    source, identity = field_of(line, "source"), field_of(line, "id")
    return None if source is None or identity is None else (partition, source, identity)


async def _ends(consumer: Any, places: list[TopicPartition]) -> dict[TopicPartition, int]:  # Any: of two kinds
    """Where the partitions end, asked until the brokers that may just be away answer."""
    deadline = time.monotonic() + _STALL_SECONDS_MAX
    while True:
        try:
            return dict(await consumer.end_offsets(places))
        except KafkaError:
            if time.monotonic() > deadline:
                raise
            await asyncio.sleep(_AGAIN_SECONDS)


_COMPARED: Final = (Topic.NOTIFICATIONS, Topic.JOURNAL, Topic.REJECTIONS)
_READ: Final = (*(topic.value for topic in (Topic.EVENTS, Topic.CHANGES, *_COMPARED)), CHANGELOG)
_FETCH_MS: Final = 200
_AGAIN_SECONDS: Final = 0.3
_RECORDS_MAX: Final = 5_000
_STALL_SECONDS_MAX: Final = 120.0
_EVENTS: Final = TOPIC_NUMBERS[Topic.EVENTS]


class _Part:
    """One partition: what was read and not compared yet, and the fold so far."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.state = State()
        self.revisions = MemoryRevisions()
        self.events: list[ConsumerRecord[bytes, bytes]] = []
        self.next_event = 0
        self.found: dict[Topic, list[Kept]] = {topic: [] for topic in _COMPARED}
        self.expected: dict[Topic, list[Kept]] = {topic: [] for topic in _COMPARED}
        self.changes: list[bytes] = []
        self.versions: dict[tuple[str, int], bytes] = {}
        self.last: dict[str, int] = {}
        self.last_folded: dict[str, int] = {}
        self.metas: dict[bytes, int] = {}
        """Every meta that was committed, and its offset in the changelog; the latest is last."""


class Mirror:
    """Reads the topics of one engine. The counts say how much was compared."""

    def __init__(self, connection: Connection, prefix: str, partitions: int) -> None:
        self.folded: list[list[Folded]] = [[] for _ in range(partitions)]
        self.in_log: Counter[Name] = Counter()
        self.configured: Counter[Name] = Counter()
        """What came from the writer of configuration, its questions left out."""
        self.accepted: Counter[Name] = Counter()
        self.counts: Counter[str] = Counter()
        self.notifications: list[list[bytes]] = [[] for _ in range(partitions)]
        self._connection = connection
        self._prefix = prefix
        self._parts = [_Part(number) for number in range(partitions)]
        self._consumer: Consumer = open_consumer(connection, "mirror")
        self._plain: Any = AIOKafkaConsumer(**security(connection))  # Any: no annotations; it sees what is open too
        self._positions: dict[TopicPartition, int] = {}
        self._decided: Counter[bytes] = Counter()
        self._written: Counter[bytes] = Counter()

    async def start(self) -> None:
        await self._consumer.start()
        await self._plain.start()

    async def stop(self) -> None:
        await self._consumer.stop()
        await self._plain.stop()

    # Reading

    async def read(self, *names: str) -> None:
        """Reads those topics, or all, on to the end that they have now."""
        wanted = names or _READ
        places = [TopicPartition(self._prefix + name, part.number) for name in wanted for part in self._parts]
        self._consumer.assign(places)
        ends = await _ends(self._consumer, places)
        for place in places:
            self._consumer.seek(place, self._positions.get(place, 0))
        async with asyncio.timeout(_STALL_SECONDS_MAX):
            while waiting := [place for place in places if self._positions.get(place, 0) < ends[place]]:
                found = await self._consumer.getmany(*waiting, timeout_ms=_FETCH_MS, max_records=_RECORDS_MAX)
                for place, records in found.items():
                    self._take(place.topic.removeprefix(self._prefix), self._parts[place.partition], records)
                for place in waiting:
                    self._positions[place] = await self._consumer.position(place)

    def _take(self, name: str, part: _Part, records: Any) -> None:  # Any: aiokafka's records
        if not records:
            return
        if name == Topic.EVENTS.value:
            part.events += records
            part.next_event = records[-1].offset + 1  # not the position: the end of a transaction is no record
        elif name == Topic.CHANGES.value:
            part.changes += [record.value for record in records]
        elif name == CHANGELOG:
            meta = keys.prefix(part.number, keys.META)
            for record in records:
                if record.key == meta:
                    part.metas.pop(record.value, None)
                    part.metas[record.value] = record.offset
        else:
            part.found[Topic(name)] += [(record.key, record.value) for record in records]

    async def metas(self, number: int) -> list[bytes]:
        """Every meta of a partition that is committed by now, in order."""
        await self.read(CHANGELOG)
        return list(self._parts[number].metas)

    async def ends(self, name: str) -> list[tuple[int, int]]:
        """By partition of a topic, how far it can be read, and where it ends; less is where a transaction is open."""
        places = [TopicPartition(self._prefix + name, part.number) for part in self._parts]
        stable, ends = await _ends(self._consumer, places), await _ends(self._plain, places)
        return [(stable[place], ends[place]) for place in places]

    def committed(self, number: int) -> int:
        """The position in `events` that the changelog, as it was read last, says is committed."""
        metas = self._parts[number].metas
        return msgspec.msgpack.decode(next(reversed(metas)), type=Meta).offsets[_EVENTS] if metas else 0

    async def behind(self) -> int:
        """How many positions of `events` the engine has still to commit."""
        await self.read(Topic.EVENTS.value, CHANGELOG)
        return sum(part.next_event - self.committed(part.number) for part in self._parts)

    async def is_settled(self) -> bool:
        """Whether all of `events` is committed, legs included that a committed transaction wrote but whose partition
        has not been told of its end: the broker tells the partitions one by one, and the changelog may be first."""
        before = await self.ends(Topic.EVENTS.value)
        if any(stable < end for stable, end in before) or await self.behind():
            return False
        return await self.ends(Topic.EVENTS.value) == before

    # Comparing

    async def compare(self) -> None:
        """Everything up to what is committed against the replay. Nothing may run that commits."""
        await self.read()
        for part in self._parts:
            self._fold(part)
            self._compare(part)
        assert self._decided == self._written, (
            f"legs decided and not in the log: {list((self._decided - self._written).elements())[:5]}; "
            f"in the log and not decided: {list((self._written - self._decided).elements())[:5]}"
        )
        self.counts["comparisons"] += 1

    def _fold(self, part: _Part) -> None:
        position = self.committed(part.number)
        for place, record in enumerate(part.events):
            if record.offset >= position:
                del part.events[:place]
                break
            self._fold_record(part, record)
        else:
            part.events.clear()

    def _fold_record(self, part: _Part, record: Any) -> None:  # Any: one of aiokafka's
        assert record.value is not None
        read = without_poison(read_record(record))
        out = new_outcome(every_change=True)
        fold_records(part.state, part.revisions, (read,), out)
        event, answer = read.event, out.answers[0]
        entry = Entry("", record.timestamp * 1000, record.value)
        self.folded[part.number].append(
            Folded(part.number, record.offset, entry, event, answer, list(out.outputs), list(out.legs))
        )
        self._decided.update(encode_engine_event(leg) for leg in out.legs)
        if is_by_engine(record.headers):
            self.counts["ticks" if isinstance(event, Tick) else "legs"] += 1
            if not isinstance(event, Tick):
                self._written[record.value] += 1
            if isinstance(event, TransferOutcome) and not event.accepted:  # it may be sent again, and be taken then
                self.accepted[part.number, event.transfer.source, event.transfer.id] -= 1
        elif isinstance(read, Revised) and read.asks:
            self.counts["questions"] += 1
        else:
            name = name_of(record.value, part.number)
            if name is not None:
                (self.configured if isinstance(read, Revised) else self.in_log)[name] += 1
                self.accepted[name] += answer is ACCEPTED
            self.counts["accepted" if answer is ACCEPTED else "repeats" if answer is DUPLICATE else "refused"] += 1
        for output in out.outputs:
            value = encode_output(output)
            if isinstance(output, Change):
                part.versions[output.client, output.version] = value
                part.last_folded[output.client] = output.version
            else:
                part.expected[topic_of(output)].append((key_of(output).encode() or None, value))

    def _compare(self, part: _Part) -> None:
        for topic in _COMPARED:
            found, expected = part.found[topic], part.expected[topic]
            same = next((at for at, pair in enumerate(zip(found, expected, strict=False)) if pair[0] != pair[1]), None)
            where = f"{topic.value}-{part.number}"
            assert same is None, f"{where}: found {found[same or 0]}, the replay says {expected[same or 0]}"
            assert len(found) == len(expected), (
                f"{where}: {len(found)} found, the replay says {len(expected)}: "
                f"{(found[len(expected) :] or expected[len(found) :])[:2]}"
            )
            self.counts[topic.value] += len(found)
            if topic is Topic.NOTIFICATIONS:
                self.notifications[part.number] += [value or b"" for _, value in found]
            found.clear()
            expected.clear()
        for value in part.changes:
            change = json.loads(value)
            client, version = change["client"], change["version"]
            where = f"changes-{part.number}: {client} {version}"
            assert version > part.last.get(client, 0), f"{where} follows {part.last.get(client)}"
            assert value == part.versions.get((client, version)), f"{where}: the replay has another"
            part.last[client] = version
        assert part.last == part.last_folded, f"changes-{part.number}: the last versions differ from the replay's"
        self.counts["changes"] += len(part.changes)
        part.changes.clear()
        part.versions = {name: value for name, value in part.versions.items() if part.last[name[0]] <= name[1]}

    def check_names(self, acknowledged: Counter[Name], sent: Counter[Name]) -> None:
        """Every acknowledged event is in the log, none more often than it was sent, and none applied twice."""
        lost = [name for name in acknowledged if not self.in_log[name] and not self.configured[name]]
        assert not lost, f"{len(lost)} acknowledged events are not in the log: {lost[:5]}"
        more = [name for name, count in self.in_log.items() if count > sent[name]]
        assert not more, f"{len(more)} events are in the log more often than they were sent: {more[:5]}"
        twice = [name for name, count in self.accepted.items() if count > 1]
        assert not twice, f"{len(twice)} events were applied more than once: {twice[:5]}"

    def check_money(self) -> None:
        """Money and units add up; transfers net to zero. Everything must be worked off."""
        check_books(self.folded)
        self.counts["audits of money"] += 1
