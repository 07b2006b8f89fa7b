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
    trim(store, partitions, {Topic.CHANGES: instant}, {})
    for partition in partitions:
        changes = read_topic(store, partition.number, Topic.CHANGES, 0, 6, 100)
        events = read_topic(store, partition.number, Topic.EVENTS, 0, 6, 100)
        assert [record.offset for record in changes] == left
        assert [record.offset for record in events] == [0, 1, 2, 3, 4, 5]
    assert trim(store, partitions, {Topic.CHANGES: instant}, {}) == 0
    store.close()


@pytest.mark.parametrize(("position", "left"), [(0, 6), (1, 6), (2, 4), (3, 4), (6, 2)])
def test_what_a_consumer_has_not_read_is_kept_however_old(tmp_path: Path, position: int, left: int) -> None:
    store = RocksStore(tmp_path)
    partition = Partition(store, 0, SeenFamilies(store), Bounds())
    for at in (10, 20, 30):
        batch = store.batch()
        partition.append(batch, Topic.NOTIFICATIONS, [Entry("c", at, b"a"), Entry("c", at, b"b")])
        store.write(batch)
    trim(store, [partition], {Topic.NOTIFICATIONS: 1_000}, {Topic.NOTIFICATIONS: {0: position}})
    assert len(read_topic(store, 0, Topic.NOTIFICATIONS, 0, 6, 100)) == left
    store.close()
