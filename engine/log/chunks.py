"""Records of the embedded log, kept a commit's worth at a time: one stored value for each topic and partition.

Key: partition (2 bytes), topic (1 byte), offset of the first record (8 bytes), all big-endian, so that a scan reads a
partition's topic in order. Value: msgpack ``[[key, at, value, mark], ...]``; where that is long, packed with LZ4, which
costs less than writing the bytes it saves: records of one commit are much alike (ADR 23).
"""

from collections.abc import Sequence
from typing import Final

import msgspec
from cramjam import lz4

from schemas.topics import Topic

TOPIC_NUMBERS: Final = {topic: number for number, topic in enumerate(Topic)}
"""Written into keys: append new topics, never re-order."""


class Entry(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """One record: key, log time in microseconds, bytes, and whether the engine itself wrote it."""

    key: str
    at: int
    value: bytes
    mark: bool = False


Row = tuple[str, int, bytes, bool]
"""What an entry is written from: its fields. Where there is one for every event, a tuple is a third of the cost."""

_encode = msgspec.msgpack.Encoder().encode
_PACKED: Final = b"\xc1"  # what msgpack never begins with: an LZ4 block follows, its size first
_PACKED_FROM: Final = 4_096  # bytes
_ENTRY: Final = b"\x94"  # msgpack's array of as many as an Entry has fields; its key follows
_decode = msgspec.msgpack.Decoder(list[Entry]).decode


def chunk_key(partition: int, topic: Topic, offset: int) -> bytes:
    """Where the chunk that starts at ``offset`` is kept."""
    return partition.to_bytes(2, "big") + bytes((TOPIC_NUMBERS[topic],)) + offset.to_bytes(8, "big")


def offset_of(key: bytes) -> int:
    """The first offset of the chunk under that key."""
    return int.from_bytes(key[3:], "big")


def encode_chunk(entries: Sequence[Entry] | Sequence[Row]) -> bytes:
    """The stored value of a chunk."""
    value = _encode(entries)
    return value if len(value) < _PACKED_FROM else b"".join((_PACKED, lz4.compress_block(value)))


def unpacked(value: bytes) -> bytes:
    """A stored value as msgpack; one that is already stays as it is."""
    return bytes(lz4.decompress_block(memoryview(value)[1:])) if value[:1] == _PACKED else value


def may_hold(value: bytes, key: str) -> bool:
    """Whether an unpacked chunk can hold a record of that key; False is certain, and far cheaper than decoding it."""
    return _ENTRY + _encode(key) in value


def decode_chunk(value: bytes) -> list[Entry]:
    """The records of a chunk, in order."""
    return _decode(unpacked(value))
