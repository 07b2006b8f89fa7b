"""The dedupe window on disk: what was put is found, whatever the filters in memory know of it."""

import random
from collections.abc import Callable

import pytest

from engine.core.state import DEDUPE_WINDOW, pack_seen
from engine.partition.seen import SeenFamilies, StoredSeen
from schemas.times import DAY
from tests.simulation.store import Disk, SimulatedStore

NOW = 100 * DEDUPE_WINDOW + DAY


class Reads(SimulatedStore):
    """Counts the reads of identities."""

    reads = 0

    def reader(self, family: str) -> Callable[[bytes], bytes | None]:
        read = super().reader(family)

        def counted(key: bytes) -> bytes | None:
            self.reads += 1
            return read(key)

        return counted


@pytest.fixture
def store() -> Reads:
    return Reads(Disk())


def opened(store: Reads, filter_bytes: int = 1024) -> StoredSeen:
    return StoredSeen(SeenFamilies(store, filter_bytes))


def take(seen: StoredSeen, store: Reads, now: int, *identities: bytes) -> list[bool]:
    """One batch, as a fold uses it: which of the identities were seen before; the others are written."""
    seen.look_from(now)
    repeats = []
    for identity in identities:
        found = seen.get(identity)
        repeats.append(found is not None)
        if found is None:
            seen.fresh(now)[identity] = pack_seen(7, now)
    batch = store.batch()
    seen.write(batch, now)
    store.write(batch)
    seen.written()
    return repeats


def names(count: int, seed: int = 1) -> list[bytes]:
    rng = random.Random(seed)
    return [rng.randbytes(16) for _ in range(count)]


def test_a_new_identity_costs_no_read_and_a_repeat_one(store: Reads) -> None:
    seen = opened(store)
    first, second = names(2)
    assert take(seen, store, NOW, first) == [False]
    assert store.reads == 0
    assert take(seen, store, NOW, first, second) == [True, False]
    assert store.reads == 1


def test_a_repeat_within_a_batch_is_found(store: Reads) -> None:
    seen = opened(store)
    (name,) = names(1)
    assert take(seen, store, NOW, name, name) == [False, True]


def test_what_was_on_disk_is_found_before_and_after_it_is_learnt(store: Reads) -> None:
    old, new = names(1000), names(1000, seed=2)
    take(opened(store), store, NOW, *old)
    seen = opened(store, 1 << 20)
    store.reads = 0
    assert take(seen, store, NOW, *old[:10], new[0]) == [True] * 10 + [False]
    assert store.reads == 11  # nothing is certain yet
    for _ in range(20):
        seen.look_from(NOW)
    store.reads = 0
    assert take(seen, store, NOW, *new) == [True] + [False] * 999
    assert store.reads < 10
    assert all(take(seen, store, NOW, *old))
    assert all(take(seen, store, NOW, *new))


def test_what_comes_while_it_is_learnt_is_found_afterwards(store: Reads) -> None:
    old, new = names(600), names(600, seed=2)
    take(opened(store), store, NOW, *old)
    seen = opened(store)
    for name in new:
        take(seen, store, NOW, name)
    assert all(take(seen, store, NOW, *old, *new))


@pytest.mark.parametrize("filter_bytes", [64, 100, 1 << 16])
def test_the_span_before_is_looked_into_and_one_that_is_over_is_not(store: Reads, filter_bytes: int) -> None:
    families = SeenFamilies(store, filter_bytes)
    seen = StoredSeen(families)
    early, late = names(300), names(300, seed=2)
    take(seen, store, NOW, *early)
    assert not any(take(seen, store, NOW + DEDUPE_WINDOW, *late))
    assert all(take(seen, store, NOW + DEDUPE_WINDOW, *early, *late))
    families.drop_before(NOW + 2 * DEDUPE_WINDOW)
    assert not any(take(seen, store, NOW + 2 * DEDUPE_WINDOW, *early))
    assert all(take(seen, store, NOW + 2 * DEDUPE_WINDOW, *late))


def test_an_identity_put_at_an_earlier_time_without_a_look_is_found(store: Reads) -> None:
    seen = opened(store)
    first, second, third = names(3)
    take(seen, store, NOW, first)
    later = NOW + DEDUPE_WINDOW
    seen.look_from(later)
    assert seen.get(third) is None
    seen.fresh(later)[third] = pack_seen(8, later)
    seen.put(second, 7, NOW)  # as a transfer's request, whose time is that of its hold
    assert seen.get(second) == (7, NOW, b"")
    batch = store.batch()
    seen.write(batch, later)
    store.write(batch)
    seen.written()
    assert seen.get(second) == (7, NOW, b"")
    assert take(seen, store, later, second, third) == [True, True]
    for name, at in ((second, NOW), (third, later)):  # each in the family of its own time
        assert [key for key, _ in store.scan(f"seen-{at // DEDUPE_WINDOW}", name, name + b"\0")] == [name]


def test_another_partition_s_identities_are_known_to_the_filter_they_share(store: Reads) -> None:
    families = SeenFamilies(store, 1024)
    one, other = StoredSeen(families), StoredSeen(families)
    first, second = names(100), names(100, seed=2)
    take(one, store, NOW, *first)
    take(other, store, NOW, *second)
    assert all(take(one, store, NOW, *first))
    assert all(take(other, store, NOW, *second))


def test_a_batch_that_begins_before_the_last_was_written_forgets_nothing(store: Reads) -> None:
    seen = opened(store)
    (name,) = names(1)
    seen.look_from(NOW)
    assert seen.get(name) is None
    seen.fresh(NOW)[name] = pack_seen(7, NOW)
    seen.look_from(NOW + DEDUPE_WINDOW)
    assert seen.get(name) == (7, NOW, b"")
