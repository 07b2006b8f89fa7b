"""Topic names, their policies, and the partitioner (architecture, "The log")."""

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


PARTITIONS_DEFAULT: Final = 12


def murmur2(key: bytes) -> int:
    """Kafka's murmur2 of a key as a signed-less 32-bit integer (org.apache.kafka.common.utils.Utils.murmur2)."""
    length = len(key)
    mask = 0xFFFFFFFF
    m = 0x5BD1E995
    h = (0x9747B28C ^ length) & mask
    whole = length & ~3
    for at in range(0, whole, 4):
        k = int.from_bytes(key[at : at + 4], "little")
        k = (k * m) & mask
        k ^= k >> 24
        k = (k * m) & mask
        h = ((h * m) & mask) ^ k
    tail = key[whole:]
    if tail:
        h ^= int.from_bytes(tail, "little")
        h = (h * m) & mask
    h ^= h >> 13
    h = (h * m) & mask
    return h ^ (h >> 15)


def partition_of(client: str, partitions: int) -> int:
    """The partition of a client's key: Kafka's default partitioner, ``murmur2 & 0x7fffffff % partitions``."""
    return (murmur2(client.encode()) & 0x7FFFFFFF) % partitions
