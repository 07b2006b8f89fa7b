"""How far a local store is, and whether it may be trusted (architecture, "Exactly-once on Kafka", 2)."""

from typing import Final, Literal

import msgspec

from engine.kafka.topics import DELETE_RETENTION_MS
from engine.partition import keys
from engine.store.ports import STATE, Batch, Store

AGE_MAX: Final = DELETE_RETENTION_MS * 1000 // 2
"""Half of what the changelog keeps deletions for, in microseconds: the other half is for restoring."""

FORMAT: Final = 1
"""Of what the stores of this version hold. A store of another one is restored from the changelog, never converted."""

Reason = Literal["ahead", "cluster", "damaged", "format", "gap", "old", "partitions", "unmarked"]


class Standing(msgspec.Struct, frozen=True, array_like=True):
    """The cluster, the offset of the changelog's next record, when that was written, in microseconds, and for how many
    partitions, in what format, the store holds what it holds."""

    cluster: str
    position: int
    at: int
    partitions: int = 0
    format: int = 0


class Distrust(msgspec.Struct, frozen=True):
    """Why a store is not used: a word for its new name and for metrics, and a sentence."""

    reason: Reason
    why: str


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


def distrusted(
    standing: Standing | None, cluster: str, partitions: int, begin: int, end: int, now: int
) -> Distrust | None:
    """Why a store with that standing is not used; None: restoring goes on from it.

    ``begin`` and ``end``: the changelog's, as it is now.
    """
    if standing is None:
        return Distrust("unmarked", "it does not say how far it is")
    if standing.format != FORMAT:
        return Distrust("format", f"it has format {standing.format}, this version reads {FORMAT}")
    if standing.cluster != cluster:
        return Distrust("cluster", f"it is of the cluster {standing.cluster}, this one is {cluster}")
    if standing.partitions != partitions:
        return Distrust("partitions", f"it is one of {standing.partitions} partitions, the topics have {partitions}")
    if standing.position > end:
        return Distrust("ahead", f"it is at {standing.position} of a changelog that ends at {end}")
    if standing.position < begin:
        return Distrust("gap", f"it is at {standing.position} of a changelog that begins at {begin}")
    if now - standing.at > AGE_MAX:
        return Distrust("old", "it is older than half of what the changelog keeps deletions for")
    return None
