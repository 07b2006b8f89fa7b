"""The store as the partition sees it: ordered bytes in families, one atomic batch at a time.

Adapters: RocksDB (``engine.store.rocks``) and the simulated one of ``tests/simulation``. Both run the contract suite
in ``tests/contract/test_store.py``.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Final, Protocol

from engine.failures import OperationalError

STATE: Final = "state"
LOG: Final = "log"


class StoreError(OperationalError):
    """The store cannot be opened or written. Nothing of the failed batch is in it; the process must end."""


class StoreDamaged(StoreError):  # noqa: N818  # it names a state
    """What is on disk is not what was written: no retry mends it, another copy does."""


class Batch(Protocol):
    """Writes that become visible together, in the order given."""

    def use(self, family: str) -> None:
        """What follows goes into that family."""
        ...

    def put(self, key: bytes, value: bytes) -> None:
        """Sets a key."""
        ...

    def put_all(self, pairs: Mapping[bytes, bytes]) -> None:
        """``put`` of each."""
        ...

    def delete(self, key: bytes) -> None:
        """Removes a key, if it is there."""
        ...

    def delete_range(self, begin: bytes, end: bytes) -> None:
        """Removes every key from ``begin`` up to, not including, ``end``."""
        ...


class Store(Protocol):
    """Ordered byte keys per family. What ``write`` returned from survives the end of the process; what ``sync``
    returned after survives the end of the machine."""

    def get(self, family: str, key: bytes) -> bytes | None:
        """The value of a key, or None."""
        ...

    def reader(self, family: str) -> Callable[[bytes], bytes | None]:
        """``get`` of one family, bound: for look-ups of every event."""
        ...

    def scan(self, family: str, begin: bytes, end: bytes) -> Iterator[tuple[bytes, bytes]]:
        """Keys and values from ``begin`` up to, not including, ``end``, in order."""
        ...

    def last_before(self, family: str, begin: bytes, end: bytes) -> tuple[bytes, bytes] | None:
        """The last key at or before ``end`` that is not before ``begin``, with its value."""
        ...

    def families(self) -> list[str]:
        """The families there are."""
        ...

    def add_family(self, family: str) -> None:
        """Makes a family; one that exists stays as it is."""
        ...

    def drop_family(self, family: str) -> None:
        """Drops a family with all its keys, at once."""
        ...

    def batch(self) -> Batch:
        """An empty batch."""
        ...

    def write(self, batch: Batch) -> None:
        """Applies a batch whole or not at all. Raises StoreError."""
        ...

    def sync(self) -> None:
        """Makes everything written so far durable. Raises StoreError."""
        ...

    def bytes_on_disk(self) -> int:
        """What it takes on disk."""
        ...

    def close(self) -> None:
        """Flushes and closes."""
        ...
