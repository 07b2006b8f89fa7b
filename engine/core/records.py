"""What the state keeps of a client, as msgpack-ready records (architecture, "State of a partition").

A client is two records. ``Balance`` is small and hot: all that an ordinary charge reads and writes, and the view.
``Account`` is the rest, read only when something can fire. Fields are appended with a default, never re-ordered.
"""

from functools import lru_cache

import msgspec

from schemas.events import Client
from schemas.times import NEVER

TRIGGER_ALWAYS = 2**62
"""A trigger level above every balance that is ordinary: each charge is evaluated in full."""
TRIGGER_NEVER = -(2**62)
"""The lowest trigger level: below it the 63-bit check of the full evaluation is needed anyway."""

POSTPAID = 1
_ACTIVE = 2
_AWAKE = 4
_MOVED = 8


@lru_cache(maxsize=4096)
def shared(level: int) -> int:
    """The one object for equal numbers: clients of one profile have one trigger level, at 28 bytes each otherwise."""
    return level


class Balance(msgspec.Struct, gc=False, array_like=True):
    """A client's money and what its view shows of it. Amounts in micro-units, instants in microseconds.

    ``trigger`` is the highest ``live`` at which a rule, the status or the capacity could change on the way down.
    ``permanent`` None is unlimited credit; ``capacity`` None is unlimited; ``held`` is promised to transfers.
    ``flags`` are four facts in one small integer: a field each would cost 8 bytes a client.
    ``spent`` and ``spent_before`` are what recent charges sum up to (``engine.core.runway``).
    """

    client: str
    currency: str
    flags: int = 0
    live: int = 0
    version: int = 0
    trigger: int = TRIGGER_ALWAYS
    charged_at: int | None = None
    permanent: int | None = 0
    temporary: int = 0
    valid_until: int | None = None
    unallocated: int = 0
    capacity: int | None = None
    held: int = 0
    metered: bool = False
    spent: int = 0
    spent_before: int = 0

    @property
    def postpaid(self) -> bool:
        """Whether the model is postpaid."""
        return bool(self.flags & POSTPAID)

    @postpaid.setter
    def postpaid(self, is_so: bool) -> None:
        self._set(POSTPAID, is_so)

    @property
    def exhausted(self) -> bool:
        """Whether the status was exhausted when last evaluated; a new client's is (semantics 2)."""
        return not self.flags & _ACTIVE

    @exhausted.setter
    def exhausted(self, is_so: bool) -> None:
        self._set(_ACTIVE, not is_so)

    @property
    def awake(self) -> bool:
        """Whether anything but settings has come for the client, so that rules are evaluated."""
        return bool(self.flags & _AWAKE)

    @awake.setter
    def awake(self, is_so: bool) -> None:
        self._set(_AWAKE, is_so)

    @property
    def moved(self) -> bool:
        """Whether money has moved: currency and model are fixed from then on (semantics 2)."""
        return bool(self.flags & _MOVED)

    @moved.setter
    def moved(self, is_so: bool) -> None:
        self._set(_MOVED, is_so)

    def _set(self, flag: int, is_so: bool) -> None:
        self.flags = self.flags | flag if is_so else self.flags & ~flag

    @property
    def credit(self) -> int | None:
        """Effective credit: permanent limit and active temporary increase; None is unlimited (semantics 2)."""
        return None if self.permanent is None else self.permanent + self.temporary

    @property
    def available(self) -> int | None:
        """``live + effective credit``; None is unlimited (semantics 2)."""
        return None if self.permanent is None else self.live + self.permanent + self.temporary


class RuleState(msgspec.Struct, gc=False, array_like=True):
    """Where one low balance rule stands for one client (semantics 4).

    ``below``: available was below the threshold when last evaluated. ``open``: the rule held then (below and, where
    the rule asks for it, inactive): an episode is on. ``sent_at`` is cleared by a refill.
    """

    threshold: int
    currency: str
    below: bool = False
    open: bool = False
    episode: int = 0
    count: int = 0
    sent_at: int | None = None


class Hold(msgspec.Struct, frozen=True, array_like=True):
    """Money of a transfer that is on its way: taken from nothing yet, promised to ``to``."""

    to: str
    amount: int
    content: int
    at: int
    raw: bytes
    conversion: tuple[str, str, str] | None = None


class Account(msgspec.Struct, array_like=True):
    """A client's settings and where its rules, warnings, timers and transfers stand.

    ``due`` is the client's one entry in the due-time index; ``profile`` is whose rules ``rules`` are about.
    """

    settings: Client
    created_at: int
    due: int = NEVER
    episodes: int = 0
    evaluated_at: int | None = None
    profile: str | None = None
    rules: dict[str, RuleState] = {}
    warned: list[str] = []
    holds: dict[str, Hold] = {}
    payable: int = 0

    def take_episode(self) -> int:
        """The next number of the client's one episode counter."""
        self.episodes += 1
        return self.episodes


class InvoiceState(msgspec.Struct, gc=False, array_like=True):
    """An invoice: what it asks for, what of it is paid, when it is due (NEVER: no date)."""

    amount: int
    paid: int
    due_at: int
    at: int


class Ledger(msgspec.Struct, array_like=True):
    """Invoices by number, and which payments went to which, in the order in which they were paid."""

    invoices: dict[str, InvoiceState] = {}
    allocations: list[tuple[str, int]] = []


class Bucket(msgspec.Struct, gc=False, array_like=True):
    """Free units of one grant, or what rolled over of one, in the plan's unit (semantics 5).

    ``first`` is the grant's own id, ``cycle`` how often it rolled over; ``serial`` tells buckets of one id apart.
    ``valid_until`` and ``window_until``: NEVER is no end; a window that is not open yet is NEVER too.
    """

    plan: str
    grant: str
    first: str
    cycle: int
    serial: int
    granted: int
    used: int
    start_at: int
    valid_until: int
    window_until: int = NEVER

    @property
    def left(self) -> int:
        """Units not consumed."""
        return self.granted - self.used

    @property
    def closes_at(self) -> int:
        """When the units close to usage that starts later, as now known; NEVER: no end."""
        return min(self.valid_until, self.window_until)


class PlanStanding(msgspec.Struct, gc=False, array_like=True):
    """A client has a plan from its first grant until the last is cancelled. ``fired``: levels already notified."""

    first_start: int
    fired: list[int] = []


class Grants(msgspec.Struct, array_like=True):
    """A client's free units: its live buckets, the plans it has, and the counter that numbers its buckets."""

    buckets: list[Bucket] = []
    plans: dict[str, PlanStanding] = {}
    serials: int = 0
