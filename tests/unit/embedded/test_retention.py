"""What the embedded log forgets, and what it keeps (architecture, "The log")."""

from pathlib import Path

import pytest

from engine.embedded.journal import read_topic
from engine.embedded.retention import trim
from engine.log.chunks import Entry
from engine.partition.partition import Bounds, Partition
from engine.partition.seen import SeenFamilies
from engine.store.rocks import RocksStore
from schemas.topics import Topic


@pytest.mark.parametrize(
    ("instant", "left"),
    [(0, [0, 1, 2, 3, 4, 5]), (10, [0, 1, 2, 3, 4, 5]), (11, [2, 3, 4, 5]), (30, [4, 5]), (31, [])],
)
def test_chunks_that_are_older_are_deleted_whole(tmp_path: Path, instant: int, left: list[int]) -> None:
    store = RocksStore(tmp_path)
    partitions = [Partition(store, number, SeenFamilies(store), Bounds()) for number in range(2)]
    for at in (10, 20, 30):
        batch = store.batch()
        for partition in partitions:
            for topic in (Topic.CHANGES, Topic.EVENTS):
                partition.append(batch, topic, [Entry("c", at, b"a"), Entry("c", at, b"b")])
        store.write(batch)
    trim(store, partitions, {Topic.CHANGES: instant})
    for partition in partitions:
        changes = read_topic(store, partition.number, Topic.CHANGES, 0, 6, 100)
        events = read_topic(store, partition.number, Topic.EVENTS, 0, 6, 100)
        assert [record.offset for record in changes] == left
        assert [record.offset for record in events] == [0, 1, 2, 3, 4, 5]
    assert trim(store, partitions, {Topic.CHANGES: instant}) == 0
    store.close()
