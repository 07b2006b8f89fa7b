"""How far a local store is, and whether it may be trusted (architecture, "Exactly-once on Kafka", 2)."""

from typing import Final

import msgspec

from engine.kafka.topics import DELETE_RETENTION_MS
from engine.partition import keys
from engine.store.ports import STATE, Batch, Store

AGE_MAX: Final = DELETE_RETENTION_MS * 1000 // 2
"""Half of what the changelog keeps deletions for, in microseconds: the other half is for restoring."""


class Standing(msgspec.Struct, frozen=True, array_like=True):
    """The cluster, the offset of the changelog's next record, and when that was written, in microseconds."""

    cluster: str
    position: int
    at: int


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Standing).decode


def read_standing(store: Store, partition: int) -> Standing | None:
    """What a store says of itself; None: it is new, or was cut off before it said anything."""
    stored = store.get(STATE, keys.prefix(partition, keys.STANDING))
    return None if stored is None else _decode(stored)


def write_standing(batch: Batch, partition: int, standing: Standing) -> None:
    """Adds it to a batch, with what makes it true."""
    batch.use(STATE)
    batch.put(keys.prefix(partition, keys.STANDING), _encode(standing))


def distrusted(standing: Standing | None, cluster: str, begin: int, end: int, now: int) -> str | None:
    """Why a store with that standing is wiped; None: restoring goes on from it."""
    if standing is None:
        return "it does not say how far it is"
    if standing.cluster != cluster:
        return f"it is of the cluster {standing.cluster}"
    if not begin <= standing.position <= end:
        return f"it is at {standing.position} of a changelog from {begin} to {end}"
    if now - standing.at > AGE_MAX:
        return "it is older than the changelog keeps deletions for"
    return None
