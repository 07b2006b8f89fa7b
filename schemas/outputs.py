"""Everything that comes out (contract, "What comes out"), in wire form: money as strings, times as RFC 3339.

Field order is the order on the wire. Fields without a default are always written; those with one only when they
apply.
"""

import json
from typing import Final, Literal

import msgspec

from schemas.codec import parse_object
from schemas.events import Channel, Model
from schemas.reasons import Reason, Refusal

EVENT_BYTES_MAX: Final = 64 * 1024
"""A rejected event up to this size comes back whole; a larger one with its longest strings cut."""

Kind = Literal[
    "low_balance", "recovered", "credit_warning", "time_balance", "temporary_credit_expired", "exhausted"
]


class Cause(msgspec.Struct, frozen=True, gc=False):
    """The identity of the event that caused an output; null where the clock did."""

    source: str
    id: str


class Credit(msgspec.Struct, frozen=True, gc=False):
    """Permanent limit (null: unlimited), temporary increase (``"0"``: none) and its end (null: none)."""

    permanent: str | None
    temporary: str
    valid_until: str | None


class TimeBalanceView(msgspec.Struct, frozen=True, gc=False):
    """One grant of free units, in the plan's unit."""

    plan: str
    grant: str
    granted: int
    used: int
    left: int
    closes_at: str | None
    expires_at: str | None


class RunwayThreshold(msgspec.Struct, frozen=True, gc=False):
    """The estimated seconds until a low balance rule's threshold is reached; 0: it is."""

    rule: str
    seconds: int


