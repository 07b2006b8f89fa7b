"""A store in memory that fails as a disk fails: only what was synced survives the end of the machine.

``Disk`` is what outlives processes: a journal of framed batches, and how much of it is synced. ``SimulatedStore`` is
one process's view of it, with every promise of the port ``Store``. The end of a process loses nothing that was
written; the end of the machine cuts the journal anywhere at or after its synced part, so that a suffix of the batches
is lost, never one in the middle, and the one that was cut is dropped whole. Families are made and dropped durably at
once, as RocksDB's manifest does.
"""

from bisect import bisect_left, bisect_right, insort
from collections.abc import Callable, Iterator, Mapping
from typing import Final

import msgspec
from xxhash import xxh3_64_digest

from engine.store.ports import LOG, STATE, Batch, StoreError

PUT: Final = 0
DELETE: Final = 1
DELETE_RANGE: Final = 2
Operation = tuple[int, int, bytes, bytes]
"""What to do, the number of the family, key (or begin), value (or end)."""

_LENGTH_BYTES: Final = 4
_HEAD_BYTES: Final = _LENGTH_BYTES + 8
_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(list[Operation]).decode


class Disk:
    """What is left when a process ends. ``journal[:synced]`` is what is left when the machine ends."""

    def __init__(self) -> None:
        self.journal = bytearray()
        self.synced = 0
        self.families: dict[str, int] = {}
        self._numbers = 0

    def add_family(self, name: str) -> None:
        """Gives a new family a number of its own: one dropped and made again has none of its old keys."""
        if name not in self.families:
            self._numbers += 1
            self.families[name] = self._numbers

    def append(self, operations: list[Operation]) -> None:
        """Writes one batch, framed by its length and a checksum."""
        body = _encode(operations)
        self.journal += len(body).to_bytes(_LENGTH_BYTES, "big") + xxh3_64_digest(body) + body

    def end_machine(self, kept: int) -> None:
        """The machine ends: the first ``kept`` bytes of the journal are left, at least what was synced."""
        assert self.synced <= kept <= len(self.journal)
        del self.journal[kept:]

    def recover(self) -> list[list[Operation]]:
        """The batches that are whole, in order; what follows them is a torn one, and is cut away."""
        framed = list(self._framed())
        end = framed[-1][0] if framed else 0
        assert end >= self.synced, "what was synced is damaged"
        del self.journal[end:]
        return [_decode(body) for _, body in framed]

    def batch_across(self, place: int) -> list[Operation]:
        """The batch that a cut at that place of the journal tears; none where it falls between two."""
        before = 0
        for end, body in self._framed():
            if before < place < end:
                return _decode(body)
            before = end
        return []

    def _framed(self) -> Iterator[tuple[int, bytes]]:
        """Where each whole batch ends, and its body."""
        at = 0
        while at + _HEAD_BYTES <= len(self.journal):
            begin = at + _HEAD_BYTES
            body = bytes(self.journal[begin : begin + int.from_bytes(self.journal[at : at + _LENGTH_BYTES], "big")])
            if xxh3_64_digest(body) != self.journal[at + _LENGTH_BYTES : begin]:
                return
            at = begin + len(body)
            yield at, body


class _Family:
    """Sorted keys and their values."""

    def __init__(self) -> None:
        self.keys: list[bytes] = []
        self.values: dict[bytes, bytes] = {}

    def apply(self, kind: int, key: bytes, value: bytes) -> None:
        if kind == PUT:
            if key not in self.values:
                insort(self.keys, key)
            self.values[key] = value
        elif kind == DELETE:
            if self.values.pop(key, None) is not None:
                del self.keys[bisect_left(self.keys, key)]
        else:
            first, last = bisect_left(self.keys, key), bisect_left(self.keys, value)
            for gone in self.keys[first:last]:
                del self.values[gone]
            del self.keys[first:last]


