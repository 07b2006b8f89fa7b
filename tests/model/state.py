"""What the model remembers: plain mutable records, nothing derived, nothing indexed."""

from __future__ import annotations

from dataclasses import dataclass, field

from .events import (
    ClientSettings,
    CustomerClass,
    Event,
    Identity,
    Level,
    Plan,
    Profile,
    Reseller,
    Template,
    User,
    WarningThreshold,
)

# One line of `plimsoll replay`; its values are strings, whole numbers, null, lists and objects.
Output = dict[str, object]


@dataclass
class Temporary:
    """The active temporary increase, frozen to an amount."""

    amount: int
    valid_until: int | None


@dataclass
class OpenInvoice:
    number: str
    amount: int
    due_at: int | None
    paid: int = 0


@dataclass
class RuleState:
    """A low-balance rule of one client. `threshold` and `currency` are those it was last looked at with."""

    threshold: int
    currency: str
    below: bool = False
    holds: bool = False
    count: int = 0
    last_sent: int | None = None
    episode: int = 0


@dataclass
class Bucket:
    """Units of one grant, or rolled over from one. `serial` tells apart buckets that reuse an id."""

    serial: int
    plan: str
    grant: str
    first_grant: str
    cycle: int
    granted: int
    start: int
    validity_end: int | None
    window_end: int | None = None
    used: int = 0

    @property
    def left(self) -> int:
        return self.granted - self.used

    @property
    def end(self) -> int | None:
        """When the units close, as now known."""
        ends = [end for end in (self.validity_end, self.window_end) if end is not None]
        return min(ends, default=None)


@dataclass
class HeldPlan:
    """A plan the client has: since which start, and which percentages have fired."""

    first_start: int
    fired: set[int] = field(default_factory=set)


@dataclass(frozen=True)
class Taken:
    """Units one charge took from one bucket."""

    serial: int
    plan: str
    grant: str
    units: int


@dataclass
class RememberedCharge:
    at: int
    taken: list[Taken]
    given_back: bool = False


@dataclass
class Client:
    id: str
    created_at: int
    settings: ClientSettings
    version: int = 0
    live: int = 0
    permanent: int | None = 0
    temporary: Temporary | None = None
    unallocated: int = 0
    invoices: list[OpenInvoice] = field(default_factory=list)
    allocations: list[tuple[str, int]] = field(default_factory=list)
    money_moved: bool = False
    awake: bool = False
    status_seen: str = "exhausted"
    last_charge: int | None = None
    charges: list[tuple[int, int]] = field(default_factory=list)
    episode: int = 0
    warnings_fired: set[WarningThreshold] = field(default_factory=set)
    rules: dict[tuple[str, str], RuleState] = field(default_factory=dict)
    plans: dict[str, HeldPlan] = field(default_factory=dict)
    buckets: list[Bucket] = field(default_factory=list)
    buckets_made: int = 0

    def next_episode(self) -> int:
        self.episode += 1
        return self.episode


@dataclass(frozen=True)
class Seen:
    """An accepted identity: the first time it was applied, and its content."""

    at: int
    event: Event


@dataclass
class World:
    clock: int | None = None
    clients: dict[str, Client] = field(default_factory=dict)
    profiles: dict[str, Profile] = field(default_factory=dict)
    templates: dict[str, Template] = field(default_factory=dict)
    customer_classes: dict[str, CustomerClass] = field(default_factory=dict)
    resellers: dict[str, Reseller] = field(default_factory=dict)
    users: dict[str, User] = field(default_factory=dict)
    plans: dict[str, Plan] = field(default_factory=dict)
    rates: dict[tuple[str, str], int] = field(default_factory=dict)
    charges: dict[tuple[str, Identity], RememberedCharge] = field(default_factory=dict)
    seen: dict[tuple[str | None, Identity], Seen] = field(default_factory=dict)


@dataclass(frozen=True)
class RateUsed:
    base: str
    quote: str
    rate: int


@dataclass
class Effect:
    """What one instant did to one client, besides its new state: the material of the outputs."""

    now: int
    cause: Identity | None
    rate: RateUsed | None = None
    percent: int | None = None
    taken: list[Taken] = field(default_factory=list)
    credit_history: list[Output] = field(default_factory=list)
    usage_rejected: list[Output] = field(default_factory=list)
    units_expired: list[Output] = field(default_factory=list)
    levels_reached: list[tuple[str, Level]] = field(default_factory=list)
    temporary_credit_expired: bool = False
    refill: bool = False
    paid_in: bool = False


def cause_view(cause: Identity | None) -> dict[str, str] | None:
    """A causing event as it comes out; None for what the clock did."""
    return None if cause is None else {"source": cause.source, "id": cause.id}
