"""How the simulated store loses what a disk loses when its machine ends; what it keeps is in the contract suite."""

import pytest

from engine.store.ports import STATE, StoreError
from tests.simulation.store import Disk, SimulatedStore

BATCHES = 6
SYNCED = 3


def _written() -> tuple[Disk, list[int]]:
    """A disk with six batches, three of them synced, and where each ends."""
    disk, ends = Disk(), []
    store = SimulatedStore(disk)
    for number in range(BATCHES):
        batch = store.batch()
        batch.use(STATE)
        batch.put(b"first%d" % number, b"1")
        batch.put(b"second%d" % number, b"2")
        store.write(batch)
        ends.append(len(disk.journal))
        if number + 1 == SYNCED:
            store.sync()
    return disk, ends


def _batches(disk: Disk) -> list[int]:
    """Which batches a store opened on the disk has, each whole."""
    found = dict(SimulatedStore(disk).scan(STATE, b"", b"\xff"))
    numbers = [number for number in range(BATCHES) if b"first%d" % number in found]
    assert sorted(found) == sorted(name % number for number in numbers for name in (b"first%d", b"second%d"))
    return numbers


@pytest.mark.parametrize("kept", range(SYNCED, BATCHES + 1))
def test_the_end_of_the_machine_loses_a_suffix(kept: int) -> None:
    disk, ends = _written()
    disk.end_machine(ends[kept - 1])
    assert _batches(disk) == list(range(kept))


@pytest.mark.parametrize("missing", [1, 5, 20])
def test_a_torn_batch_is_dropped_whole(missing: int) -> None:
    disk, ends = _written()
    disk.end_machine(ends[4] - missing)
    assert _batches(disk) == [0, 1, 2, 3]


def test_what_was_synced_cannot_be_lost() -> None:
    disk, ends = _written()
    with pytest.raises(AssertionError):
        disk.end_machine(ends[SYNCED - 1] - 1)


def test_writing_goes_on_after_a_torn_batch() -> None:
    disk, ends = _written()
    disk.end_machine(ends[4] - 1)
    store = SimulatedStore(disk)
    batch = store.batch()
    batch.use(STATE)
    batch.put(b"first5", b"1")
    batch.put(b"second5", b"2")
    store.write(batch)
    assert _batches(disk) == [0, 1, 2, 3, 5]


def test_a_step_that_fails_did_not_happen() -> None:
    def fail(step: str) -> None:
        raise StoreError(step)

    disk, ends = _written()
    store = SimulatedStore(disk, fail)
    batch = store.batch()
    batch.use(STATE)
    batch.put(b"first9", b"1")
    with pytest.raises(StoreError):
        store.write(batch)
    with pytest.raises(StoreError):
        store.sync()
    assert (len(disk.journal), disk.synced) == (ends[-1], ends[SYNCED - 1])


def test_a_process_that_has_ended_writes_no_more() -> None:
    disk, ends = _written()
    store = SimulatedStore(disk)
    store.kill()
    with pytest.raises(StoreError):
        store.write(store.batch())
    assert len(disk.journal) == ends[-1]
