"""The state of one partition as the core sees it: tables by client, configuration, and three small ports.

In memory it is the whole state (``replay``, simulation, tests); over a store ``engine.partition`` gives the tables
a loader and the ports an index on disk. The core never knows which.
"""

from collections.abc import Callable, MutableMapping, Sequence
from heapq import heappop, heappush
from struct import Struct
from sys import intern
from typing import Any, Final, Generic, Protocol, TypeVar

from engine.core.configuration import Config
from engine.core.records import Account, Balance, Grants, Ledger
from schemas.times import DAY, NEVER

T = TypeVar("T")

DEDUPE_WINDOW = 7 * DAY
"""How long an identity is remembered, from its first event (semantics 1, "Identity")."""


class Table(dict[str, T], Generic[T]):
    """Records by client id: a cache that loads what it misses, and remembers what was written since the last commit.

    The tables' keys are interned, so that all tables of a process have one string for a client, and a look-up in the
    second finds in the processor's cache what the first one brought there.

    Look up with ``table[client]``, which gives None for a client that does not exist; write by mutating the record
    and putting it into ``dirty``.
    """

    __slots__ = ("dirty", "load")

    def __init__(self, load: Callable[[str], T | None] | None = None) -> None:
        super().__init__()
        self.load = load
        self.dirty: dict[str, T] = {}

    def __missing__(self, client: str) -> T:
        value = None if self.load is None else self.load(client)
        if value is not None:
            self[intern(client)] = value
        return value  # type: ignore[return-value]  # None is the answer for a client that does not exist

    def find(self, client: str) -> T | None:
        """The record of that client, or None."""
        return self[client]

    def put(self, client: str, value: T) -> None:
        """Adds a new record, or marks one as written."""
        self[intern(client)] = value
        self.dirty[client] = value


SeenValue = tuple[int, int, bytes]
"""64 bits of content, the first log time, and what else is kept with an identity."""

_SEEN = Struct(">Qq")
SEEN_BYTES: Final = _SEEN.size
"""Of a value that keeps nothing else."""
pack_time: Final = Struct(">q").pack
"""Eight bytes of a log time."""


def pack_seen(content: int, at: int, kept: bytes = b"") -> bytes:
    """A ``SeenValue`` as it is held and stored: its content, log time and what else is kept, one after the other."""
    return _SEEN.pack(content, at) + kept


def unpack_seen(value: bytes) -> SeenValue:
    """What ``pack_seen`` packed."""
    content, at = _SEEN.unpack_from(value)
    return content, at, value[SEEN_BYTES:]


class DueIndex(Protocol):
    """Which client is due when; one entry a client."""

    @property
    def earliest(self) -> int:
        """The earliest due instant, NEVER if there is none: what every record's log time is compared with."""
        ...

    def move(self, client: str, old: int, new: int) -> None:
        """Moves a client's entry; NEVER on either side is no entry."""
        ...

    def pop(self) -> tuple[int, Sequence[str]]:
        """Takes out the earliest instant with all its clients, by id. There must be one."""
        ...


class References(Protocol):
    """Which clients name a piece of configuration."""

    def move(self, kind: str, client: str, old: str | None, new: str | None) -> None:
        """A client's setting of that kind changed from one key to another; None is no key."""
        ...

    def clients(self, kind: str, key: str) -> Sequence[str]:
        """The clients that name it, by id."""
        ...


class Seen(Protocol):
    """Identities of the dedupe window: 16 bytes of identity to what was seen under it."""

    def get(self, identity: bytes) -> SeenValue | None:
        """64 bits of content, the first log time, and what else was kept; may give one that is past the window."""
        ...

    def finder(self) -> Callable[[bytes], bytes | None]:
        """What finds the same as ``get``, packed (``pack_seen``), until the next ``put`` or ``fresh``."""
        ...

    def put(self, identity: bytes, content: int, at: int, kept: bytes = b"") -> None:
        """Remembers an identity at the log time of its first event. ``kept``: the units a charge consumed."""
        ...

    def fresh(self, now: int) -> MutableMapping[bytes, bytes]:
        """Where identities of ``now`` and later may be put directly, packed, until the next ``put`` or ``fresh``."""
        ...


