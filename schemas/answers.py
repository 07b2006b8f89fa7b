"""What an operator is told: why a client was or was not notified, what happened to it, what would have happened.

Money as decimal strings, times as RFC 3339, field order is the order on the wire; fields are appended with a default.
"""

from typing import Literal

import msgspec

Verdict = Literal[
    "sent", "not_below", "asleep", "waiting_for_period", "waiting_for_inactivity", "max_reached", "waiting_for_refill",
    "no_recipient", "no_rate", "unlimited", "not_evaluated",
]  # fmt: skip
"""``not_evaluated``: nothing has happened to the client since the rule could be decided."""


class WhyRule(msgspec.Struct, frozen=True):
    """One rule of one client, as its last evaluation left it.

    ``available`` is in the client's currency and as it is now, ``threshold`` in ``threshold_currency``; ``count`` of
    ``max`` notifications were sent in ``episode``; ``next_at``: when the clock alone looks again; ``verdict``: what
    the last evaluation decided, ``sentence`` the same in words to read out. ``runway_seconds`` is the rule's own.
    """

    rule: str
    profile: str
    threshold: str
    threshold_currency: str
    inactivity_days: int | None
    below: bool
    episode: int
    count: int
    max: int | None
    last_sent: str | None
    next_at: str | None
    evaluated_at: str | None
    available: str | None
    verdict: Verdict
    sentence: str
    runway_seconds: int | None = None


class Why(msgspec.Struct, frozen=True):
    """The answer to "why was, or was not, this client notified", for each rule of its profile, highest first."""

    client: str
    asleep: bool
    available: str | None
    live: str
    credit: str | None
    currency: str
    charged_at: str | None
    rules: list[WhyRule]


class UnitsMoved(msgspec.Struct, frozen=True, gc=False):
    """What an event did to the units of one grant, in the plan's unit: ``moved`` is signed, ``left`` is after it."""

    plan: str
    grant: str
    moved: int
    left: int


class NotificationSent(msgspec.Struct, frozen=True, gc=False):
    """A notification that an event decided: enough to find it by ``notification``, its id."""

    notification: str
    kind: str
    rule: str
    channel: str


class HistoryEntry(msgspec.Struct, frozen=True, gc=False):
    """One event of a client and what it did. ``type`` ``clock``: a timer, which has no ``source`` and ``id``.

    ``entry`` counts the client's entries from 1. ``amount`` is what ``live`` moved by, signed. The other amounts,
    ``capacity`` and ``version`` are those after the event, ``..._before`` those before it; null is unlimited for
    ``available``, ``credit`` and ``capacity``. All of them are null while the client does not exist. ``reason`` and
    ``message`` say why an event was refused.
    """

    entry: int
    at: str
    type: str
    source: str | None
    id: str | None
    outcome: Literal["accepted", "duplicate", "refused", "clock"]
    version: int
    amount: str
    live: str | None
    credit_before: str | None
    credit: str | None
    available: str | None
    capacity_before: int | None
    capacity: int | None
    held: str
    units: list[UnitsMoved]
    notifications: list[NotificationSent]
    reason: str | None = None
    message: str | None = None


class History(msgspec.Struct, frozen=True):
    """The latest entries of a client's history, latest first. ``before``: ask with it for the ones before these.

    ``cut``: the log is longer than is read for an answer, so there is none; ``sentence`` says so.
    """

    client: str
    entries: list[HistoryEntry]
    before: int | None = None
    cut: bool = False
    sentence: str | None = None


class WhatIfNotification(msgspec.Struct, frozen=True, gc=False):
    """A notification that one of the two histories has and the other has not."""

    at: str
    client: str
    kind: str
    rule: str
    channel: str
    to: tuple[str, ...]
    threshold: str | None
    available: str | None
    currency: str


class WhatIfTotal(msgspec.Struct, frozen=True, gc=False):
    """Notifications of one day (UTC) or one rule: as it was, as it would have been, and the difference."""

    name: str
    was: int
    would_be: int
    added: int
    dropped: int


class WhatIf(msgspec.Struct, frozen=True):
    """The same history against changed configuration. ``changed``: its kind and key, and from when it applies.

    ``added`` and ``dropped`` hold the first of each, by time; ``total`` counts all. ``exact`` false: ``sentence``
    says what is not.
    """

    events: int
    changed: list[str]
    since: str | None
    total: WhatIfTotal
    days: list[WhatIfTotal]
    rules: list[WhatIfTotal]
    added: list[WhatIfNotification]
    dropped: list[WhatIfNotification]
    exact: bool = True
    sentence: str | None = None
