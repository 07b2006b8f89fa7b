"""Lines of a file of any size: plain or gzip, a path or standard input, in bounded memory."""

import contextlib
import gzip
import io
import sys
import zlib
from collections.abc import Iterator
from typing import Any, Final, cast

import msgspec

from engine.failures import OperationalError, WrongUse

LINE_BYTES_MAX: Final = 1024 * 1024
"""The longest line that is kept whole: an event or a call record is far below it, and a file without line feeds
must not fill the memory."""

_CHUNK_BYTES: Final = 256 * 1024
_GZIP_MAGIC: Final = b"\x1f\x8b"
STDIN: Final = "-"


class InputLine(msgspec.Struct, frozen=True, gc=False):
    """One line without its line feed. ``end``: the offset right after it, in bytes of what was unpacked.

    ``too_long``: it exceeded the limit, and ``data`` is only its beginning.
    """

    number: int
    data: bytes
    end: int
    too_long: bool = False


@contextlib.contextmanager
def open_input(path: str) -> Iterator[io.BufferedIOBase]:
    """The bytes of a file, unpacked where they are gzip; ``-`` is standard input.

    Raises WrongUse for a file that is not there or cannot be read.
    """
    if path == STDIN:
        stdin: Any = sys.stdin.buffer  # Any: usually a BufferedReader, but whoever replaced it gives what they like
        yield _unpacked(stdin if hasattr(stdin, "peek") else io.BufferedReader(stdin))
        return
    try:
        file = io.BufferedReader(io.FileIO(path), _CHUNK_BYTES)
    except FileNotFoundError:
        raise WrongUse(f"{path}: there is no such file") from None
    except IsADirectoryError:
        raise WrongUse(f"{path}: expected a file, found a folder") from None
    except OSError as error:
        raise WrongUse(f"{path}: cannot be read: {error.strerror}") from None
    with file:
        yield _unpacked(file)


def read_lines(stream: io.BufferedIOBase, name: str, *, line_bytes_max: int = LINE_BYTES_MAX) -> Iterator[InputLine]:
    """Each line of the stream; a byte order mark at its start is dropped, blank lines are given too.

    ``name`` is for messages. Raises OperationalError where the stream is cut off or damaged.
    """
    number = end = 0
    try:
        while data := stream.readline(line_bytes_max + 1):
            number += 1
            end += len(data)
            too_long = len(data) > line_bytes_max and not data.endswith(b"\n")
            if too_long:
                end += _skip_line(stream, line_bytes_max)
            if number == 1 and data.startswith(b"\xef\xbb\xbf"):
                data = data[3:]
            yield InputLine(number, data.rstrip(b"\r\n"), end, too_long)
    except (EOFError, gzip.BadGzipFile, zlib.error):
        raise OperationalError(f"{name}: the gzip data is cut off or damaged after line {number}") from None
    except OSError as error:
        raise OperationalError(f"{name}: cannot be read after line {number}: {error.strerror or error}") from None


def _skip_line(stream: io.BufferedIOBase, bytes_max: int) -> int:
    skipped = 0
    while data := stream.readline(bytes_max):
        skipped += len(data)
        if data.endswith(b"\n"):
            break
    return skipped


def _unpacked(stream: "io.BufferedReader[Any]") -> io.BufferedIOBase:  # Any: whatever it reads from
    if stream.peek(2)[:2] == _GZIP_MAGIC:
        return io.BufferedReader(cast(io.RawIOBase, gzip.GzipFile(fileobj=stream)), _CHUNK_BYTES)
    return stream
