"""Events as plain values: one frozen dataclass a type, so that equality is equality of content."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Identity:
    source: str
    id: str


@dataclass(frozen=True)
class WarningThreshold:
    """One warning threshold: a percentage or an amount; `text` is how it was configured."""

    is_percent: bool
    value: int
    text: str = field(compare=False)


@dataclass(frozen=True)
class LowBalance:
    threshold: int | None = None
    capacity: int | None = None


@dataclass(frozen=True)
class ClientSettings:
    currency: str
    model: str
    reseller: str | None
    manager: str | None
    template: str | None
    customer_class: str | None
    profile: str | None
    billing_email: str | None
    phone: str | None
    language: str | None
    time_zone: str
    capacity: int | None
    low_balance: LowBalance
    warning_thresholds: tuple[WarningThreshold, ...]
    warning_channels: tuple[str, ...]
    transfers: str | None
    cycle_day: int


@dataclass(frozen=True)
class Usage:
    type: str
    quantity: int
    unit: str
    started_at: int


@dataclass(frozen=True)
class Charge:
    amount: int
    currency: str | None
    usage: Usage | None


@dataclass(frozen=True)
class Payment:
    amount: int
    currency: str | None
    kind: str
    reference: str | None


@dataclass(frozen=True)
class Adjustment:
    amount: int
    currency: str | None
    kind: str
    of: Identity | None


@dataclass(frozen=True)
class CreditLimit:
    limit: int | None
    currency: str | None
    actor: str | None
    reason: str | None


@dataclass(frozen=True)
class TemporaryCredit:
    amount: int | None
    percent: int | None
    currency: str | None
    valid_until: int | None
    actor: str | None
    reason: str | None
    remove: bool


@dataclass(frozen=True)
class Invoice:
    invoice: str
    amount: int
    currency: str | None
    due_at: int | None


@dataclass(frozen=True)
class Transfer:
    to: str
    amount: int
    currency: str | None


@dataclass(frozen=True)
class TimeBalance:
    action: str
    plan: str | None
    grant: str
    units: int | None


@dataclass(frozen=True)
class Rule:
    rule: str
    audience: str
    threshold: int
    notify: bool
    users: tuple[str, ...]
    emails: tuple[str, ...]
    inactivity_days: int | None
    channels: tuple[str, ...]
    runway_seconds: int | None = None


@dataclass(frozen=True)
class Profile:
    profile: str
    name: str | None
    reseller: str | None
    currency: str | None
    sort_order: int | None
    max_qty: int | None
    period_seconds: int | None
    rearm: str
    rules: tuple[Rule, ...]


@dataclass(frozen=True)
class Template:
    template: str
    name: str | None
    profile: str | None
    capacity: int | None
    low_balance: LowBalance


@dataclass(frozen=True)
class CustomerClass:
    customer_class: str
    name: str | None
    transfers: str | None


@dataclass(frozen=True)
class TemporaryCreditCap:
    amount: int | None
    percent: int | None
    days: int | None


@dataclass(frozen=True)
class Reseller:
    reseller: str
    name: str | None
    email: str | None
    max_temporary_credit: TemporaryCreditCap | None


@dataclass(frozen=True)
class User:
    user: str
    name: str | None
    email: str | None
    phone: str | None


@dataclass(frozen=True)
class Window:
    """A duration in seconds, or aligned to the end of a day, week or cycle."""

    seconds: int | None
    until: str | None


@dataclass(frozen=True)
class Rollover:
    min: int
    max: int | None
    cycles: int | None


@dataclass(frozen=True)
class Level:
    percent: int
    channels: tuple[str, ...]


@dataclass(frozen=True)
class Plan:
    plan: str
    name: str | None
    unit: str
    units: int
    usage_types: tuple[str, ...]
    validity_seconds: int | None
    window: Window | None
    rollover: Rollover | None
    order: str
    thresholds: tuple[Level, ...]
    on_exhausted: str
    late_grace_seconds: int


@dataclass(frozen=True)
class ExchangeRate:
    base: str
    quote: str
    rate: int


@dataclass(frozen=True)
class Deletion:
    """A configuration object to delete: its type and its key (base and quote for a rate)."""

    kind: str
    key: tuple[str, ...]


ClientBody = (
    ClientSettings | Charge | Payment | Adjustment | CreditLimit | TemporaryCredit | Invoice | Transfer | TimeBalance
)
ConfigBody = Profile | Template | CustomerClass | Reseller | User | Plan | ExchangeRate | Deletion


@dataclass(frozen=True)
class Event:
    """One readable event. `client` is None for configuration; `body` is None for a tick."""

    identity: Identity
    time: int
    client: str | None
    body: ClientBody | ConfigBody | None
