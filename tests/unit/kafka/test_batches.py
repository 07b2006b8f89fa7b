"""Batches filled in one go hold what a builder of aiokafka's would."""

from aiokafka.record.memory_records import MemoryRecords
from cramjam import zstd

from engine.kafka.batches import FilledBatch, fill_batches
from engine.kafka.clients import BatchBuilder

_HEADER = 61  # bytes of a batch before its records
PAIRS = [(b"c-%d" % each, b"value %d" % each * 20 if each % 3 else None) for each in range(300)]


def records(batch: FilledBatch) -> list[tuple[int, int | None, bytes | None, bytes | None]]:
    built: bytearray = batch._build()  # type: ignore[no-untyped-call]  # aiokafka's
    read = MemoryRecords(bytes(built)).next_batch()
    assert read is not None
    assert read.validate_crc()
    return [(each.offset, each.timestamp, each.key, each.value) for each in read]


def counted(batch: BatchBuilder) -> int:
    """What a transaction asks of it."""
    return batch.record_count()


def test_it_holds_every_record_in_order() -> None:
    (batch,) = fill_batches(1234, PAIRS)
    assert counted(batch) == 300
    assert records(batch) == [(place, 1234, key, value) for place, (key, value) in enumerate(PAIRS)]


def test_what_does_not_fit_is_left() -> None:
    batch = FilledBatch(1000)
    count = batch.fill(7, PAIRS)
    assert 1 < count < 300
    assert counted(batch) == count
    assert records(batch) == [(place, 7, *pair) for place, pair in enumerate(PAIRS[:count])]


def test_the_first_record_always_fits() -> None:
    batch = FilledBatch(10)
    assert batch.fill(7, [(b"key", b"x" * 1000), (b"key", b"y")]) == 1
    assert records(batch) == [(0, 7, b"key", b"x" * 1000)]


def test_many_records_take_many_batches() -> None:
    pairs = [(b"%d" % each, bytes(100_000)) for each in range(12)]
    filled = fill_batches(1, pairs)
    assert [counted(batch) for batch in filled] == [5, 5, 2]
    assert [key for batch in filled for _, _, key, _ in records(batch)] == [key for key, _ in pairs]


def test_it_is_packed_at_the_level_that_is_put_into_aiokafka() -> None:
    """Where aiokafka's C module looks its function up elsewhere, this fails, and level 3 is back."""
    pairs = [(b"c-%d" % each, b'{"client":"c-%d","live":"%d.%06d"}' % (each, each, each * 7919)) for each in range(900)]
    (batch,) = fill_batches(1, pairs)
    packed = bytes(batch._build())[_HEADER:]  # type: ignore[no-untyped-call]  # aiokafka's
    plain = bytes(zstd.decompress(packed))
    assert packed == bytes(zstd.compress(plain, 1))
    assert packed != bytes(zstd.compress(plain, 3))
