"""What a task takes of what was fetched: all that was committed, in order, and nothing else."""

import asyncio
import struct

import pytest
from aiokafka import TopicPartition
from aiokafka.errors import CorruptRecordException, OffsetOutOfRangeError
from aiokafka.record.default_records import DefaultRecordBatchBuilder
from aiokafka.record.util import calc_crc32c

from engine.kafka.source import Feed

_CONTROL = 0x20
_COMMIT, _ABORT = 1, 0


def batch(first: int, *values: bytes, producer: int = -1, zstd: bool = False) -> bytes:
    """A record batch as a broker sends it; with a producer, of a transaction."""
    builder = DefaultRecordBatchBuilder(2, 4 if zstd else 0, producer >= 0, producer, 0, 0, 1 << 20)
    for place, value in enumerate(values):
        assert builder.append(place, 1000 + first + place, b"key", value, []) is not None
    return struct.pack(">q", first) + bytes(builder.build())[8:]


def marker(at: int, producer: int, kind: int) -> bytes:
    """The end of a transaction, in a log."""
    builder = DefaultRecordBatchBuilder(2, 0, True, producer, 0, -1, 1 << 20)
    assert builder.append(0, 1000 + at, struct.pack(">hh", 0, kind), b"\0" * 6, []) is not None
    built = bytearray(builder.build())
    built[:8] = struct.pack(">q", at)
    built[22] |= _CONTROL
    built[17:21] = struct.pack(">I", calc_crc32c(built[21:]))
    return bytes(built)


class Fed:
    """A feed, and how often it said that it has room."""

    def __init__(self, position: int = 0) -> None:
        self.rooms = 0
        self.feed = Feed(TopicPartition("events", 3), position, self._has_room)

    def _has_room(self) -> None:
        self.rooms += 1

    def receive(self, *batches: bytes, aborted: tuple[tuple[int, int], ...] = (), end: int = 100) -> None:
        self.feed.receive(self.feed.fetched, b"".join(batches), aborted, end)

    def is_full(self) -> bool:
        return self.feed.is_full

    def take(self, records_max: int = 1000) -> list[tuple[int, bytes | None]]:
        return [(record.offset, record.value) for record in self.feed.take(records_max)]


def test_records_come_in_order_with_their_offsets_and_times() -> None:
    fed = Fed()
    fed.receive(batch(0, b"a", b"b"), batch(2, b"c", zstd=True))
    assert [record.timestamp for record in fed.feed.take(3)] == [1000, 1001, 1002]
    fed.receive(batch(3, b"d"))
    assert fed.take() == [(3, b"d")]
    assert (fed.feed.position, fed.feed.fetched, fed.feed.end) == (4, 4, 100)


def test_a_batch_that_begins_before_the_position_gives_what_comes_from_there() -> None:
    fed = Fed(position=2)
    fed.receive(batch(0, b"a", b"b", b"c", b"d"))
    assert fed.take() == [(2, b"c"), (3, b"d")]


def test_what_is_left_comes_with_the_next_take() -> None:
    fed = Fed()
    fed.receive(batch(0, b"a", b"b", b"c"), batch(3, b"d"))
    assert fed.take(2) == [(0, b"a"), (1, b"b")]
    assert fed.feed.position == 2
    assert fed.take(2) == [(2, b"c"), (3, b"d")]
    assert fed.feed.position == 4
    assert not fed.feed.has_arrived


def test_what_was_aborted_is_left_out() -> None:
    fed = Fed()
    fed.receive(
        batch(0, b"a", producer=7),
        batch(1, b"of another", producer=8),
        marker(2, 7, _ABORT),
        batch(3, b"b", producer=7),
        marker(4, 8, _COMMIT),
        marker(5, 7, _COMMIT),
        aborted=((7, 0),),
    )
    assert fed.take() == [(1, b"of another"), (3, b"b")]
    assert fed.feed.position == 6


def test_a_transaction_that_was_aborted_later_keeps_what_its_producer_committed_before() -> None:
    fed = Fed()
    fed.receive(
        batch(0, b"a", producer=7),
        marker(1, 7, _COMMIT),
        batch(2, b"b", producer=7),
        batch(3, b"no transaction"),
        batch(4, b"c", producer=7),
        marker(5, 7, _ABORT),
        aborted=((7, 2),),
    )
    assert fed.take() == [(0, b"a"), (3, b"no transaction")]


def test_a_transaction_that_was_begun_before_the_fetch_is_left_out_too() -> None:
    fed = Fed(position=10)
    fed.receive(batch(10, b"a", producer=7), marker(11, 7, _ABORT), batch(12, b"b"), aborted=((7, 4),))
    assert fed.take() == [(12, b"b")]


def test_markers_alone_move_the_position() -> None:
    fed = Fed()
    fed.receive(marker(0, 7, _COMMIT), marker(1, 7, _ABORT))
    assert fed.feed.has_arrived
    assert fed.take() == []
    assert fed.feed.position == 2
    assert not fed.feed.has_arrived


def test_a_damaged_batch_is_refused() -> None:
    fed = Fed()
    damaged = bytearray(batch(0, b"aaaa"))
    damaged[-3] ^= 1
    with pytest.raises(CorruptRecordException):
        fed.receive(bytes(damaged))


def test_a_failure_is_raised_to_who_takes() -> None:
    fed = Fed()
    fed.feed.fail(OffsetOutOfRangeError())
    assert fed.feed.has_arrived
    with pytest.raises(OffsetOutOfRangeError):
        fed.take()


def test_a_feed_is_full_until_enough_of_it_is_taken() -> None:
    fed = Fed()
    fed.receive(batch(0, bytes(900_000)), batch(1, bytes(900_000)))
    assert not fed.is_full()
    fed.receive(batch(2, bytes(900_000)))
    assert fed.is_full()
    fed.take(2)
    assert not fed.is_full()
    assert fed.rooms == 1
    fed.take(1)
    assert fed.feed.bytes_held == 0
    assert fed.rooms == 1


async def test_who_waits_is_woken_by_what_arrives() -> None:
    fed = Fed()
    waiting = asyncio.create_task(fed.feed.arrives(60.0))
    await asyncio.sleep(0)
    fed.receive(batch(0, b"a"))
    async with asyncio.timeout(30):
        await waiting


async def test_who_waits_is_woken_when_the_time_is_over() -> None:
    fed = Fed()
    async with asyncio.timeout(30):
        await fed.feed.arrives(0.001)
    assert not fed.feed.has_arrived
