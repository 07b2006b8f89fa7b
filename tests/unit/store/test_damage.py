"""Damage that is met only when it is read: never taken for the end of what there is."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from engine.store.ports import STATE, StoreError
from engine.store.rocks import RocksStore

KEYS = 4_000


def _key(number: int) -> bytes:
    return b"k%06d" % number


@pytest.fixture
def damaged(tmp_path: Path) -> Iterator[RocksStore]:
    """A store in whose one table the blocks of the middle keys are damaged; index and footer are whole."""
    store = RocksStore(tmp_path)
    batch = store.batch()
    batch.use(STATE)
    for number in range(KEYS):
        batch.put(_key(number), number.to_bytes(8, "big") * 32)
    store.write(batch)
    store.close()
    (table,) = tmp_path.glob("*.sst")
    content = bytearray(table.read_bytes())
    for at in range(len(content) * 2 // 5, len(content) * 3 // 5):
        content[at] ^= 0xFF
    table.write_bytes(content)
    store = RocksStore(tmp_path)
    yield store
    store.close()


READS: dict[str, Callable[[RocksStore], object]] = {
    "get": lambda store: [store.get(STATE, _key(number)) for number in range(KEYS)],
    "reader": lambda store: [*map(store.reader(STATE), map(_key, range(KEYS)))],
    "scan": lambda store: list(store.scan(STATE, b"k", b"l")),
    "last_before": lambda store: [store.last_before(STATE, b"k", _key(number)) for number in range(KEYS)],
}


@pytest.mark.parametrize("read", READS)
def test_a_damaged_block_is_an_error_where_it_is_read(damaged: RocksStore, read: str) -> None:
    with pytest.raises(StoreError, match=r"is damaged .* restore it from a backup"):
        READS[read](damaged)


def test_what_is_whole_can_still_be_read(damaged: RocksStore) -> None:
    assert damaged.get(STATE, _key(0)) == bytes(256)
