"""What an operator is told: the answer to "why", in numbers and in one sentence a support agent can read out."""

from typing import Literal

import msgspec

Verdict = Literal[
    "sent", "not_below", "asleep", "waiting_for_period", "waiting_for_inactivity", "max_reached", "waiting_for_refill",
    "no_recipient", "no_rate", "unlimited",
]  # fmt: skip


class WhyRule(msgspec.Struct, frozen=True):
    """One rule of one client. Money as decimal strings, times as RFC 3339.

    ``available`` is in the client's currency, ``threshold`` in ``threshold_currency``; ``count`` of ``max``
    notifications were sent in ``episode``; ``verdict`` says why there is or is not one now, ``sentence`` in words.
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


class Why(msgspec.Struct, frozen=True):
    """The answer to "why was, or was not, this client notified", for each rule of its profile."""

    client: str
    asleep: bool
    available: str | None
    live: str
    credit: str | None
    currency: str
    charged_at: str | None
    rules: list[WhyRule]
