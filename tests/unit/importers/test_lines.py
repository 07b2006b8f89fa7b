"""Lines of any file in bounded memory."""

import gzip
from pathlib import Path

import pytest

from engine.failures import OperationalError, WrongUse
from engine.lines import InputLine, open_input, read_lines


def lines_of(path: Path, line_bytes_max: int = 100) -> list[InputLine]:
    with open_input(str(path)) as stream:
        return list(read_lines(stream, path.name, line_bytes_max=line_bytes_max))


def test_lines_with_offsets_whatever_ends_them(tmp_path: Path) -> None:
    path = tmp_path / "f"
    path.write_bytes(b"\xef\xbb\xbfone\r\n\ntwo")
    assert lines_of(path) == [InputLine(1, b"one", 8), InputLine(2, b"", 9), InputLine(3, b"two", 12)]


def test_gzip_is_unpacked(tmp_path: Path) -> None:
    path = tmp_path / "f.gz"
    path.write_bytes(gzip.compress(b"one\ntwo\n"))
    assert [line.data for line in lines_of(path)] == [b"one", b"two"]


def test_line_that_is_too_long_is_cut_and_the_next_one_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "f"
    path.write_bytes(b"x" * 1000 + b"\nnext\n")
    first, second = lines_of(path)
    assert (first.too_long, len(first.data), first.end) == (True, 101, 1001)
    assert second == InputLine(2, b"next", 1006)


def test_line_of_exactly_the_limit_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "f"
    path.write_bytes(b"x" * 100 + b"\n")
    assert lines_of(path) == [InputLine(1, b"x" * 100, 101)]


def test_gzip_that_is_cut_off_is_a_sentence(tmp_path: Path) -> None:
    path = tmp_path / "f.gz"
    path.write_bytes(gzip.compress(b"".join(b"%d\n" % n for n in range(10_000)))[:-20])
    with pytest.raises(OperationalError, match=r"f\.gz: the gzip data is cut off or damaged after line"):
        lines_of(path)


def test_folder_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(WrongUse, match="expected a file, found a folder"):
        lines_of(tmp_path)
