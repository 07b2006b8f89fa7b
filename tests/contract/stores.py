"""Every adapter of Store, by name, as the contract suite opens it.

To add one: a class with a Bench's methods, entered in BENCHES. Nothing else changes.
"""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Final, Protocol

from engine.store.ports import Store
from engine.store.rocks import RocksStore
from tests.simulation.store import Disk, SimulatedStore


class Bench(Protocol):
    """A store to be tested, empty at first, with what only a test may do to it."""

    @property
    def store(self) -> Store:
        """The adapter; another object after ``reopen`` and ``kill``."""
        ...

    def reopen(self) -> None:
        """Closes the store and opens it again."""
        ...

    def kill(self) -> None:
        """Opens what the kernel has of the store, as after kill -9 of its process."""
        ...

    def close(self) -> None:
        """Closes whatever is open."""
        ...


class _RocksBench:
    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._copies = 0
        self._opened = [RocksStore(folder / "0")]

    @property
    def store(self) -> Store:
        return self._opened[-1]

    def reopen(self) -> None:
        self._opened.pop().close()
        self._opened.append(RocksStore(self._folder / str(self._copies)))

    def kill(self) -> None:
        """A copy of the files while the store is open is what the kernel has of them: nothing was flushed for it."""
        source = self._folder / str(self._copies)
        self._copies += 1
        shutil.copytree(source, self._folder / str(self._copies))
        self._opened.append(RocksStore(self._folder / str(self._copies)))

    def close(self) -> None:
        for store in self._opened:
            store.close()


class _SimulatedBench:
    def __init__(self, _: Path) -> None:
        self._disk = Disk()
        self._store = SimulatedStore(self._disk)

    @property
    def store(self) -> Store:
        return self._store

    def reopen(self) -> None:
        self._store.close()
        self._store = SimulatedStore(self._disk)

    def kill(self) -> None:
        self._store.kill()
        self._store = SimulatedStore(self._disk)

    def close(self) -> None:
        self._store.close()


BENCHES: Final[dict[str, Callable[[Path], Bench]]] = {"rocks": _RocksBench, "simulated": _SimulatedBench}
