"""The dedupe window on disk: one family for each span of a window's width, dropped whole when it is over.

An identity is in the family of the span in which its first event came. Whatever is inside the window is in the
current span or the one before, so a look-up is two reads, each of which a bloom filter answers for a new event.
Families are shared by the partitions of a store: an identity names its client.
"""

import struct
from collections.abc import Callable
from typing import Final

from engine.core.state import DEDUPE_WINDOW, SeenValue
from engine.store.ports import Batch, Store

_FAMILY: Final = "seen-"
_HEAD: Final = struct.Struct(">Qq")  # content, first log time

class SeenFamilies:
    """The families of a store, by number of their span."""

    def __init__(self, store: Store) -> None:
        self._store = store
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
        return name

    def at_or_before(self, at: int) -> list[str]:
        """The families that can hold an identity of the window that ends at ``at``, latest first."""
        number = at // DEDUPE_WINDOW
        return [f"{_FAMILY}{have}" for have in reversed(self.numbers) if have >= number - 1]

    def has_before(self, at: int) -> bool:
        """Whether there is a span that no window ending at ``at`` or later reaches."""
        return any(have < at // DEDUPE_WINDOW - 1 for have in self.numbers)

    def drop_before(self, at: int) -> None:
        """Drops every span that no window ending at ``at`` or later reaches."""
        number = at // DEDUPE_WINDOW
        for have in [have for have in self.numbers if have < number - 1]:
            self._store.drop_family(f"{_FAMILY}{have}")
            self.numbers.remove(have)


class StoredSeen:
    """The identities of one partition; what is not written yet is looked up first."""

    def __init__(self, store: Store, families: SeenFamilies) -> None:
        self._store = store
        self._families = families
        self._pending: dict[bytes, SeenValue] = {}
        self._known: list[int] = []
        self._span = -1
        self._reads: list[Callable[[bytes], bytes | None]] = []

    def look_from(self, now: int) -> None:
        """The batch that follows has this log time: which families to read is decided once for it."""
        span = now // DEDUPE_WINDOW
        if span != self._span or self._known != self._families.numbers:
            self._span, self._known = span, list(self._families.numbers)
            self._reads = [self._store.reader(name) for name in self._families.at_or_before(now)]

    def get(self, identity: bytes) -> SeenValue | None:
        found = self._pending.get(identity)
        if found is not None:
            return found
        for read in self._reads:
            value = read(identity)
            if value is not None:
                content, at = _HEAD.unpack_from(value)
                return content, at, value[_HEAD.size :]
        return None

    def put(self, identity: bytes, content: int, at: int, kept: bytes = b"") -> None:
        self._pending[identity] = (content, at, kept)

    def fresh(self, now: int) -> dict[bytes, SeenValue]:
        return self._pending

    def write(self, batch: Batch) -> None:
        """Adds what is new to a batch; the batch is left using the last family."""
        put, pack = batch.put, _HEAD.pack
        begin = end = 0  # of the span whose family the batch is using
        for identity, (content, at, kept) in self._pending.items():
            if not begin <= at < end:
                batch.use(self._families.name(at))
                begin = at - at % DEDUPE_WINDOW
                end = begin + DEDUPE_WINDOW
            put(identity, pack(content, at) + kept)

    def written(self) -> None:
        """The batch is in the store."""
        self._pending.clear()
