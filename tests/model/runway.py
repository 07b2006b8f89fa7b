"""Runway: how long the available money lasts at the rate of recent charges (decision record 0015).

The record says it with two running integers; here every charge is kept, and the sums are made anew, day by day, each
time that somebody asks.
"""

from __future__ import annotations

from fractions import Fraction

from .events import Rule
from .money import Rate, available
from .state import Client
from .values import SECOND, half_even

DAY_SECONDS = 86_400
YEAR_SECONDS = 366 * DAY_SECONDS
SUM_MAX = 2**62


def rate_of(client: Client, now: int) -> Fraction | None:
    """Micro-units a second; None while there is no estimate."""
    if not client.charges:
        return None
    second = now // SECOND
    began = client.charges[0][0] // SECOND
    if second - began < DAY_SECONDS:
        return None
    by_day: dict[int, int] = {}
    for at, amount in client.charges:
        day = at // SECOND // DAY_SECONDS
        by_day[day] = min(by_day.get(day, 0) + amount, SUM_MAX)
    today = second // DAY_SECONDS
    grown = -(-(began + DAY_SECONDS) // DAY_SECONDS)  # the first midnight a day or more after the first charge
    young = min(sum(amount for day, amount in by_day.items() if day < grown), SUM_MAX)
    if today < grown:
        return Fraction(young, second - began)
    before = min(2 * DAY_SECONDS * young // (grown * DAY_SECONDS - began), SUM_MAX)
    for day in range(grown, today):
        before = before // 2 + by_day.get(day, 0)
        if day + 1 == today or day + 1 in by_day:  # in between nobody looked, and nothing was cut
            before = min(before, SUM_MAX)
    passed = second % DAY_SECONDS
    weighed = by_day.get(today, 0) * 2 * DAY_SECONDS + before * (2 * DAY_SECONDS - passed)
    return Fraction(weighed, (2 * DAY_SECONDS) ** 2) or None


def seconds_to_spend(client: Client, amount: int, now: int) -> int | None:
    """Whole seconds until so much is charged; None without an estimate, or above a year."""
    rate = rate_of(client, now)
    if rate is None:
        return None
    seconds = amount // rate if amount > 0 else 0
    return seconds if seconds <= YEAR_SECONDS else None


def runway_view(client: Client, now: int) -> dict[str, int] | None:
    """What a change says: the seconds until available is zero, where it is above that."""
    money = available(client)
    seconds = None if money is None or money <= 0 else seconds_to_spend(client, money, now)
    return None if seconds is None else {"zero_seconds": seconds}


def is_expected_below(client: Client, rule: Rule, rate: Rate | None, now: int) -> bool:
    """Whether charges take available below the rule's threshold in less than the rule's runway; ``rate``: into the
    currency of the rule, None where it is the client's own."""
    money, charged = available(client), rate_of(client, now)
    if money is None or rule.runway_seconds is None:
        return False
    expected = 0 if charged is None else -(-charged * rule.runway_seconds // 1)
    left = Fraction(money - expected)
    return (left if rate is None else rate.convert(left)) < rule.threshold


def seconds_to_threshold(client: Client, rule: Rule, rate: Rate | None, now: int) -> int | None:
    """What a notification of a rule with a runway says."""
    money = available(client)
    if money is None or rule.runway_seconds is None:
        return None
    level = rule.threshold
    if rate is not None:
        level = half_even(Rate(rate.held, not rate.opposite).convert(Fraction(level)))
    return seconds_to_spend(client, money - level, now)
