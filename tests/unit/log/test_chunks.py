"""Chunks come back as they were written, packed or not, and tell which keys they hold."""

import msgspec
import pytest

from engine.log.chunks import Entry, decode_chunk, encode_chunk, may_hold, unpacked


def entries(count: int) -> list[Entry]:
    return [Entry(f"c-{number}", 1_000 + number, b'{"client":"c-%d","live":"9.5"}' % number) for number in range(count)]


@pytest.mark.parametrize("count", [1, 2, 60, 5_000])
def test_entries_come_back(count: int) -> None:
    written = [*entries(count), Entry("", 7, b"{}", mark=True)]
    assert decode_chunk(encode_chunk(written)) == written


def test_rows_are_written_as_entries_are() -> None:
    written = entries(300)
    assert encode_chunk([(one.key, one.at, one.value, one.mark) for one in written]) == encode_chunk(written)


def test_a_small_chunk_is_plain_msgpack() -> None:
    value = encode_chunk(entries(2))
    assert msgspec.msgpack.decode(value)[1] == ["c-1", 1001, b'{"client":"c-1","live":"9.5"}', False]


def test_a_long_chunk_is_packed_and_is_many_times_smaller() -> None:
    value = encode_chunk(entries(1_000))
    plain = msgspec.msgpack.encode(entries(1_000))
    assert value[:1] == b"\xc1"
    assert len(value) < len(plain) / 3
    assert unpacked(value) == unpacked(plain) == plain


def test_what_cannot_be_packed_comes_back_too() -> None:
    noise = [Entry("c", 1, bytes((number * 7919 + place * place) % 256 for place in range(900))) for number in range(9)]
    assert decode_chunk(encode_chunk(noise)) == noise


def test_a_chunk_tells_which_keys_it_can_hold() -> None:
    value = unpacked(encode_chunk(entries(1_000)))
    assert may_hold(value, "c-999")
    assert not may_hold(value, "c-1000")
    assert not may_hold(value, "")


def test_a_chunk_of_before_packing_is_read() -> None:
    assert decode_chunk(msgspec.msgpack.encode(entries(1_000))) == entries(1_000)
