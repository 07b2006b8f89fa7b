"""Runway: at the rate of its recent charges, how long a client's available money lasts. An estimate, never a fact.

Two integers in the balance hold what recent charges sum up to. A *period* is 24 h of log time. ``spent`` is what was
charged in the period of the last charge; ``spent_before`` what was charged in earlier ones, each period counted half
as much as the one after it. Inside a period the weight of what came before falls in a straight line from one to a
half. At a constant rate the sum then is that of exactly two periods, at every instant; so the rate is it over 48 h.

A client is *young* until the first end of a period that is 24 h or more after its first charge. Until then ``spent``
is everything, ``spent_before`` is negative and says when that began; at the end what went before is taken to have
been like it. In the first 24 h there is no estimate: nights and days differ too much. Decision record 0015.
"""

from typing import Final

from engine.core.records import Balance
from schemas.times import DAY, SECOND

PERIOD: Final = DAY
PERIOD_SECONDS: Final = PERIOD // SECOND
SPENT_MAX: Final = 2**62
"""What both sums are cut at: with a charge on top they still fit 64 bits, and no estimate is wanted of such sums."""
RUNWAY_SECONDS_MAX: Final = 366 * 86_400
"""Longer than a year is not told: the charges of two days say nothing about it."""
_TWICE_SQUARED: Final = (2 * PERIOD_SECONDS) ** 2
_YOUNG: Final = 2**40
"""Added to the second at which a young client's charges began, so that its negative is one for every instant."""


def spend(balance: Balance, amount: int, now: int) -> None:
    """Counts a charge of ``amount`` > 0 micro-units at ``now``, and notes its instant."""
    charged_at = balance.charged_at
    if charged_at is None or charged_at < now - now % PERIOD:
        begin_period(balance, now)
    balance.spent = min(balance.spent + amount, SPENT_MAX)
    balance.charged_at = now


def begin_period(balance: Balance, now: int) -> None:
    """Makes the sums those of the period of ``now``; the last charge was in an earlier one, or never."""
    if balance.charged_at is None:
        balance.spent_before = -(now // SECOND + _YOUNG)
    else:
        balance.spent, balance.spent_before = _sums(balance, balance.charged_at, now)


def _sums(balance: Balance, charged_at: int, now: int) -> tuple[int, int]:
    """``spent`` and ``spent_before`` as they are in the period of ``now``."""
    spent, before = balance.spent, balance.spent_before
    period, last = charged_at // PERIOD, now // PERIOD
    if before < 0:
        began = -before - _YOUNG
        grown = -(-(began + PERIOD_SECONDS) // PERIOD_SECONDS)
        if last < grown:
            return spent, before
        before = min(2 * PERIOD_SECONDS * spent // (grown * PERIOD_SECONDS - began), SPENT_MAX)
        return 0, before >> (last - grown)
    assert period < last
    return 0, min((before // 2 + spent) >> (last - period - 1), SPENT_MAX)


def grown_from(now: int) -> int:
    """What ``spent_before`` is at the least where there may be an estimate at ``now``; less: charges of under 24 h."""
    return PERIOD_SECONDS - _YOUNG - now // SECOND


def rate_of(balance: Balance, now: int) -> tuple[int, int] | None:
    """Micro-units charged in how many seconds, as a fraction with both parts above 0; None: no estimate."""
    charged_at, before = balance.charged_at, balance.spent_before
    if charged_at is None or before < grown_from(now):
        return None
    if before >= 0 and now - now % PERIOD <= charged_at:
        spent = balance.spent
    else:
        spent, before = _sums(balance, charged_at, now)
    if before < 0:
        return spent, now // SECOND + before + _YOUNG
    total = spent * 2 * PERIOD_SECONDS + before * (2 * PERIOD_SECONDS - now // SECOND % PERIOD_SECONDS)
    return (total, _TWICE_SQUARED) if total else None


def seconds_to_spend(balance: Balance, micros: int, now: int) -> int | None:
    """The estimated whole seconds in which charges take so much; 0 for nothing or less.

    None: no estimate, or longer than a year.
    """
    rate = rate_of(balance, now)
    if rate is None:
        return None
    if micros <= 0:
        return 0
    seconds = micros * rate[1] // rate[0]
    return seconds if seconds <= RUNWAY_SECONDS_MAX else None


def expected_charges(balance: Balance, seconds: int, now: int) -> int:
    """The micro-units that the rate charges in so many seconds, rounded up; 0 without an estimate."""
    rate = rate_of(balance, now)
    return 0 if rate is None else -(-rate[0] * seconds // rate[1])
