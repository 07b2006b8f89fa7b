"""The log of a stopped product, out of its data folder: what ``what-if`` folds again and ``move`` moves."""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from engine.core.fold import Record
from engine.embedded.engine import stored_partitions
from engine.failures import WrongUse
from engine.log.chunks import Entry, chunk_key, decode_chunk
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
    with stored_logs_and_deliveries(folder) as (logs, _):
        yield logs


@contextmanager
def stored_logs_and_deliveries(folder: Path) -> Iterator[tuple[list[Iterator[Record]], Iterator[bytes]]]:
    """The same with the deliveries that were recorded and are kept, partition after partition. Raises the same."""
    if not (folder / "CURRENT").is_file():
        raise WrongUse(f"{folder}: expected a data folder of `plimsoll run`, or a file of events")
    with closing(RocksStore(folder)) as store:
        count = stored_partitions(store)
        if count is None:
            raise WrongUse(f"{folder}: expected a data folder of `plimsoll run`, found another store")
        deliveries = (
            entry.value for number in range(count) for entry in _entries(store, number, Topic.DELIVERIES)
        )
        yield [_records(store, number) for number in range(count)], deliveries


def _records(store: Store, partition: int) -> Iterator[Record]:
    for entry in _entries(store, partition, Topic.EVENTS):
        yield Record(entry.at, decode(entry.value, engine=entry.mark), entry.value)


def _entries(store: Store, partition: int, topic: Topic) -> Iterator[Entry]:
    for _, value in store.scan(LOG, chunk_key(partition, topic, 0), chunk_key(partition, topic, _OFFSET_MAX)):
        yield from decode_chunk(value)
