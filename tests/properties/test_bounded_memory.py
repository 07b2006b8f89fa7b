"""How little is kept in memory, and how often the store is opened again, changes nothing that comes out."""

from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.embedded.batch import BatchFold
from engine.embedded.routes import Routes
from engine.log.ports import Answer
from engine.partition import dues
from engine.partition.partition import Bounds, Partition
from engine.partition.seen import SeenFamilies
from engine.store.ports import Store
from schemas.codec import decode_all
from schemas.topics import Topic
from tests.integration.crash.audit import audit
from tests.properties.histories import history
from tests.properties.runs import record_of
from tests.simulation.store import Disk, SimulatedStore

PARTITIONS = 2
LARGE = Bounds()
TINY = Bounds(balances_max=1, accounts_max=1)

Dump = dict[str, list[tuple[bytes, bytes]]]


class Engine:
    """Partitions over a store in memory, committed as the embedded engine commits."""

    def __init__(self, disk: Disk, bounds: Bounds) -> None:
        self.store = SimulatedStore(disk)
        families = SeenFamilies(self.store, 64 if bounds is TINY else 4096)
        self._partitions = [Partition(self.store, number, families, bounds) for number in range(PARTITIONS)]

    def commit(self, lines: Sequence[bytes], now: int) -> list[Answer | None]:
        for partition in self._partitions:
            partition.begin(now)
        folded = BatchFold(self._partitions, Routes(PARTITIONS), now)
        folded.add(lines, decode_all(lines))
        folded.finish()
        batch = self.store.batch()
        touched = folded.touched()
        for number in touched:
            self._partitions[number].append(batch, Topic.EVENTS, folded.entries(number))
            self._partitions[number].commit(batch, folded.outcomes[number])
            folded.written(number)
        self.store.write(batch)
        for number in touched:
            self._partitions[number].committed()
        return folded.answers


def _batches(seed: int, sizes: Sequence[int]) -> list[tuple[list[bytes], int]]:
    """A history in commits of the given sizes, over and over; each commit has the log time of its first line."""
    lines = history(seed)
    batches: list[tuple[list[bytes], int]] = []
    now = 0
    while lines:
        size = sizes[len(batches) % len(sizes)]
        times = [at for at in (record_of(line).at for line in lines[:size]) if at is not None]
        now = max(now, times[0]) if times else now
        batches.append((lines[:size], now))
        lines = lines[size:]
    return batches


def _dump(store: Store) -> Dump:
    return {family: list(store.scan(family, b"", b"\xff" * 32)) for family in store.families()}


def _run(
    batches: list[tuple[list[bytes], int]], bounds: Bounds, window: int, *, reopened: bool = False
) -> tuple[Dump, list[list[Answer | None]]]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(dues, "WINDOW_ENTRIES", window)
        patch.setattr(dues, "WINDOW_ENTRIES_MAX", 4 * window)
        disk = Disk()
        engine = Engine(disk, bounds)
        answers = []
        for lines, now in batches:
            if reopened:
                engine.store.close()
                engine = Engine(disk, bounds)
            answers.append(engine.commit(lines, now))
        audit(engine.store, PARTITIONS).check()
        return _dump(engine.store), answers


SEEDS = st.integers(0, 2**32 - 1)
SIZES = st.lists(st.integers(1, 40), min_size=1, max_size=5)


@settings(max_examples=25)
@given(seed=SEEDS, sizes=SIZES)
def test_tables_of_one_record_give_the_same_as_large_ones(seed: int, sizes: list[int]) -> None:
    batches = _batches(seed, sizes)
    assert _run(batches, TINY, dues.WINDOW_ENTRIES) == _run(batches, LARGE, dues.WINDOW_ENTRIES)


@settings(max_examples=25)
@given(seed=SEEDS, sizes=SIZES, window=st.integers(1, 3))
def test_a_window_of_few_due_times_gives_the_same_as_all_of_them(seed: int, sizes: list[int], window: int) -> None:
    batches = _batches(seed, sizes)
    assert _run(batches, LARGE, window) == _run(batches, LARGE, dues.WINDOW_ENTRIES)


@settings(max_examples=25)
@given(seed=SEEDS, sizes=SIZES)
def test_opening_again_after_every_commit_gives_the_same_as_staying_open(seed: int, sizes: list[int]) -> None:
    batches = _batches(seed, sizes)
    assert _run(batches, LARGE, dues.WINDOW_ENTRIES, reopened=True) == _run(batches, LARGE, dues.WINDOW_ENTRIES)
