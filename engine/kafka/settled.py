"""Which notifications already have an outcome: 16 bytes each, bounded, exact for every practical purpose."""

from array import array
from bisect import bisect_left
from collections.abc import Iterator
from hashlib import blake2b
from typing import Final

_FRESH_MAX: Final = 65_536  # ids that are held in a set, at about 100 bytes each
_SEALED_MAX: Final = 128  # of _FRESH_MAX ids each: 8 million ids in 134 MB, then the oldest leave

_Digest = tuple[int, int]
_Sealed = tuple["array[int]", "array[int]"]


class SettledIds:
    """A set of ids that forgets the oldest beyond eight million. Of an id 128 bits are kept."""

    def __init__(self) -> None:
        self._fresh: set[_Digest] = set()
        self._sealed: list[_Sealed] = []

    def add(self, identity: str) -> None:
        """One more; again is harmless."""
        self._fresh.add(_digest(identity))
        if len(self._fresh) >= _FRESH_MAX:
            ordered = sorted(self._fresh)
            self._sealed.append((array("Q", (high for high, _ in ordered)), array("Q", (low for _, low in ordered))))
            del self._sealed[:-_SEALED_MAX]
            self._fresh.clear()

    def __contains__(self, identity: str) -> bool:
        digest = _digest(identity)
        return digest in self._fresh or any(digest in _found(sealed, digest[0]) for sealed in self._sealed)


def _found(sealed: _Sealed, high: int) -> Iterator[_Digest]:
    """Every digest that begins so."""
    highs, lows = sealed
    place = bisect_left(highs, high)
    while place < len(highs) and highs[place] == high:
        yield high, lows[place]
        place += 1


def _digest(identity: str) -> _Digest:
    digest = blake2b(identity.encode(), digest_size=16).digest()
    return int.from_bytes(digest[:8], "big"), int.from_bytes(digest[8:], "big")
