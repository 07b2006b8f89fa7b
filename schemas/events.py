"""Every event that goes in (contract, "Events in"), as the core sees it: money in micro-units, times in microseconds.

A field's ``Annotated`` kind says how it is written on the wire. Fields are added with a default, never renamed or
re-typed without a decision record. ``null`` on an optional field is the same as its absence, except ``limit``.
"""

from typing import Annotated, ClassVar, Literal

import msgspec

from schemas.fields import (
    EMAILS_MAX,
    RULES_MAX,
    USAGE_TYPES_MAX,
    USERS_MAX,
    WARNINGS_MAX,
    Boolean,
    Count,
    CountPositive,
    Currency,
    CycleDay,
    Days,
    Duration,
    DurationPositive,
    Email,
    Id,
    Identity,
    Language,
    Money,
    MoneyPositive,
    MoneyUnsigned,
    Most,
    Percent,
    Phone,
    Rate,
    SortOrder,
    Text,
    Time,
    TimeZone,
    Warning,
)

Channel = Literal["email", "sms"]
Model = Literal["prepaid", "postpaid"]
YesNo = Literal["yes", "no"]


class Part(msgspec.Struct, frozen=True, gc=False, omit_defaults=True, kw_only=True):
    """An object inside an event."""


class Event(msgspec.Struct, frozen=True, gc=False, omit_defaults=True, kw_only=True, tag_field="type"):
    """What every event has: its identity (``source``, ``id``) and when it happened."""

    id: Identity
    source: Identity
    time: Time


class ClientEvent(Event, frozen=True, kw_only=True):
    """An event of one client, in that client's order."""

    client: Identity


class ConfigEvent(Event, frozen=True, kw_only=True):
    """Configuration: the same for every partition. ``KEY`` names the fields that are its key."""

    KEY: ClassVar[tuple[str, ...]] = ()


class LowBalance(Part, frozen=True, kw_only=True):
    """The pair that lowers capacity; each half may be missing (semantics 3)."""

    threshold: Money | None = None
    capacity: Count | None = None


class Client(ClientEvent, tag="client", frozen=True, kw_only=True):
    """Creates or replaces, whole, a client's settings; money and counters stay."""

    currency: Currency
    model: Model = "prepaid"
    reseller: Id | None = None
    manager: Id | None = None
    template: Id | None = None
    customer_class: Id | None = None
    profile: Id | None = None
    billing_email: Email | None = None
    phone: Phone | None = None
    language: Language | None = None
    time_zone: TimeZone = "UTC"
    capacity: Count | None = None
    low_balance: LowBalance | None = None
    warning_thresholds: Annotated[tuple[Warning, ...], Most(WARNINGS_MAX)] = ()
    warning_channels: Annotated[tuple[Channel, ...], Most(2)] = ("email",)
    transfers: YesNo | None = None
    cycle_day: CycleDay = 1


class Usage(Part, frozen=True, kw_only=True):
    """What a charge is for: a quantity of ``unit`` used from ``started_at`` (the charge's ``time`` if absent)."""

    type: Id
    quantity: Count
    unit: Literal["event", "second", "byte"]
    started_at: Time | None = None


class Charge(ClientEvent, tag="charge", frozen=True, kw_only=True):
    """A rated call, message or session: money down, after free units have covered what they can."""

    amount: MoneyUnsigned
    currency: Currency | None = None
    usage: Usage | None = None


PaymentKind = Literal["payment", "top_up", "manual_credit", "promotional_credit"]


class Payment(ClientEvent, tag="payment", frozen=True, kw_only=True):
    """Money up at once; a refill; pays open invoices."""

    amount: MoneyPositive
    currency: Currency | None = None
    kind: PaymentKind = "payment"
    reference: Text | None = None


class EventName(Part, frozen=True, kw_only=True):
    """The identity of another event of the same client."""

    source: Id
    id: Id


class Adjustment(ClientEvent, tag="adjustment", frozen=True, kw_only=True):
    """manual_charge: down. refund: undoes a charge, up. reversal: undoes a payment, down."""

    amount: MoneyUnsigned
    kind: Literal["manual_charge", "refund", "reversal"]
    currency: Currency | None = None
    of: EventName | None = None


class CreditLimit(ClientEvent, tag="credit_limit", frozen=True, kw_only=True):
    """The permanent credit limit; null is unlimited, negative a reserve floor."""

    limit: Money | None
    currency: Currency | None = None
    actor: Text | None = None
    reason: Text | None = None


