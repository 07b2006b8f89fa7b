"""A commit written down: once for the changelog and the output topics, once for the store, from the same pairs.

Identities go to the changelog in chunks of up to 10,000 of one span and commit, 32 bytes an event: a record each would
cost more than all the rest of the state. A chunk's key is kept in the store, so that its record can be deleted when
the span is over.

Key of a chunk: partition, letter, span (4 bytes), source position of the commit (8 bytes), and which one of the commit
it is (2 bytes) but for the first. Value: how many (4 bytes), then for each 16 bytes of identity, 8 of content, 8 of log
time; then, for those that keep more, their place (4 bytes), length (4 bytes) and bytes.
"""

import struct
from collections.abc import Mapping
from itertools import chain
from typing import Final

from engine.partition import keys
from engine.store.ports import STATE, Batch, Store

Pair = tuple[bytes, bytes | None]

_FAMILY: Final = "seen-"
_COUNT: Final = struct.Struct(">I")
_KEPT: Final = struct.Struct(">II")
_IDENTITY_BYTES: Final = 16
_EVENT_BYTES: Final = 32
_CHUNK_EVENTS_MAX: Final = 10_000  # a third of what a broker takes by default in one batch
_CHUNK_BYTES: Final = _CHUNK_EVENTS_MAX * _EVENT_BYTES
_EVENT: Final = struct.Struct(">16s16s")


class RecordedBatch:
    """Port ``Batch``: what a partition commits, by family, the last value of each key."""

    def __init__(self) -> None:
        self._families: dict[str, dict[bytes, bytes | None]] = {STATE: {}}
        self._current = self._families[STATE]

    def use(self, family: str) -> None:
        self._current = self._families.setdefault(family, {})

    def put(self, key: bytes, value: bytes) -> None:
        self._current[key] = value

    def put_all(self, pairs: Mapping[bytes, bytes]) -> None:
        self._current.update(pairs)

    def delete(self, key: bytes) -> None:
        self._current[key] = None

    def delete_range(self, begin: bytes, end: bytes) -> None:
        raise AssertionError("a changelog knows no ranges")

    @property
    def _identities(self) -> dict[str, dict[bytes, bytes]]:
        return {family: puts for family, puts in self._families.items() if family.startswith(_FAMILY)}  # type: ignore[misc]  # no identity is deleted

    def changelog(self, partition: int, position: int, ended: list[bytes]) -> list[Pair]:
        """The changelog's records, meta last. ``ended``: the keys of chunks to delete."""
        state = list(self._families[STATE].items())
        assert state[-1][0] == keys.prefix(partition, keys.META)
        chunks: list[Pair] = []
        for family, identities in self._identities.items():
            begin = keys.prefix(partition, keys.SEEN) + _COUNT.pack(int(family.removeprefix(_FAMILY)))
            key = begin + position.to_bytes(8, "big")
            for number, chunk in enumerate(_chunks(identities)):
                chunks.append((key + number.to_bytes(2, "big") if number else key, chunk))
        return [*state[:-1], *chunks, *((key, None) for key in ended), state[-1]]

    def write(self, store: Store, batch: Batch, partition: int, pairs: list[Pair]) -> None:
        """``write_pairs`` of what ``changelog`` gave; its chunks need not be read, what is in them is here."""
        _write_state(batch, partition, pairs)
        for family, identities in self._identities.items():
            store.add_family(family)
            batch.use(family)
            batch.put_all(identities)


def _chunks(identities: dict[bytes, bytes]) -> list[bytes]:
    plain = b"".join(chain.from_iterable(identities.items()))
    if len(plain) == len(identities) * _EVENT_BYTES:  # nobody keeps more, as almost always
        parts = [plain[at : at + _CHUNK_BYTES] for at in range(0, len(plain), _CHUNK_BYTES)]
        return [_COUNT.pack(len(part) // _EVENT_BYTES) + part for part in parts]
    pairs = list(identities.items())
    return [_chunk(pairs[at : at + _CHUNK_EVENTS_MAX]) for at in range(0, len(pairs), _CHUNK_EVENTS_MAX)]


def _chunk(identities: list[tuple[bytes, bytes]]) -> bytes:
    parts = [_COUNT.pack(len(identities))]
    kept: list[bytes] = []
    for place, (identity, value) in enumerate(identities):
        assert len(identity) == _IDENTITY_BYTES
        head = _EVENT_BYTES - _IDENTITY_BYTES
        parts += (identity, value[:head])
        if len(value) > head:
            kept += (_KEPT.pack(place, len(value) - head), value[head:])
    return b"".join(parts + kept)


def _put_identities(batch: Batch, chunk: bytes) -> None:
    """Adds the identities of a chunk to a batch, which uses their family."""
    (count,) = _COUNT.unpack_from(chunk)
    at = _COUNT.size + count * _EVENT_BYTES
    put = batch.put
    for identity, head in _EVENT.iter_unpack(memoryview(chunk)[_COUNT.size : at]):
        put(identity, head)
    while at < len(chunk):  # those that keep more are put again, whole
        place, length = _KEPT.unpack_from(chunk, at)
        at += _KEPT.size
        identity, head = _EVENT.unpack_from(chunk, _COUNT.size + place * _EVENT_BYTES)
        put(identity, head + chunk[at : at + length])
        at += length


def write_pairs(store: Store, batch: Batch, partition: int, pairs: list[Pair]) -> None:
    """Adds changelog records to a batch of the store."""
    begin = keys.prefix(partition, keys.SEEN)
    for key, chunk in _write_state(batch, partition, pairs):
        family = f"{_FAMILY}{_span_of(begin, key)}"
        store.add_family(family)
        batch.use(family)
        _put_identities(batch, chunk)


def _write_state(batch: Batch, partition: int, pairs: list[Pair]) -> list[tuple[bytes, bytes]]:
    """All but what is in the chunks, which are given back: of each of them the key alone."""
    begin = keys.prefix(partition, keys.SEEN)
    batch.use(STATE)
    chunks: list[tuple[bytes, bytes]] = []
    put = batch.put
    for key, value in pairs:
        if value is None:
            batch.delete(key)
        elif key.startswith(begin):
            put(key, b"")
            chunks.append((key, value))
        else:
            put(key, value)
    return chunks


def chunks_before(store: Store, partition: int, span: int, chunks_max: int) -> list[bytes]:
    """The keys of chunks of earlier spans, at most that many."""
    begin = keys.prefix(partition, keys.SEEN)
    found: list[bytes] = []
    for key, _ in store.scan(STATE, begin, begin + _COUNT.pack(max(span, 0))):
        found.append(key)
        if len(found) == chunks_max:
            break
    return found


def _span_of(begin: bytes, key: bytes) -> int:
    (span,) = _COUNT.unpack_from(key, len(begin))
    assert isinstance(span, int)
    return span
