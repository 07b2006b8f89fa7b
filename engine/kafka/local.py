"""The local store of a partition: opened where it can be trusted, else set aside, kept for whoever wants to look.

What is set aside is named after the store, the reason and a number, ``partition-3.aside-damaged-2``; a few are kept,
the latest. Only a store that the changelog has left behind is deleted at once: there is nothing to learn from it.
"""

import shutil
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Final

import msgspec

from engine.kafka.metrics import TaskMetrics
from engine.kafka.options import TaskOptions
from engine.kafka.standing import Distrust, Standing, distrusted, read_standing
from engine.store.ports import STATE, StoreDamaged
from engine.store.rocks import RocksStore

_MARK: Final = "DAMAGED"  # a file in the folder of a store at which reading or writing found damage
_ASIDE: Final = ".aside-"


class LocalStores:
    """Opens the store of one partition and looks after what is set aside beside it."""

    def __init__(self, options: TaskOptions, number: int, tell: Callable[[str], None], metrics: TaskMetrics) -> None:
        self._options = options
        self._number = number
        self._tell = tell
        self._metrics = metrics
        self._folder = options.folder(number)

    def open(self, begin: int, end: int, now: int) -> tuple[RocksStore, Standing | None]:
        """A store to restore on: with its standing, or new, without. ``begin`` and ``end``: the changelog's.

        Raises StoreError where no store can be had: it is in use, the disk is full.
        """
        found = self._looked_at()
        if found is None:
            try:
                store = RocksStore(self._folder)
            except StoreDamaged as error:
                found = Distrust("damaged", str(error))
            else:
                try:
                    standing, found = self._examined(store, begin, end, now)
                except BaseException:
                    store.close()
                    raise
                if found is None:
                    return store, standing
                store.close()
        self._put_away(found)
        return RocksStore(self._folder), None

    def _examined(self, store: RocksStore, begin: int, end: int, now: int) -> tuple[Standing | None, Distrust | None]:
        try:
            standing = read_standing(store, self._number)
            if standing is None and next(store.scan(STATE, b"", b"\xff"), None) is None:
                return None, None
        except (StoreDamaged, msgspec.MsgspecError) as error:
            return None, Distrust("damaged", str(error))
        return standing, distrusted(standing, self._options.cluster, self._options.partitions, begin, end, now)

    def mark_damaged(self, error: StoreDamaged) -> None:
        """Remembers damage that was found in use: it may be in a place that opening does not look at."""
        with suppress(OSError):  # a disk that takes no more says so again
            (self._folder / _MARK).write_text(f"{error}\n", encoding="utf-8")

    def _looked_at(self) -> Distrust | None:
        """What can be told from the names of the files; RocksDB makes a new store where these are not there."""
        names = {entry.name for entry in self._folder.iterdir()} if self._folder.is_dir() else set()
        if _MARK in names:
            return Distrust("damaged", (self._folder / _MARK).read_text(encoding="utf-8", errors="replace").strip())
        if not any(name.endswith(".sst") or name.startswith("MANIFEST") for name in names):
            return None
        if "CURRENT" not in names:
            return Distrust("damaged", "its file CURRENT is missing")
        if not any(name.endswith(".log") for name in names):
            return Distrust("damaged", "its write-ahead log is missing")
        return None

    def _put_away(self, found: Distrust) -> None:
        self._metrics.stores_set_aside.labels(found.reason).inc()
        said = f"partition {self._number}: the local store is not used: {found.why}"
        if found.reason == "gap":
            shutil.rmtree(self._folder)
            self._tell(f"{said}; it is deleted and restored from the start of the changelog")
            return
        asides = self._asides()
        number = asides[-1][0] + 1 if asides else 1
        aside = self._folder.with_name(f"{self._folder.name}{_ASIDE}{found.reason}-{number}")
        self._folder.rename(aside)
        self._tell(
            f"{said}; it is set aside as {aside}, which nothing uses any more: look at it or delete it. The partition "
            "is restored from the start of the changelog"
        )
        for _, former in [*asides, (number, aside)][: -self._options.asides_max]:
            shutil.rmtree(former, ignore_errors=True)
            self._tell(f"partition {self._number}: {former} is deleted: {self._options.asides_max} are kept")

    def _asides(self) -> list[tuple[int, Path]]:
        """What was set aside before, by number."""
        found = []
        for path in self._folder.parent.glob(f"{self._folder.name}{_ASIDE}*-*"):
            number = path.name.rpartition("-")[2]
            if number.isdecimal():
                found.append((int(number), path))
        return sorted(found)
