"""What an attempt means for its notification: an outcome, or another attempt and when. Pure.

No message is given up for what the peer as a whole does: a failure counts against a message only where the peer took
another message since this one's previous failure (or this very one, for another of its addresses). The one other
bound is the age of a message that an answering peer keeps deferring.
"""

import random
from collections.abc import Callable

import msgspec

from notifiers.attempts import Attempt, FailureKind, back_off, shorten_detail
from notifiers.config import DeliveryOptions
from notifiers.lane import Parcel
from schemas.outputs import DeliveryOutcome


class Settled(msgspec.Struct, frozen=True):
    """The notification has its outcome."""

    outcome: DeliveryOutcome
    detail: str


class Again(msgspec.Struct, frozen=True):
    """Another attempt, no earlier than ``wait_seconds`` from now; the peer's own pause comes on top."""

    kind: FailureKind
    detail: str
    wait_seconds: float


def judge(
    parcel: Parcel,
    attempt: Attempt,
    acceptances: int,
    now: float,
    options: DeliveryOptions,
    chance: Callable[[], float] = random.random,
) -> Settled | Again:
    """Takes the attempt into the parcel and says what follows.

    ``acceptances`` is how many messages the peer has taken so far, ``now`` the event loop's time in seconds.
    """
    assert set(parcel.owed) == {*attempt.accepted, *(a for failure in attempt.failures for a in failure.addresses)}
    parcel.attempts += 1
    parcel.accepted += attempt.accepted
    parcel.refusals += tuple(failure.detail for failure in attempt.failures if failure.kind is FailureKind.REFUSED)
    parcel.owed = attempt.owed
    worst = attempt.worst
    if worst is None:
        return _settled(parcel, None)
    if worst.kind is FailureKind.DOWN:
        return Again(worst.kind, worst.detail, 0.0)
    parcel.setbacks += 1
    if attempt.accepted or acceptances > parcel.acceptances_seen:
        parcel.counted += 1
    parcel.acceptances_seen = acceptances
    if parcel.counted >= options.attempts_max:
        return _settled(parcel, f"given up after {parcel.attempts} attempts: {worst.detail}")
    if worst.kind is FailureKind.DEFERRED:
        if parcel.deferred_since is None:
            parcel.deferred_since = now
        if now - parcel.deferred_since >= options.deferral_seconds_max:
            return _settled(
                parcel, f"given up after being deferred for {options.deferral_seconds_max} s: {worst.detail}"
            )
    wait = back_off(parcel.setbacks, options.backoff_first_seconds, options.backoff_max_seconds, chance)
    if worst.retry_after_seconds is not None:
        wait = max(wait, min(worst.retry_after_seconds, options.retry_after_seconds_max))
    return Again(worst.kind, worst.detail, wait)


def _settled(parcel: Parcel, given_up: str | None) -> Settled:
    details = [*(f"refused: {detail}" for detail in parcel.refusals), *([given_up] if given_up else [])]
    return Settled("sent" if parcel.accepted else "failed", shorten_detail("; ".join(details)))
