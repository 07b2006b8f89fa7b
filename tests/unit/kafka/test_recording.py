"""A recorded commit: the same pairs for changelog and store, identities in chunks."""

from pathlib import Path

import pytest

from engine.kafka.recording import RecordedBatch, chunks_before, write_pairs
from engine.partition import keys
from engine.store.ports import STATE
from engine.store.rocks import RocksStore

META = keys.prefix(5, keys.META)
FIRST, SECOND = b"a" * 16, b"b" * 16
HEAD = bytes(range(16))


def recorded() -> RecordedBatch:
    batch = RecordedBatch()
    batch.use(STATE)
    batch.put(b"\0\5bx", b"old")
    batch.put(b"\0\5bx", b"new")
    batch.delete(b"\0\5dgone")
    batch.use("seen-7")
    batch.put(FIRST, HEAD)
    batch.put(SECOND, HEAD + b"units")
    batch.use(STATE)
    batch.put(META, b"meta")
    return batch


def test_the_changelog_has_the_last_value_of_each_key_chunks_and_meta_last() -> None:
    pairs = recorded().changelog(5, 40, [b"ended"])
    chunk = keys.prefix(5, keys.SEEN) + (7).to_bytes(4, "big") + (40).to_bytes(8, "big")
    assert [(key, None if value is None else len(value)) for key, value in pairs] == [
        (b"\0\5bx", 3),
        (b"\0\5dgone", None),
        (chunk, 4 + 32 + 32 + 8 + 5),
        (b"ended", None),
        (META, 4),
    ]


@pytest.mark.parametrize("restored", [True, False])
def test_a_store_has_the_identities_and_knows_their_chunks(tmp_path: Path, restored: bool) -> None:
    store = RocksStore(tmp_path / "store")
    batch, commit = store.batch(), recorded()
    pairs = commit.changelog(5, 40, [])
    if restored:
        write_pairs(store, batch, 5, pairs)
    else:
        commit.write(store, batch, 5, pairs)
    store.write(batch)
    assert store.get("seen-7", FIRST) == HEAD
    assert store.get("seen-7", SECOND) == HEAD + b"units"
    assert store.get(STATE, b"\0\5bx") == b"new"
    assert store.get(STATE, META) == b"meta"
    assert chunks_before(store, 5, 7, 10) == []
    (ended,) = chunks_before(store, 5, 8, 10)
    batch = store.batch()
    write_pairs(store, batch, 5, [(ended, None)])
    store.write(batch)
    assert chunks_before(store, 5, 8, 10) == []
    store.close()


def test_identities_that_keep_nothing_more_are_restored_too(tmp_path: Path) -> None:
    written = RecordedBatch()
    written.use("seen-7")
    written.put(FIRST, HEAD)
    written.put(SECOND, HEAD[::-1])
    written.use(STATE)
    written.put(META, b"meta")
    pairs = written.changelog(5, 40, [])
    assert pairs[0][1] == (2).to_bytes(4, "big") + FIRST + HEAD + SECOND + HEAD[::-1]
    store = RocksStore(tmp_path / "store")
    batch = store.batch()
    write_pairs(store, batch, 5, pairs)
    store.write(batch)
    assert [store.get("seen-7", FIRST), store.get("seen-7", SECOND)] == [HEAD, HEAD[::-1]]
    store.close()


@pytest.mark.parametrize("kept", [b"", b"units"])
@pytest.mark.parametrize(
    ("count", "sizes"), [(10_000, [10_000]), (10_001, [10_000, 1]), (25_000, [10_000, 10_000, 5_000])]
)
def test_many_identities_are_several_chunks(tmp_path: Path, count: int, sizes: list[int], kept: bytes) -> None:
    written = RecordedBatch()
    written.use("seen-7")
    identities = [number.to_bytes(16, "big") for number in range(count)]
    for identity in identities:
        written.put(identity, identity[::-1])
    written.put(identities[-1], HEAD + kept)
    written.use(STATE)
    written.put(META, b"meta")
    *chunks, _ = written.changelog(5, 40_000, [])
    begin = keys.prefix(5, keys.SEEN) + (7).to_bytes(4, "big") + (40_000).to_bytes(8, "big")
    assert [key for key, _ in chunks] == [begin, *(begin + bytes((0, number)) for number in range(1, len(sizes)))]
    assert [int.from_bytes((value or b"")[:4], "big") for _, value in chunks] == sizes
    assert all(len(value or b"") < 500_000 for _, value in chunks)
    store = RocksStore(tmp_path / "store")
    batch = store.batch()
    write_pairs(store, batch, 5, chunks)
    store.write(batch)
    assert [store.get("seen-7", identity) for identity in identities[:-1]] == [each[::-1] for each in identities[:-1]]
    assert store.get("seen-7", identities[-1]) == HEAD + kept
    assert chunks_before(store, 5, 8, 10) == [key for key, _ in chunks]
    store.close()
