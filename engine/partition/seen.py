"""The dedupe window on disk: one family for each span of a window's width, dropped whole when it is over.

An identity is in the family of the span in which its first event came. Whatever is inside the window is in the
current span or the one before, so a look-up is two reads. Nearly all look-ups are of new events: a filter in memory
answers most of them, for a tenth of what RocksDB's own filters cost. Families are shared by the partitions of a
store: an identity names its client.
"""

import struct
from collections.abc import Callable, Iterator
from itertools import islice
from mmap import MAP_ANONYMOUS, MAP_PRIVATE, mmap
from typing import Final

from engine.core.state import DEDUPE_WINDOW, SeenValue, pack_seen, unpack_seen
from engine.store.ports import Batch, Store
from schemas.times import NEVER

FILTER_BYTES: Final = 32 * 1024 * 1024
"""A span's filter: with 20 million identities in it 7 of 100 new ones are looked up all the same, with 180 million
half of them."""

_FAMILY: Final = "seen-"
_IDENTITIES_END: Final = b"\xff" * 17  # after every identity, which is 16 bytes
_LEARNT_MAX: Final = 128  # keys for each partition's part of a batch: a tenth of its time, until all are known
_place_of: Final = struct.Struct("<Q").unpack_from  # an identity is a hash: its own bits say which is its place
_PLACE_BIT: Final = 61  # its upper 3 bits name a bit of the byte that its lower bits name
_ANY: Final = bytearray(b"\xff")  # every bit is set: each identity may be there


class _SpanFilter:
    """Which identities a span may have: a bit each, at a place that others share. A bit not set is certain.

    Until it has learnt the keys that were on disk before it, it says of every identity that it may be there.
    """

    def __init__(self, keys: Iterator[tuple[bytes, bytes]], size_bytes: int) -> None:
        """``keys`` are on disk, and read as ``learn`` is called; ``size_bytes`` is a power of two."""
        self.bits = mmap(-1, size_bytes, MAP_PRIVATE | MAP_ANONYMOUS)  # takes what is touched
        self._mask = size_bytes - 1
        self._keys: Iterator[tuple[bytes, bytes]] | None = keys
        self.learn(1)

    @property
    def is_learnt(self) -> bool:
        """Whether a bit that is not set is certain."""
        return self._keys is None

    def may_have(self, identity: bytes) -> bool:
        """Whether the identity may be there; False is certain."""
        (place,) = _place_of(identity)
        bits, mask = self.looked_in
        return bool(bits[place & mask] >> (place >> _PLACE_BIT) & 1)

    def add(self, identity: bytes) -> None:
        """From now on the identity may be there."""
        (place,) = _place_of(identity)
        self.bits[place & self._mask] |= 1 << (place >> _PLACE_BIT)

    @property
    def looked_in(self) -> tuple[bytearray | mmap, int]:
        """The bytes that tell, and the mask of a place in them."""
        return (self.bits, self._mask) if self.is_learnt else (_ANY, 0)

    def learn(self, keys_max: int) -> bool:
        """Reads on in what was on disk. True: it knows all of it, and did not before."""
        if self._keys is None:
            return False
        count = 0
        for key, _ in islice(self._keys, keys_max):
            self.add(key)
            count += 1
        if count == keys_max:
            return False
        self._keys = None
        return True


