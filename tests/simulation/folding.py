"""A fresh fold of what the log holds: in memory, a record at a time, with nothing but the core."""

import msgspec

from engine.core.fold import Record, fold, new_outcome
from engine.core.outcome import Answer
from engine.core.state import DEDUPE_WINDOW, MemorySeen, State
from engine.log.chunks import TOPIC_NUMBERS, Entry, chunk_key, decode_chunk, offset_of
from engine.partition import keys
from engine.partition.partition import Meta
from engine.store.ports import LOG, STATE, Store
from schemas.codec import decode
from schemas.events import AnyEvent, EngineEvent
from schemas.outputs import AnyOutput
from schemas.reasons import Refusal
from schemas.topics import Topic
from tests.simulation.world import Violation

Seen = tuple[int, int, bytes]


class Folded(msgspec.Struct, frozen=True):
    """One record of the log and all that its fold gave, every version of every change included."""

    partition: int
    offset: int
    entry: Entry
    event: AnyEvent | Refusal
    answer: Answer
    outputs: list[AnyOutput]
    legs: list[EngineEvent]


class WatchedSeen(MemorySeen):
    """Remembers, for each identity and span, the last that was put."""

    def __init__(self) -> None:
        super().__init__()
        self.puts: dict[tuple[bytes, int], Seen] = {}

    def put(self, identity: bytes, content: int, at: int, kept: bytes = b"") -> None:
        super().put(identity, content, at, kept)
        self.puts[identity, at // DEDUPE_WINDOW] = (content, at, kept)


class PartitionLog:
    """What the store holds of one partition's topics, and its meta."""

    def __init__(self, store: Store, partition: int) -> None:
        self.partition = partition
        stored = store.get(STATE, keys.prefix(partition, keys.META))
        self.meta = Meta() if stored is None else msgspec.msgpack.decode(stored, type=Meta)
        self.topics = {topic: self._read(store, topic) for topic in Topic}

    def _read(self, store: Store, topic: Topic) -> list[Entry]:
        entries: list[Entry] = []
        begin = chunk_key(self.partition, topic, 0)
        for key, value in store.scan(LOG, begin, begin[:3] + b"\xff" * 9):
            if offset_of(key) != len(entries):
                raise Violation(
                    f"{topic.value}/{self.partition}: {offset_of(key)} follows {len(entries)}: a hole or a double"
                )
            entries += decode_chunk(value)
        expected = self.meta.offsets[TOPIC_NUMBERS[topic]]
        if len(entries) != expected:
            raise Violation(f"{topic.value}/{self.partition}: {len(entries)} records, meta counts {expected}")
        return entries


def fold_log(log: PartitionLog) -> tuple[State, WatchedSeen, list[Folded]]:
    """The state and every outcome that the partition's log decides by itself."""
    seen = WatchedSeen()
    state = State(seen=seen)
    folded: list[Folded] = []
    for offset, entry in enumerate(log.topics[Topic.EVENTS]):
        event = decode(entry.value, engine=entry.mark)
        out = new_outcome(every_change=True)
        fold(state, (Record(entry.at, event, entry.value),), out)
        folded.append(Folded(log.partition, offset, entry, event, out.answers[0], out.outputs, out.legs))
    return state, seen, folded
