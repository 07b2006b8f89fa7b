"""A fresh fold of what the log holds: in memory, a record at a time, with nothing but the core."""

from collections.abc import MutableMapping
from functools import lru_cache

import msgspec

from engine.core.fold import Record, fold, new_outcome
from engine.core.outcome import Answer
from engine.core.state import DEDUPE_WINDOW, MemorySeen, SeenValue, State, unpack_seen
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

_DECODED_MAX = 4096  # more than one seed sends
_HISTORY = (Topic.EVENTS, Topic.JOURNAL)


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
        self.puts: dict[tuple[bytes, int], SeenValue] = {}

    def put(self, identity: bytes, content: int, at: int, kept: bytes = b"") -> None:
        super().put(identity, content, at, kept)
        self.puts[identity, at // DEDUPE_WINDOW] = (content, at, kept)

    def fresh(self, now: int) -> MutableMapping[bytes, bytes]:
        return _Watched(self, super().fresh(now))


class _Watched(dict[bytes, bytes]):
    """What is put here directly is remembered like any other."""

    def __init__(self, seen: WatchedSeen, inner: MutableMapping[bytes, bytes]) -> None:
        super().__init__()
        self._seen, self._inner = seen, inner

    def __setitem__(self, identity: bytes, value: bytes) -> None:
        self._inner[identity] = value
        put = unpack_seen(value)
        self._seen.puts[identity, put[1] // DEDUPE_WINDOW] = put


@lru_cache(maxsize=_DECODED_MAX)
def decoded(raw: bytes, *, door: bool = False, engine: bool = False) -> AnyEvent | Refusal:
    """What an event says, on the log or at a door; events are frozen, so each is read once."""
    return decode(raw, unknown_refused=door, engine=engine)


class PartitionLog:
    """What the store holds of one partition's topics, and its meta.

    ``first``: the offset of the first record that is kept, above 0 only where the topic's old records may be deleted.
    """

    def __init__(self, store: Store, partition: int) -> None:
        self.partition = partition
        stored = store.get(STATE, keys.prefix(partition, keys.META))
        self.meta = Meta() if stored is None else msgspec.msgpack.decode(stored, type=Meta)
        self.first: dict[Topic, int] = {}
        self.topics = {topic: self._read(store, topic) for topic in Topic}

    def next_offset(self, topic: Topic) -> int:
        """The offset that the next record would get."""
        return self.meta.offsets[TOPIC_NUMBERS[topic]]

    def _read(self, store: Store, topic: Topic) -> list[Entry]:
        name = f"{topic.value}/{self.partition}"
        entries: list[Entry] = []
        end = self.meta.offsets[TOPIC_NUMBERS[topic]]
        first: int | None = None
        begin = chunk_key(self.partition, topic, 0)
        for key, value in store.scan(LOG, begin, begin[:3] + b"\xff" * 9):
            offset = offset_of(key)
            first = offset if first is None else first
            if offset != first + len(entries):
                raise Violation(f"1. {name}: {offset} follows {first + len(entries)}: a hole or a double")
            entries += decode_chunk(value)
        first = end if first is None else first
        if first and topic in _HISTORY:
            raise Violation(f"1. {name}: begins at {first}; history is never deleted")
        if first + len(entries) != end:
            raise Violation(f"1. {name}: {len(entries)} records from {first} on, meta counts {end}")
        self.first[topic] = first
        return entries


def fold_log(log: PartitionLog) -> tuple[State, WatchedSeen, list[Folded]]:
    """The state and every outcome that the partition's log decides by itself."""
    seen = WatchedSeen()
    state = State(seen=seen)
    folded: list[Folded] = []
    for offset, entry in enumerate(log.topics[Topic.EVENTS]):
        event = decoded(entry.value, engine=entry.mark)
        out = new_outcome(every_change=True)
        fold(state, (Record(entry.at, event, entry.value),), out)
        folded.append(Folded(log.partition, offset, entry, event, out.answers[0], out.outputs, out.legs))
    return state, seen, folded