class TemporaryCredit(ClientEvent, tag="temporary_credit", frozen=True, kw_only=True):
    """A temporary increase (postpaid): an amount, or a percentage of the positive permanent limit; or its removal."""

    amount: MoneyPositive | None = None
    percent: Percent | None = None
    currency: Currency | None = None
    valid_until: Time | None = None
    remove: Boolean = False
    actor: Text | None = None
    reason: Text | None = None


class Invoice(ClientEvent, tag="invoice", frozen=True, kw_only=True):
    """Marks an amount as billed; moves no money."""

    invoice: Id
    amount: MoneyPositive
    currency: Currency | None = None
    due_at: Time | None = None


class Transfer(ClientEvent, tag="transfer", frozen=True, kw_only=True):
    """Money from ``client`` to ``to``."""

    to: Id
    amount: MoneyPositive
    currency: Currency | None = None


class TimeBalance(ClientEvent, tag="time_balance", frozen=True, kw_only=True):
    """Free units: grant a plan's units, renew, top up or cancel a grant."""

    action: Literal["grant", "renew", "top_up", "cancel"]
    grant: Id
    plan: Id | None = None
    units: CountPositive | None = None


class Rule(Part, frozen=True, kw_only=True):
    """A rule of a low balance profile. ``rule`` is its id, unique inside the profile.

    ``runway_seconds``: it holds, besides below the threshold, where that is expected in less time than this.
    """

    rule: Id
    audience: Literal["user", "client"]
    threshold: Money
    notify: Boolean = False
    users: Annotated[tuple[Id, ...], Most(USERS_MAX)] = ()
    emails: Annotated[tuple[Email, ...], Most(EMAILS_MAX)] = ()
    inactivity_days: Days | None = None
    channels: Annotated[tuple[Channel, ...], Most(2)] = ("email",)
    runway_seconds: DurationPositive | None = None


class Profile(ConfigEvent, tag="profile", frozen=True, kw_only=True):
    """A low balance profile (semantics 4)."""

    KEY: ClassVar[tuple[str, ...]] = ("profile",)
    profile: Id
    name: Text | None = None
    reseller: Id | None = None
    currency: Currency | None = None
    sort_order: SortOrder = 0
    max_qty: Count | None = None
    period_seconds: Duration | None = None
    rearm: Literal["refill", "any_payment"] = "refill"
    rules: Annotated[tuple[Rule, ...], Most(RULES_MAX)] = ()


class Template(ConfigEvent, tag="template", frozen=True, kw_only=True):
    """What clients share: a profile, a capacity, a low balance pair."""

    KEY: ClassVar[tuple[str, ...]] = ("template",)
    template: Id
    name: Text | None = None
    profile: Id | None = None
    capacity: Count | None = None
    low_balance: LowBalance | None = None


class CustomerClass(ConfigEvent, tag="customer_class", frozen=True, kw_only=True):
    """A class of clients and its default for transfers."""

    KEY: ClassVar[tuple[str, ...]] = ("customer_class",)
    customer_class: Id
    name: Text | None = None
    transfers: YesNo | None = None


class CreditCap(Part, frozen=True, kw_only=True):
    """The maximum possible temporary increase: an amount or a percentage of the limit, and days."""

    amount: MoneyUnsigned | None = None
    percent: Percent | None = None
    days: Days | None = None


class Reseller(ConfigEvent, tag="reseller", frozen=True, kw_only=True):
    """A reseller, who owns profiles and clients."""

    KEY: ClassVar[tuple[str, ...]] = ("reseller",)
    reseller: Id
    name: Text | None = None
    email: Email | None = None
    max_temporary_credit: CreditCap | None = None


class User(ConfigEvent, tag="user", frozen=True, kw_only=True):
    """A person of the operator or a reseller: a manager or someone a rule names."""

    KEY: ClassVar[tuple[str, ...]] = ("user",)
    user: Id
    name: Text | None = None
    email: Email | None = None
    phone: Phone | None = None


UnitName = Literal[
    "event", "second", "minute", "hour", "day", "byte", "kilobyte", "megabyte", "gigabyte"
]


class Window(Part, frozen=True, kw_only=True):
    """A window from first usage: ``seconds`` long, or until the end of the day, week or billing cycle."""

    seconds: DurationPositive | None = None
    until: Literal["day", "week", "cycle"] | None = None


class Rollover(Part, frozen=True, kw_only=True):
    """What of the units left is carried into the next period: at least min, at most max, for so many cycles."""

    min: Count = 0
    max: Count | None = None
    cycles: Count | None = None


class PlanThreshold(Part, frozen=True, kw_only=True):
    """A level of utilisation that notifies."""

    percent: Percent
    channels: Annotated[tuple[Channel, ...], Most(2)] = ("email",)