class Runway(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """An estimate: the seconds that available lasts at the rate of recent charges, until it is zero.

    ``thresholds``, of rules by threshold, highest first, are told to who asks for the view, not with every change:
    what a change says must not depend on configuration that came after it.
    """

    zero_seconds: int
    thresholds: tuple[RunwayThreshold, ...] = ()


class TemporaryCreditMax(msgspec.Struct, frozen=True, gc=False):
    """The maximum possible temporary increase, as its reseller caps it. ``amount`` is in the client's currency;
    ``valid_until`` the latest end, were it granted now. Null: no cap.
    """

    amount: str | None
    days: int | None
    valid_until: str | None


class Output(msgspec.Struct, frozen=True, gc=False, omit_defaults=True, tag_field="output"):
    """What every output has: its kind, first on the line."""


class Change(Output, tag="change", frozen=True):
    """A client's whole view after an event. ``available`` and ``capacity`` null: unlimited.

    ``runway`` is absent without an estimate: no charges of a day to go by, nothing left, unlimited, above a year.
    ``temporary_credit_max`` is told of a postpaid client to who asks for the view, not with every change.
    """

    client: str
    version: int
    at: str
    cause: Cause | None
    currency: str
    model: Model
    live: str
    credit: Credit
    available: str | None
    status: Literal["active", "exhausted"]
    capacity: int | None
    unallocated: str
    time_balances: list[TimeBalanceView]
    rate: str | None = None
    rate_base: str | None = None
    rate_quote: str | None = None
    percent: str | None = None
    runway: Runway | None = None
    temporary_credit_max: TemporaryCreditMax | None = None


class Notification(Output, tag="notification", frozen=True):
    """One message to send over one channel. ``notification`` is its id: the same whenever it is decided again.

    ``runway_seconds``: for a rule with a runway, the estimated seconds until its threshold is reached.
    """

    notification: str
    client: str
    kind: Kind
    rule: str
    episode: int
    sequence: int
    max: int | None
    channel: Channel
    to: tuple[str, ...]
    at: str
    threshold: str | None
    available: str | None
    live: str
    credit: str | None
    currency: str
    capacity: int | None
    next_at: str | None
    cause: Cause | None
    threshold_currency: str | None
    language: str | None = None
    runway_seconds: int | None = None


class UsageRejected(Output, tag="usage_rejected", frozen=True):
    """The part of a delivered usage that no unit covered and a plan refuses, in the usage's own unit."""

    client: str
    plan: str
    uncovered: int
    unit: str
    cause: Cause


class UnitsExpired(Output, tag="units_expired", frozen=True):
    """Units of a grant that are gone, in the plan's unit."""

    client: str
    plan: str
    grant: str
    units: int
    reason: Literal["expired", "renewal", "cancelled", "refund_lost"]


class CreditHistory(Output, tag="credit_history", frozen=True):
    """A change of permanent or temporary credit: when, who, from, to, why."""

    client: str
    at: str
    actor: str | None
    part: Literal["permanent", "temporary"]
    from_: str | None = msgspec.field(name="from")
    to: str | None
    reason: str | None
    cause: Cause | None


class Rejection(Output, tag="rejection", frozen=True):
    """A refused event, whole: a JSON object as an object, anything else as a string."""

    reason: str
    message: str
    event: msgspec.Raw | str


JournalOutput = CreditHistory | UsageRejected | UnitsExpired
AnyOutput = Change | Notification | UsageRejected | UnitsExpired | CreditHistory | Rejection

DeliveryOutcome = Literal["sent", "failed", "bounced", "superseded"]


class Delivery(Output, tag="delivery", frozen=True):
    """What became of a notification: one record an outcome. ``failed`` is the dead letter, with the notification."""

    notification: str
    client: str
    channel: Channel
    outcome: DeliveryOutcome
    at: str
    attempts: int
    detail: str
    to: tuple[str, ...] = ()
    event: Notification | None = None


_encoder = msgspec.json.Encoder()


def encode_output(output: AnyOutput | Delivery) -> bytes:
    """One line of NDJSON without its line feed."""
    return _encoder.encode(output)


def rejection_of(refusal: Refusal, raw: bytes) -> Rejection:
    """The rejection of an event as received; ``raw`` is one JSON text or whatever was found in its place."""
    return Rejection(refusal.reason.value, refusal.message, _as_received(refusal.reason, raw))


def _as_received(reason: Reason, raw: bytes) -> msgspec.Raw | str:
    if reason is Reason.MALFORMED or isinstance(values := parse_object(raw), Refusal):
        text = raw.decode(errors="replace")
        return text if len(raw) <= EVENT_BYTES_MAX else _cut(text, EVENT_BYTES_MAX // 4)
    if len(raw) <= EVENT_BYTES_MAX:
        return msgspec.Raw(msgspec.json.format(raw.strip(), indent=-1))
    del values
    whole = json.loads(raw, parse_float=str, parse_int=lambda digits: int(digits) if len(digits) < 40 else digits)
    characters_max = EVENT_BYTES_MAX // 8
    while True:
        cut = json.dumps(_cut_strings(whole, characters_max), ensure_ascii=False, separators=(",", ":")).encode()
        if len(cut) <= EVENT_BYTES_MAX or characters_max < 16:
            break
        characters_max //= 2
    if len(cut) > EVENT_BYTES_MAX:  # long by count, not by length: keep what names the event
        named = {name: whole[name] for name in ("type", "source", "id", "client", "time") if name in whole}
        kept = {name: value for name, value in named.items() if not isinstance(value, list | dict)}
        kept["cut"] = f"{len(raw)} bytes; only what names the event was kept"
        cut = json.dumps(_cut_strings(kept, 256), ensure_ascii=False, separators=(",", ":")).encode()
    return msgspec.Raw(cut)


def _cut_strings(value: object, characters_max: int) -> object:
    if isinstance(value, str):
        return _cut(value, characters_max)
    if isinstance(value, list):
        return [_cut_strings(item, characters_max) for item in value]
    if isinstance(value, dict):
        return {_cut(name, characters_max): _cut_strings(item, characters_max) for name, item in value.items()}
    return value


def _cut(text: str, characters_max: int) -> str:
    if len(text) <= characters_max:
        return text
    return f"{text[:characters_max]}... [cut, {len(text)} characters]"
