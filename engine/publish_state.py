"""How far a file has been sent, in a small file of its own: a second run goes on from there.

It only saves work: without it a second run sends everything again, and everything comes back as a duplicate.
"""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

import msgspec
import xxhash

from engine.failures import OperationalError, WrongUse
from engine.publish import Piece


class Sent(msgspec.Struct, frozen=True):
    """What stands in the state file: events sent, the offset after them, and the digest of their lines."""

    events: int = 0
    offset: int = 0
    digest: str = ""


class PublishState:
    """Follows the events of one file. ``remaining`` drops what an earlier run has sent; ``taken`` records more."""

    def __init__(self, path: str) -> None:
        self._path = Path(path)
        self._digest = xxhash.xxh3_128()
        self._events = 0
        try:
            data = self._path.read_bytes()
        except FileNotFoundError:
            self.earlier = Sent()
            return
        except OSError as error:
            raise WrongUse(f"{path}: cannot be read: {error.strerror}") from None
        try:
            self.earlier = msgspec.json.decode(data, type=Sent)
        except (msgspec.MsgspecError, UnicodeDecodeError):
            raise WrongUse(f"{path}: expected a state file of publish, found another; name another file") from None

    def remaining(self, pieces: Iterator[Piece]) -> Iterator[Piece]:
        """The pieces after those sent earlier. Raises WrongUse where the file begins otherwise than it did then."""
        while self._events < self.earlier.events:
            piece = next(pieces, None)
            if piece is None or piece.end > self.earlier.offset:
                raise self._another_file()
            self._add(piece)
        if self.earlier.events and self._digest.hexdigest() != self.earlier.digest:
            raise self._another_file()
        yield from pieces

    def taken(self, batch: list[Piece]) -> None:
        """Records a batch as sent, durably. Raises OperationalError where the state cannot be written."""
        for piece in batch:
            self._add(piece)
        sent = Sent(self._events, batch[-1].end, self._digest.hexdigest())
        beside = self._path.with_name(self._path.name + ".new")
        try:
            with beside.open("wb") as file:
                file.write(msgspec.json.encode(sent))
                file.flush()
                os.fsync(file.fileno())
            beside.replace(self._path)
        except OSError as error:
            with contextlib.suppress(OSError):
                beside.unlink(missing_ok=True)
            raise OperationalError(f"{self._path}: the state cannot be written: {error.strerror}") from None

    def _add(self, piece: Piece) -> None:
        self._digest.update(piece.raw + b"\n")
        self._events += 1

    def _another_file(self) -> WrongUse:
        return WrongUse(
            f"{self._path}: this state is of another file, or of one that has changed since; "
            "name another state file, or delete this one to send everything again (nothing is applied twice)"
        )