class SimulatedBatch:
    """Operations in the order given."""

    def __init__(self, families: dict[str, int]) -> None:
        self._families = families
        self._family = -1
        self.operations: list[Operation] = []

    def use(self, family: str) -> None:
        self._family = self._families[family]

    def put(self, key: bytes, value: bytes) -> None:
        self._add(PUT, key, value)

    def put_all(self, pairs: Mapping[bytes, bytes]) -> None:
        for key, value in pairs.items():
            self._add(PUT, key, value)

    def delete(self, key: bytes) -> None:
        self._add(DELETE, key, b"")

    def delete_range(self, begin: bytes, end: bytes) -> None:
        self._add(DELETE_RANGE, begin, end)

    def _add(self, kind: int, key: bytes, value: bytes) -> None:
        assert self._family >= 0, "use() names a family first"
        self.operations.append((kind, self._family, key, value))


def _nothing_happens(step: str) -> None:
    del step


class SimulatedStore:
    """One process's store over a disk.

    ``on_step`` is called before and after each step with its name; it may raise StoreError before one (the step then
    did not happen) or end the process at either place.
    """

    def __init__(self, disk: Disk, on_step: Callable[[str], None] = _nothing_happens) -> None:
        self._disk = disk
        self._on_step = on_step
        self._open = True
        for name in (STATE, LOG):
            disk.add_family(name)
        self._by_number = {number: _Family() for number in disk.families.values()}
        for operations in disk.recover():
            self._apply(operations)

    def _apply(self, operations: list[Operation]) -> None:
        for kind, number, key, value in operations:
            family = self._by_number.get(number)
            if family is not None:  # one that was dropped after this batch
                family.apply(kind, key, value)

    def _family(self, name: str) -> _Family:
        return self._by_number[self._disk.families[name]]

    def kill(self) -> None:
        """The process has ended: whatever is left of it writes no more."""
        self._open = False

    def get(self, family: str, key: bytes) -> bytes | None:
        return self._family(family).values.get(key)

    def reader(self, family: str) -> Callable[[bytes], bytes | None]:
        return self._family(family).values.get

    def scan(self, family: str, begin: bytes, end: bytes) -> Iterator[tuple[bytes, bytes]]:
        found = self._family(family)
        keys = found.keys[bisect_left(found.keys, begin) : bisect_left(found.keys, end)]
        yield from [(key, found.values[key]) for key in keys]

    def last_before(self, family: str, begin: bytes, end: bytes) -> tuple[bytes, bytes] | None:
        found = self._family(family)
        at = bisect_right(found.keys, end) - 1
        if at < 0 or found.keys[at] < begin:
            return None
        return found.keys[at], found.values[found.keys[at]]

    def families(self) -> list[str]:
        return sorted(self._disk.families)

    def add_family(self, family: str) -> None:
        if family not in self._disk.families:
            self._step("add_family")
            self._disk.add_family(family)
            self._by_number[self._disk.families[family]] = _Family()
            self._step("add_family done")

    def drop_family(self, family: str) -> None:
        self._step("drop_family")
        del self._by_number[self._disk.families.pop(family)]
        self._step("drop_family done")

    def batch(self) -> SimulatedBatch:
        return SimulatedBatch(self._disk.families)

    def write(self, batch: Batch) -> None:
        assert isinstance(batch, SimulatedBatch)
        self._step("write")
        self._put_down(batch.operations)
        self._step("write done")

    def _put_down(self, operations: list[Operation]) -> None:
        if operations:
            self._disk.append(operations)
            self._apply(operations)

    def sync(self) -> None:
        self._step("sync")
        self._disk.synced = len(self._disk.journal)
        self._step("sync done")

    def bytes_on_disk(self) -> int:
        return len(self._disk.journal)

    def close(self) -> None:
        if self._open:
            self._disk.synced = len(self._disk.journal)
        self._open = False

    def _step(self, name: str) -> None:
        if not self._open:
            raise StoreError("the store is closed")
        self._on_step(name)