class MemoryDueIndex:
    """A heap; entries that were moved away stay in it until they come up."""

    def __init__(self) -> None:
        self.earliest: int = NEVER
        self._heap: list[tuple[int, str]] = []
        self._due: dict[str, int] = {}

    def move(self, client: str, old: int, new: int) -> None:
        assert self._due.get(client, NEVER) == old, (client, old)
        if new == NEVER:
            self._due.pop(client, None)
        else:
            self._due[client] = new
            heappush(self._heap, (new, client))
        self._settle()

    def pop(self) -> tuple[int, list[str]]:
        at = self.earliest
        clients: list[str] = []
        while self._heap and self._heap[0][0] == at:
            client = heappop(self._heap)[1]
            if self._due.get(client) == at:
                del self._due[client]
                clients.append(client)
        self._settle()
        assert clients
        return at, clients

    def _settle(self) -> None:
        heap, due = self._heap, self._due
        while heap and due.get(heap[0][1]) != heap[0][0]:
            heappop(heap)
        self.earliest = heap[0][0] if heap else NEVER


class MemoryReferences:
    """A dict of dicts; ids are sorted when they are asked for."""

    def __init__(self) -> None:
        self._clients: dict[tuple[str, str], dict[str, None]] = {}

    def move(self, kind: str, client: str, old: str | None, new: str | None) -> None:
        if old == new:
            return
        if old is not None:
            named = self._clients[kind, old]
            del named[client]
            if not named:
                del self._clients[kind, old]
        if new is not None:
            self._clients.setdefault((kind, new), {})[client] = None

    def clients(self, kind: str, key: str) -> list[str]:
        return sorted(self._clients.get((kind, key), ()))


class MemorySeen:
    """Two generations, each half a window wide or more: memory is bounded by a window and a half of identities."""

    def __init__(self, window: int = DEDUPE_WINDOW) -> None:
        self._half = window // 2
        self._generations: list[dict[bytes, bytes]] = [{}]
        self._starts: list[int] = []

    def get(self, identity: bytes) -> SeenValue | None:
        found = self._find(identity)
        return None if found is None else unpack_seen(found)

    def _find(self, identity: bytes) -> bytes | None:
        for generation in self._generations:
            found = generation.get(identity)
            if found is not None:
                return found
        return None

    def finder(self) -> Callable[[bytes], bytes | None]:
        return self._generations[0].get if len(self._generations) == 1 else self._find

    def put(self, identity: bytes, content: int, at: int, kept: bytes = b"") -> None:
        self.fresh(at)[identity] = pack_seen(content, at, kept)

    def fresh(self, now: int) -> MutableMapping[bytes, bytes]:
        if not self._starts:
            self._starts = [now]
        elif now >= self._starts[0] + self._half:
            self._generations.insert(0, {})
            self._starts.insert(0, now)
            while len(self._starts) > 1 and self._starts[-2] <= now - 2 * self._half:
                self._generations.pop()
                self._starts.pop()
        return self._generations[0]


class State:
    """One partition: its clock, its clients, its configuration, its indexes."""

    def __init__(
        self,
        *,
        balances: Table[Balance] | None = None,
        accounts: Table[Account] | None = None,
        ledgers: Table[Ledger] | None = None,
        grants: Table[Grants] | None = None,
        config: Config | None = None,
        dues: DueIndex | None = None,
        references: References | None = None,
        seen: Seen | None = None,
        clock: int = -NEVER,
    ) -> None:
        self.clock = clock
        self.balances = Table[Balance]() if balances is None else balances
        self.accounts = Table[Account]() if accounts is None else accounts
        self.ledgers = Table[Ledger]() if ledgers is None else ledgers
        self.grants = Table[Grants]() if grants is None else grants
        self.config = Config() if config is None else config
        self.dues: DueIndex = dues or MemoryDueIndex()
        self.references: References = references or MemoryReferences()
        self.seen: Seen = seen or MemorySeen()

    @property
    def tables(self) -> tuple[Table[Any], ...]:  # each holds its own kind of record
        """The tables by client, in the order in which a commit writes them."""
        return self.balances, self.accounts, self.ledgers, self.grants
