"""What every adapter of Store promises the partition."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from engine.store.ports import LOG, STATE, Store
from tests.contract.stores import BENCHES, Bench

SPAN = "seen-2900"
FIRST, LAST = b"", b"\xff" * 40
ODD = {b"": b"empty key", b"\x00": b"", b"a\x00b": b"\x00\xff", b"\xff\xffp": b"x" * 100_000, "я".encode(): b"\n"}


@pytest.fixture(params=sorted(BENCHES))
def bench(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Bench]:
    """An empty store of each adapter."""
    bench = BENCHES[request.param](tmp_path)
    yield bench
    bench.close()


def _put(store: Store, family: str, **values: str) -> None:
    batch = store.batch()
    batch.use(family)
    for key, value in values.items():
        batch.put(key.encode(), value.encode())
    store.write(batch)


def _all(store: Store, family: str = STATE) -> dict[bytes, bytes]:
    return dict(store.scan(family, FIRST, LAST))


def test_a_new_store_has_its_two_families_and_nothing_in_them(bench: Bench) -> None:
    assert bench.store.families() == [LOG, STATE]
    assert _all(bench.store, LOG) == {}
    assert _all(bench.store, STATE) == {}
    assert bench.store.get(STATE, b"a") is None


def test_what_was_written_is_read(bench: Bench) -> None:
    _put(bench.store, STATE, a="1", b="2")
    assert bench.store.get(STATE, b"a") == b"1"
    assert bench.store.get(STATE, b"b") == b"2"


def test_keys_and_values_may_be_any_bytes(bench: Bench) -> None:
    batch = bench.store.batch()
    batch.use(STATE)
    for key, value in ODD.items():
        batch.put(key, value)
    bench.store.write(batch)
    assert {key: bench.store.get(STATE, key) for key in ODD} == ODD
    assert list(bench.store.scan(STATE, FIRST, LAST)) == sorted(ODD.items())


def test_families_are_separate(bench: Bench) -> None:
    _put(bench.store, STATE, a="state")
    _put(bench.store, LOG, a="log")
    assert bench.store.get(STATE, b"a") == b"state"
    assert bench.store.get(LOG, b"a") == b"log"


def test_one_batch_writes_several_families(bench: Bench) -> None:
    bench.store.add_family(SPAN)
    batch = bench.store.batch()
    for family in (STATE, LOG, SPAN, STATE):
        batch.use(family)
        batch.put(b"a" + family.encode(), b"1")
    bench.store.write(batch)
    found = [list(_all(bench.store, family)) for family in (STATE, LOG, SPAN)]
    assert found == [[b"astate"], [b"alog"], [b"aseen-2900"]]


def test_a_batch_is_seen_only_once_it_is_written(bench: Bench) -> None:
    batch = bench.store.batch()
    batch.use(STATE)
    batch.put(b"a", b"1")
    assert bench.store.get(STATE, b"a") is None
    bench.store.write(batch)
    assert bench.store.get(STATE, b"a") == b"1"


def test_an_empty_batch_may_be_written(bench: Bench) -> None:
    bench.store.write(bench.store.batch())
    assert _all(bench.store) == {}


def test_the_last_of_several_writes_of_a_key_counts(bench: Bench) -> None:
    batch = bench.store.batch()
    batch.use(STATE)
    for key, value in ((b"a", b"1"), (b"a", b"2"), (b"b", b"1")):
        batch.put(key, value)
    batch.delete(b"b")
    batch.delete(b"c")
    batch.put(b"c", b"1")
    batch.put_all({b"d": b"1", b"e": b"1"})
    batch.put_all({})
    batch.put(b"d", b"2")
    bench.store.write(batch)
    assert _all(bench.store) == {b"a": b"2", b"c": b"1", b"d": b"2", b"e": b"1"}


def test_deleting_what_is_not_there_changes_nothing(bench: Bench) -> None:
    _put(bench.store, STATE, a="1")
    batch = bench.store.batch()
    batch.use(STATE)
    batch.delete(b"b")
    bench.store.write(batch)
    assert _all(bench.store) == {b"a": b"1"}


def test_a_range_is_deleted_from_its_begin_up_to_its_end(bench: Bench) -> None:
    _put(bench.store, STATE, a="1", b="2", ba="3", c="4", d="5")
    batch = bench.store.batch()
    batch.use(STATE)
    batch.delete_range(b"b", b"d")
    batch.put(b"c", b"again")
    bench.store.write(batch)
    assert _all(bench.store) == {b"a": b"1", b"c": b"again", b"d": b"5"}


def test_a_scan_is_in_order_and_leaves_its_end_out(bench: Bench) -> None:
    _put(bench.store, STATE, b="2", a="1", d="4", c="3", ab="0")
    assert list(bench.store.scan(STATE, b"ab", b"d")) == [(b"ab", b"0"), (b"b", b"2"), (b"c", b"3")]
    assert list(bench.store.scan(STATE, b"aa", b"ab")) == []
    assert list(bench.store.scan(STATE, b"d", b"a")) == []


def test_a_scan_that_has_begun_does_not_see_later_writes(bench: Bench) -> None:
    _put(bench.store, STATE, a="1", b="2")
    scan = bench.store.scan(STATE, FIRST, LAST)
    assert next(scan) == (b"a", b"1")
    _put(bench.store, STATE, b="changed", c="new")
    assert list(scan) == [(b"b", b"2")]


def test_the_last_key_at_or_before_another_is_found(bench: Bench) -> None:
    _put(bench.store, STATE, a="1", c="3", e="5")
    last_before = bench.store.last_before
    assert last_before(STATE, b"a", b"c") == (b"c", b"3")
    assert last_before(STATE, b"a", b"d") == (b"c", b"3")
    assert last_before(STATE, b"a", b"z") == (b"e", b"5")
    assert last_before(STATE, b"d", b"d") is None
    assert last_before(STATE, b"", b"Z") is None
    assert last_before(LOG, b"", b"z") is None


def test_a_reader_sees_what_is_written_later(bench: Bench) -> None:
    read = bench.store.reader(STATE)
    assert read(b"a") is None
    _put(bench.store, STATE, a="1")
    assert read(b"a") == b"1"


def test_a_family_that_exists_stays_as_it_is_when_added(bench: Bench) -> None:
    bench.store.add_family(SPAN)
    _put(bench.store, SPAN, a="1")
    bench.store.add_family(SPAN)
    assert bench.store.families() == [LOG, SPAN, STATE]
    assert bench.store.get(SPAN, b"a") == b"1"


def test_a_dropped_family_is_gone_and_comes_back_empty(bench: Bench) -> None:
    bench.store.add_family(SPAN)
    _put(bench.store, SPAN, a="1")
    bench.store.drop_family(SPAN)
    assert bench.store.families() == [LOG, STATE]
    bench.store.add_family(SPAN)
    assert _all(bench.store, SPAN) == {}


@pytest.mark.parametrize("how", ["reopen", "kill"])
def test_what_was_written_survives_the_process(bench: Bench, how: str) -> None:
    bench.store.add_family(SPAN)
    _put(bench.store, STATE, a="1", b="2")
    _put(bench.store, SPAN, a="3")
    bench.store.sync()
    batch = bench.store.batch()
    batch.use(STATE)
    batch.delete(b"b")
    batch.put(b"c", b"unsynced")
    bench.store.write(batch)
    getattr(bench, how)()
    assert bench.store.families() == [LOG, SPAN, STATE]
    assert _all(bench.store) == {b"a": b"1", b"c": b"unsynced"}
    assert _all(bench.store, SPAN) == {b"a": b"3"}


@pytest.mark.parametrize("how", ["reopen", "kill"])
def test_a_dropped_family_stays_dropped(bench: Bench, how: str) -> None:
    bench.store.add_family(SPAN)
    _put(bench.store, SPAN, a="1")
    bench.store.drop_family(SPAN)
    getattr(bench, how)()
    assert bench.store.families() == [LOG, STATE]


def test_a_scan_that_was_begun_keeps_no_store_from_closing(bench: Bench) -> None:
    bench.store.add_family(SPAN)
    _put(bench.store, SPAN, a="1", b="2")
    begun = bench.store.scan(SPAN, FIRST, LAST)
    assert next(begun) == (b"a", b"1")
    bench.reopen()
    assert _all(bench.store, SPAN) == {b"a": b"1", b"b": b"2"}


def test_what_it_takes_on_disk_is_told(bench: Bench) -> None:
    _put(bench.store, LOG, a="1" * 10_000)
    bench.store.sync()
    assert bench.store.bytes_on_disk() >= 10_000
