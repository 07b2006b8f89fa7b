"""The log of a stopped product, out of its data folder: what ``what-if`` folds again."""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from engine.core.fold import Record
from engine.embedded.engine import stored_partitions
from engine.failures import WrongUse
from engine.log.chunks import chunk_key, decode_chunk
from engine.store.ports import LOG, Store
from engine.store.rocks import RocksStore
from schemas.codec import decode
from schemas.topics import Topic

_OFFSET_MAX = 2**64 - 1


@contextmanager
def stored_logs(folder: Path) -> Iterator[list[Iterator[Record]]]:
    """The events of each partition of a data folder, in order, read as they are asked for.

    Raises WrongUse for a folder that is none, StoreError where it is in use or damaged.
    """
    if not (folder / "CURRENT").is_file():
        raise WrongUse(f"{folder}: expected a data folder of `plimsoll run`, or a file of events")
    with closing(RocksStore(folder)) as store:
        count = stored_partitions(store)
        if count is None:
            raise WrongUse(f"{folder}: expected a data folder of `plimsoll run`, found another store")
        yield [_records(store, number) for number in range(count)]


def _records(store: Store, partition: int) -> Iterator[Record]:
    begin, end = chunk_key(partition, Topic.EVENTS, 0), chunk_key(partition, Topic.EVENTS, _OFFSET_MAX)
    for _, value in store.scan(LOG, begin, end):
        for entry in decode_chunk(value):
            yield Record(entry.at, decode(entry.value, engine=entry.mark), entry.value)