class TimeBalancePlan(ConfigEvent, tag="time_balance_plan", frozen=True, kw_only=True):
    """A plan of free units (semantics 5)."""

    KEY: ClassVar[tuple[str, ...]] = ("plan",)
    plan: Id
    unit: UnitName
    units: Count
    name: Text | None = None
    usage_types: Annotated[tuple[Id, ...], Most(USAGE_TYPES_MAX)] = ()
    validity_seconds: DurationPositive | None = None
    window: Window | None = None
    rollover: Rollover | None = None
    order: Literal["fresh_first", "rolled_first"] = "fresh_first"
    thresholds: Annotated[tuple[PlanThreshold, ...], Most(3)] = ()
    on_exhausted: Literal["reject", "charge"] = "charge"
    late_grace_seconds: Duration = 3600


class ExchangeRate(ConfigEvent, tag="exchange_rate", frozen=True, kw_only=True):
    """One unit of ``base`` is ``rate`` units of ``quote``. ``rate`` is kept as its shortest decimal string."""

    KEY: ClassVar[tuple[str, ...]] = ("base", "quote")
    base: Currency
    quote: Currency
    rate: Rate


class ProfileDeleted(ConfigEvent, tag="profile_deleted", frozen=True, kw_only=True):
    """Deletes a low balance profile; refused while it is in use."""

    KEY: ClassVar[tuple[str, ...]] = ("profile",)
    profile: Id


class TemplateDeleted(ConfigEvent, tag="template_deleted", frozen=True, kw_only=True):
    """Deletes a template; refused while it is in use."""

    KEY: ClassVar[tuple[str, ...]] = ("template",)
    template: Id


class CustomerClassDeleted(ConfigEvent, tag="customer_class_deleted", frozen=True, kw_only=True):
    """Deletes a customer class; refused while it is in use."""

    KEY: ClassVar[tuple[str, ...]] = ("customer_class",)
    customer_class: Id


class ResellerDeleted(ConfigEvent, tag="reseller_deleted", frozen=True, kw_only=True):
    """Deletes a reseller; refused while it is in use."""

    KEY: ClassVar[tuple[str, ...]] = ("reseller",)
    reseller: Id


class UserDeleted(ConfigEvent, tag="user_deleted", frozen=True, kw_only=True):
    """Deletes a user; refused while it is in use."""

    KEY: ClassVar[tuple[str, ...]] = ("user",)
    user: Id


class TimeBalancePlanDeleted(ConfigEvent, tag="time_balance_plan_deleted", frozen=True, kw_only=True):
    """Deletes a plan of free units; refused while it is in use."""

    KEY: ClassVar[tuple[str, ...]] = ("plan",)
    plan: Id


class ExchangeRateDeleted(ConfigEvent, tag="exchange_rate_deleted", frozen=True, kw_only=True):
    """Deletes the rate of a pair of currencies."""

    KEY: ClassVar[tuple[str, ...]] = ("base", "quote")
    base: Currency
    quote: Currency


class Tick(msgspec.Struct, frozen=True, gc=False, tag_field="type", tag="tick"):
    """The clock's own event: moves log time, needs no identity, has no output of its own."""

    time: Time


class TransferLeg(ClientEvent, tag="transfer_leg", frozen=True, kw_only=True):
    """Written by the engine: credit the receiver (``client``) or refuse. ``requested_at``: the request's log time."""

    transfer: EventName
    from_: Id = msgspec.field(name="from")
    to: Id
    amount: MoneyPositive
    currency: Currency
    requested_at: Time


class TransferOutcome(ClientEvent, tag="transfer_outcome", frozen=True, kw_only=True):
    """Written by the engine: debit the sender (``client``), or release the hold and say why."""

    transfer: EventName
    from_: Id = msgspec.field(name="from")
    to: Id
    amount: MoneyPositive
    accepted: Boolean
    reason: Text | None = None


Deleted = (
    ProfileDeleted
    | TemplateDeleted
    | CustomerClassDeleted
    | ResellerDeleted
    | UserDeleted
    | TimeBalancePlanDeleted
    | ExchangeRateDeleted
)
Configuration = Profile | Template | CustomerClass | Reseller | User | TimeBalancePlan | ExchangeRate
EngineEvent = TransferLeg | TransferOutcome
OfClient = (
    Client | Charge | Payment | Adjustment | CreditLimit | TemporaryCredit | Invoice | Transfer | TimeBalance
)
AnyEvent = OfClient | Configuration | Deleted | EngineEvent | Tick

EVENT_TYPES: tuple[type[AnyEvent], ...] = AnyEvent.__args__  # a union's members, in order
