"""How long the embedded log keeps what is not history (architecture, "The log": policies of the topics).

``events`` and ``journal`` are the history and are kept. ``changes`` would be compacted on Kafka; here the state has the
last of each client, so they are kept for readers that are a little behind only.
"""

from collections.abc import Mapping, Sequence

from engine.log.chunks import chunk_key, decode_chunk
from engine.partition.partition import Partition
from engine.store.ports import LOG, Store
from schemas.topics import Topic


def trim(
    store: Store,
    partitions: Sequence[Partition],
    before: Mapping[Topic, int],
    unread: Mapping[Topic, Mapping[int, int]],
) -> int:
    """Deletes the chunks of each topic that are older than its instant; how many ranges were deleted.

    ``unread``: by topic and partition the first offset that a consumer has not read; from there on nothing is deleted,
    however old: an outage of the mail server, or a clock that was wrong, must not lose a notification.
    """
    batch, count = store.batch(), 0
    batch.use(LOG)
    for partition in partitions:
        for topic, instant in before.items():
            begin = chunk_key(partition.number, topic, 0)
            kept = _first_kept(store, partition, topic, instant)
            read = unread.get(topic, {}).get(partition.number)
            if read is not None:
                kept = min(kept, _chunk_of(store, partition, topic, read))
            if next(store.scan(LOG, begin, kept), None) is not None:
                batch.delete_range(begin, kept)
                count += 1
    if count:
        store.write(batch)
    return count


def _chunk_of(store: Store, partition: Partition, topic: Topic, offset: int) -> bytes:
    """The key of the chunk that has that offset, or would have it."""
    found = store.last_before(
        LOG, chunk_key(partition.number, topic, 0), chunk_key(partition.number, topic, offset)
    )
    return chunk_key(partition.number, topic, offset) if found is None else found[0]


def _first_kept(store: Store, partition: Partition, topic: Topic, instant: int) -> bytes:
    """The key below which every chunk began before the instant: log time never goes back, so halving finds it."""
    begin = chunk_key(partition.number, topic, 0)
    low, high = 0, partition.next_offset(topic)
    while low < high:
        middle = (low + high) // 2
        found = store.last_before(LOG, begin, chunk_key(partition.number, topic, middle))
        if found is None or decode_chunk(found[1])[-1].at < instant:
            low = middle + 1
        else:
            high = middle
    found = store.last_before(LOG, begin, chunk_key(partition.number, topic, low))
    if found is None or decode_chunk(found[1])[-1].at < instant:
        return chunk_key(partition.number, topic, low)
    return found[0]
