"""Topic names, their policies, and the partitioner (architecture, "The log")."""

import struct
from enum import Enum
from typing import Final


class Topic(Enum):
    """A topic of the log. The value is its name (a deployment may prefix it)."""

    EVENTS = "events"
    CHANGES = "changes"
    NOTIFICATIONS = "notifications"
    JOURNAL = "journal"
    REJECTIONS = "rejections"
    DELIVERIES = "deliveries"

    __hash__ = object.__hash__  # as members compare; Enum's own is a function in Python, for many look-ups a commit


PARTITIONS_DEFAULT: Final = 12


def murmur2(key: bytes) -> int:
    """Kafka's murmur2 of a key as an unsigned 32-bit integer (org.apache.kafka.common.utils.Utils.murmur2)."""
    length = len(key)
    mask = 0xFFFFFFFF
    m = 0x5BD1E995
    h = (0x9747B28C ^ length) & mask
    whole = length & ~3
    for word in _words(key, length >> 2):
        k = (word * m) & mask
        h = ((h * m) ^ ((k ^ (k >> 24)) * m)) & mask
    if whole != length:
        h = ((h ^ int.from_bytes(key[whole:], "little")) * m) & mask
    h = ((h ^ (h >> 13)) * m) & mask
    return h ^ (h >> 15)


def _words(key: bytes, count: int) -> tuple[int, ...]:
    return struct.unpack_from(f"<{count}I", key)


def partition_of(client: str, partitions: int) -> int:
    """The partition of a client's key: Kafka's default partitioner, ``murmur2 & 0x7fffffff % partitions``."""
    return (murmur2(client.encode()) & 0x7FFFFFFF) % partitions
