"""Which revision of each piece of configuration a partition has, and what it decided about it (ADR 19).

Only the Kafka runtime has revisions: embedded, one writer puts configuration to all partitions in one batch.
"""

from typing import Final, Protocol

import msgspec

from engine.partition.keys import REVISION, pair_key, prefix
from engine.store.ports import STATE, Batch, Store


class Decided(msgspec.Struct, frozen=True, array_like=True):
    """What a partition made of a revision: a verdict of the core, ``asked`` or ``refused``, the last with its why."""

    revision: int
    verdict: str
    reason: str | None = None
    message: str | None = None


NONE: Final = Decided(-1, "none")
"""What a partition has of configuration that it has not heard of."""

_encode = msgspec.msgpack.Encoder().encode
decode_decided = msgspec.msgpack.Decoder(Decided).decode


class Revisions(Protocol):
    """The last revision by kind and key."""

    def get(self, kind: str, key: str) -> Decided:
        """The last one, or ``NONE``."""
        ...

    def put(self, kind: str, key: str, decided: Decided) -> None:
        """Replaces it."""
        ...


class MemoryRevisions:
    """In memory: for a log that is read again."""

    def __init__(self) -> None:
        self._decided: dict[tuple[str, str], Decided] = {}

    def get(self, kind: str, key: str) -> Decided:
        return self._decided.get((kind, key), NONE)

    def put(self, kind: str, key: str, decided: Decided) -> None:
        self._decided[kind, key] = decided


class StoredRevisions:
    """Over a store; what is not written yet is laid over it."""

    def __init__(self, store: Store, partition: int) -> None:
        self._store = store
        self._prefix = prefix(partition, REVISION)
        self._pending: dict[bytes, Decided] = {}

    def get(self, kind: str, key: str) -> Decided:
        name = pair_key(self._prefix, kind, key)
        found = self._pending.get(name)
        if found is None:
            stored = self._store.get(STATE, name)
            found = NONE if stored is None else decode_decided(stored)
        return found

    def put(self, kind: str, key: str, decided: Decided) -> None:
        self._pending[pair_key(self._prefix, kind, key)] = decided

    def write(self, batch: Batch) -> None:
        """Adds what changed to a batch that uses the state's family."""
        for name, decided in self._pending.items():
            batch.put(name, _encode(decided))

    def written(self) -> None:
        """The batch is in the store."""
        self._pending.clear()
