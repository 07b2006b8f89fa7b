"""Keys of a partition's state: partition (2 bytes, big-endian), a letter, and what the letter is about.

The letters are durable: a new kind of record takes a new letter.
"""

from typing import Final

BALANCE: Final = b"b"
ACCOUNT: Final = b"a"
LEDGER: Final = b"l"
GRANTS: Final = b"g"
DUE: Final = b"d"
REFERENCE: Final = b"r"
CONFIGURATION: Final = b"c"
META: Final = b"m"
SEEN: Final = b"s"
STANDING: Final = b"k"
OWNER: Final = b"o"
REVISION: Final = b"v"

_SIGN: Final = 2**63  # instants before 1970 sort before those after


def prefix(partition: int, letter: bytes) -> bytes:
    """What every key of that kind starts with."""
    return partition.to_bytes(2, "big") + letter


def after(begin: bytes) -> bytes:
    """The first key that does not start with ``begin`` any more; its last byte is below 255."""
    return begin[:-1] + bytes((begin[-1] + 1,))


def due_key(begin: bytes, due: int, client: str) -> bytes:
    """An entry of the due-time index, sorted by instant, then client."""
    return begin + (due + _SIGN).to_bytes(8, "big") + client.encode()


def parse_due(begin: bytes, key: bytes) -> tuple[int, str]:
    """Instant and client of an entry."""
    at = len(begin)
    return int.from_bytes(key[at : at + 8], "big") - _SIGN, key[at + 8 :].decode()


def pair_key(begin: bytes, kind: str, key: str) -> bytes:
    """Configuration by kind and key; ids hold no NUL."""
    return begin + f"{kind}\0{key}".encode()


def reference_prefix(begin: bytes, kind: str, key: str) -> bytes:
    """What the entries of every client that names ``key`` start with."""
    return begin + f"{kind}\0{key}\0".encode()
