"""What outlives a process: the disk, the clock on the wall, the senders' memory, the peers; and the plan of faults.

Every choice comes from one seed. A seed turns on some kinds of fault and leaves others off, so that between them the
seeds see every mixture.
"""

from collections import deque
from random import Random
from typing import Final, Literal

import msgspec
from xxhash import xxh3_64

from engine.log.ports import Answer
from engine.store.ports import StoreError
from schemas.outputs import Delivery
from schemas.times import DAY, HOUR, SECOND
from tests.simulation.loop import ProcessEnded
from tests.simulation.store import Disk

START: Final = 1_772_445_600 * SECOND  # 2026-03-02T10:00:00Z
TRACE_LINES_MAX: Final = 60
SYNC_SECONDS: Final = (0.001, 0.1, 2.0, 5.0)
_JUMPS_FORWARD: Final = (SECOND, 30 * SECOND, HOUR, HOUR, 6 * HOUR, DAY, DAY, 3 * DAY, 7 * DAY, 15 * DAY)
_JUMPS_BACK: Final = (SECOND, 60 * SECOND, HOUR, 2 * DAY)

Canary = Literal["acknowledges_early", "meta_apart", "forgets_identities", "delivers_early", "keeps_torn_batch"]
"""Bugs that can be planted, each of which the checks must find."""


Moment = Literal["loop", "store", "sent", "answered"]
"""Between two steps of the loop, at a step of the store, once a peer has a notification, once a sender has answers."""


class Violation(AssertionError):  # noqa: N818  # it names what was found
    """Something that must never happen did."""


class Faults(msgspec.Struct, frozen=True):
    """Which faults a seed has."""

    machine_ends: bool
    store_fails: bool
    clock_forward: bool
    clock_back: bool
    repeats: bool
    lost_answers: bool
    impatience: bool
    peers: bool
    slow_sync: bool
    small_queue: bool

    @classmethod
    def drawn(cls, random: Random) -> "Faults":
        return cls(*(random.random() < 0.7 for _ in cls.__struct_fields__))


class End(msgspec.Struct, frozen=True):
    """How a process is to end: at the so manieth of some moments, by a store that fails, or by a stop."""

    kind: Moment | Literal["fails", "stop"]
    steps: int = 0
    fails_at: str | None = None
    seconds: float = 0.0

    @classmethod
    def drawn(cls, random: Random, faults: Faults) -> "End":
        """One end; those right after something became known outside are as likely as those anywhere."""
        choice = random.random()
        if choice < 0.25:
            return cls("loop", steps=_several(random, 4.0))
        if choice < 0.5:
            return cls("store", steps=_several(random, 2.3))
        if choice < 0.65:
            return cls("sent", steps=_several(random, 1.3))
        if choice < 0.75:
            return cls("answered", steps=_several(random, 1.5))
        if choice < 0.87 and faults.store_fails:
            return cls("fails", steps=_several(random, 2.0), fails_at=random.choice(("write", "sync")))
        return cls("stop", seconds=random.random() * 20)


def _several(random: Random, digits: float) -> int:
    """From 1 up to a number of so many digits, each length as likely."""
    return int(10 ** (random.random() * digits))


class Received(msgspec.Struct, frozen=True):
    """A notification as a peer took it."""

    consumer: str
    notification: str
    value: bytes


class World:
    """One seed's world."""

    def __init__(self, seed: int, canary: Canary | None = None) -> None:
        self.seed = seed
        self.canary = canary
        self.random = Random(seed)
        self.faults = Faults.drawn(self.random)
        self.disk = Disk()
        self.now = 0.0
        self.skew = 0
        self.calm = False
        self.alive = True
        self.events_left = self.random.choice((20, 100, 250))
        self.configured = False
        self.sent: set[bytes] = set()
        self.answers: list[tuple[bytes, Answer]] = []
        self.received: list[Received] = []
        self.settled: dict[str, dict[str, Delivery]] = {"mailer": {}, "sms": {}}
        self.recorded: set[str] = set()
        self.positions: dict[str, dict[int, int]] = {"mailer": {}, "sms": {}}
        self.peer_modes: dict[str, str] = {"mailer": "up", "sms": "up"}
        self.sync_seconds_max = self.random.choice(SYNC_SECONDS) if self.faults.slow_sync else 0.002
        self.store_failed = False
        self._end: End | None = None
        self._left = 0
        self._lines: deque[str] = deque(maxlen=TRACE_LINES_MAX)
        self._digest = xxh3_64()
        self.trace(f"{self.faults}")

    # Time

    def clock(self) -> int:
        """The clock on the wall, in microseconds; it may go back."""
        return START + int(self.now * SECOND) + self.skew

    def jump(self) -> None:
        """Moves the clock on the wall."""
        kinds = [
            forward for forward in (True, False) if (self.faults.clock_forward, self.faults.clock_back)[not forward]
        ]
        if self.calm or not kinds:
            return
        forward = self.random.choice(kinds)
        by = self.random.choice(_JUMPS_FORWARD) if forward else -self.random.choice(_JUMPS_BACK)
        self.skew += by
        self.trace(f"the clock jumps by {by / SECOND:.0f} s")

    def sync_seconds(self) -> float:
        """How long the next sync takes."""
        return self.random.random() * (0.002 if self.calm else self.sync_seconds_max)

    # How a process ends

    def plan(self, end: End | None) -> None:
        """The process that starts now is to end like this; None: not at all."""
        self._end = end
        self._left = 0 if end is None else end.steps
        self.store_failed = False

    def passes(self, moment: Moment) -> None:
        """Such a moment has come; the process ends here if this is the one."""
        if self.alive and self._end is not None and self._end.kind == moment:
            self._left -= 1
            if self._left <= 0:
                self.trace(f"the process ends ({moment})")
                raise ProcessEnded

    def on_store_step(self, step: str) -> None:
        """What ``SimulatedStore`` calls at each step."""
        self.trace(f"store: {step}")
        if self.alive and self._end is not None and self._end.kind == "fails" and not step.endswith("done"):
            self._left -= 1
            self.store_failed |= self._left <= 0 and step == self._end.fails_at
            if self.store_failed:
                self.trace(f"store: {step} fails")
                raise StoreError(f"the simulated disk failed at {step}")
        self.passes("store")

    def end_machine(self, kept: int) -> None:
        """The machine ends with so many bytes of the journal left; a planted bug keeps a part of the torn batch."""
        torn = self.disk.batch_across(kept) if self.canary == "keeps_torn_batch" else []
        self.disk.end_machine(kept)
        if torn:
            self.disk.recover()
            self.disk.append(torn[: len(torn) // 2])

    # What is told

    def trace(self, text: str) -> None:
        """One line of what happened; the digest of all of them says whether two runs were the same."""
        line = f"{self.now:9.4f} {text}"
        self._digest.update(line.encode())
        self._lines.append(line)

    @property
    def digest(self) -> str:
        """Of every line so far."""
        return str(self._digest.hexdigest())

    @property
    def last_lines(self) -> list[str]:
        """The last steps."""
        return list(self._lines)
