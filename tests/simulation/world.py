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
_JUMPS_FORWARD: Final = (SECOND, 30 * SECOND, HOUR, HOUR, 6 * HOUR, DAY, DAY, 3 * DAY, 7 * DAY, 15 * DAY)
_JUMPS_BACK: Final = (SECOND, 60 * SECOND, HOUR, 2 * DAY)

Canary = Literal["acknowledges_early", "meta_apart", "forgets_identities", "delivers_early", "keeps_torn_batch"]
"""Bugs that can be planted, each of which the checks must find."""


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
        self.events_left = self.random.choice((20, 60, 120))
        self.sent: set[bytes] = set()
        self.answers: list[tuple[bytes, Answer]] = []
        self.received: list[Received] = []
        self.settled: dict[str, dict[str, Delivery]] = {"mailer": {}, "sms": {}}
        self.positions: dict[str, dict[int, int]] = {"mailer": {}, "sms": {}}
        self.peer_modes: dict[str, str] = {"mailer": "up", "sms": "up"}
        self.sync_seconds_max = 0.002
        self.store_failed = False
        self._store_steps_left: int | None = None
        self._fails_at: str | None = None
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

    # The store's faults

    def plan_store(self, steps: int | None, fails_at: str | None) -> None:
        """The process ends at that step of its store, or the store fails there."""
        self._store_steps_left = steps
        self._fails_at = fails_at
        self.store_failed = False

    def on_store_step(self, step: str) -> None:
        """What ``SimulatedStore`` calls at each step."""
        self.trace(f"store: {step}")
        if self.calm or self._store_steps_left is None or not self.alive:
            return
        if self._fails_at is not None and (
            self.store_failed or (step == self._fails_at and self._store_steps_left <= 0)
        ):
            if not step.endswith("done"):
                self.store_failed = True
                self.trace(f"store: {step} fails")
                raise StoreError(f"the simulated disk failed at {step}")
            return
        self._store_steps_left -= 1
        if self._store_steps_left <= 0 and self._fails_at is None:
            self.trace(f"the process ends at {step}")
            raise ProcessEnded

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