class SeenFamilies:
    """The families of a store, by number of their span, each with its filter once it is looked into."""

    def __init__(self, store: Store, filter_bytes: int = FILTER_BYTES) -> None:
        """``filter_bytes``: memory for the filter of one span, of which two are in use; cut to a power of two."""
        self._store = store
        self._filter_bytes = 1 << (filter_bytes.bit_length() - 1)
        self._filters: dict[int, _SpanFilter] = {}
        self.version = 0
        """Grows when there is something else to look into."""
        self.numbers = sorted(
            int(name.removeprefix(_FAMILY)) for name in store.families() if name.startswith(_FAMILY)
        )

    def name(self, at: int) -> str:
        """The family of a log time, made if it is not there yet."""
        number = at // DEDUPE_WINDOW
        name = f"{_FAMILY}{number}"
        if number not in self.numbers:
            self._store.add_family(name)
            self.numbers = sorted([*self.numbers, number])
            self.version += 1
        return name

    def filter(self, number: int) -> _SpanFilter:
        """The filter of a family that is there. Ask before the first key is written that it is to know of."""
        found = self._filters.get(number)
        if found is None:
            keys = self._store.scan(f"{_FAMILY}{number}", b"", _IDENTITIES_END)
            found = self._filters[number] = _SpanFilter(keys, self._filter_bytes)
        return found

    def learn(self, keys_max: int = _LEARNT_MAX) -> bool:
        """Lets the filters read on in what was on disk before them. False: they know all of it."""
        for each in self._filters.values():
            if each.learn(keys_max):
                self.version += 1
        return not all(each.is_learnt for each in self._filters.values())

    def at_or_before(self, at: int) -> list[int]:
        """The families that can hold an identity of the window that ends at ``at``, latest first."""
        number = at // DEDUPE_WINDOW
        return [have for have in reversed(self.numbers) if have >= number - 1]

    def reader(self, number: int) -> Callable[[bytes], bytes | None]:
        """Reads of one family."""
        return self._store.reader(f"{_FAMILY}{number}")

    def has_before(self, at: int) -> bool:
        """Whether there is a span that no window ending at ``at`` or later reaches."""
        return any(have < at // DEDUPE_WINDOW - 1 for have in self.numbers)

    def drop_before(self, at: int) -> None:
        """Drops every span that no window ending at ``at`` or later reaches."""
        number = at // DEDUPE_WINDOW
        for have in [have for have in self.numbers if have < number - 1]:
            self._filters.pop(have, None)
            self._store.drop_family(f"{_FAMILY}{have}")
            self.numbers.remove(have)
            self.version += 1


class StoredSeen:
    """The identities of one partition; what is not written yet is looked up first.

    A look-up that finds no bit in the latest span sets it: the event is new, and nearly always taken. Setting it
    only when the identity is written would bring the same line of memory into the processor's cache once more.
    """

    __slots__ = ("_bits", "_earlier", "_families", "_first", "_mask", "_pending", "_read", "_span", "_version")

    def __init__(self, families: SeenFamilies) -> None:
        self._families = families
        self._pending: dict[bytes, bytes] = {}
        self._first: int = NEVER  # no log time of what is pending is before it
        self._version = -1
        self._span = -1
        self._bits: bytearray | mmap = _ANY
        self._mask = 0
        self._read: Callable[[bytes], bytes | None] = _nothing
        self._earlier: list[tuple[_SpanFilter, Callable[[bytes], bytes | None]]] = []

    def look_from(self, now: int) -> None:
        """The batch that follows has this log time: where to look is decided once for it."""
        families, span = self._families, now // DEDUPE_WINDOW
        families.learn()
        if span != self._span or self._version != families.version:
            families.name(now)
            latest, *earlier = families.at_or_before(now)
            self._bits, self._mask = families.filter(latest).looked_in
            self._read = families.reader(latest)
            self._earlier = [(families.filter(number), families.reader(number)) for number in earlier]
            self._span, self._version = span, families.version
            for identity in self._pending:
                self._mark(identity)

    def get(self, identity: bytes) -> SeenValue | None:
        found = self._find(identity)
        return None if found is None else unpack_seen(found)

    def _find(self, identity: bytes) -> bytes | None:
        (place,) = _place_of(identity)
        bits, at, bit = self._bits, place & self._mask, 1 << (place >> _PLACE_BIT)
        value = None
        if bits[at] & bit:
            found = self._pending.get(identity)
            if found is not None:
                return found
            value = self._read(identity)
        else:  # then it is not pending either: what is has its bit
            bits[at] |= bit
        if value is None and self._earlier:
            return self._find_earlier(identity)
        return value

    def _find_earlier(self, identity: bytes) -> bytes | None:
        for known, read in self._earlier:
            if known.may_have(identity):
                value = read(identity)
                if value is not None:
                    return value
        return None

    def finder(self) -> Callable[[bytes], bytes | None]:
        return self._find

    def put(self, identity: bytes, content: int, at: int, kept: bytes = b"") -> None:
        self._pending[identity] = pack_seen(content, at, kept)
        self._first = min(self._first, at)
        self._mark(identity)  # it need not have been looked up

    def _mark(self, identity: bytes) -> None:
        (place,) = _place_of(identity)
        self._bits[place & self._mask] |= 1 << (place >> _PLACE_BIT)

    def fresh(self, now: int) -> dict[bytes, bytes]:
        self._first = min(self._first, now)
        return self._pending

    def write(self, batch: Batch, clock: int) -> None:
        """Adds what is new to a batch; the batch is left using the last family. No log time is after ``clock``."""
        families = self._families
        for number, identities in self._by_span(clock).items():
            batch.use(families.name(number * DEDUPE_WINDOW))
            known = families.filter(number)
            batch.put_all(identities)
            if known.bits is not self._bits:  # look-ups do not mark it
                for identity in identities:
                    known.add(identity)

    def _by_span(self, clock: int) -> dict[int, dict[bytes, bytes]]:
        """What is pending by the span of its log time: nearly always one span's, and then not looked at one by one."""
        pending = self._pending
        if not pending:
            return {}
        if self._first // DEDUPE_WINDOW == clock // DEDUPE_WINDOW:
            return {clock // DEDUPE_WINDOW: pending}
        found: dict[int, dict[bytes, bytes]] = {}
        for identity, value in pending.items():
            found.setdefault(unpack_seen(value)[1] // DEDUPE_WINDOW, {})[identity] = value
        return found

    def written(self) -> None:
        """The batch is in the store."""
        self._pending.clear()
        self._first = NEVER


def _nothing(identity: bytes) -> None:
    """Reads nothing: no batch has begun."""
