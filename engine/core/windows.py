"""Where a window from first usage ends: a duration, or a local day, week or billing cycle (semantics 5)."""

from datetime import UTC, datetime, timedelta
from typing import Final

from schemas.events import Client, TimeBalancePlan
from schemas.times import DAY, INSTANT_MAX, INSTANT_MIN, NEVER, SECOND, zone

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_LAST_YEAR: Final = 9990  # later than this no calendar arithmetic is done: the window has no end that can be written


def window_end(plan: TimeBalancePlan, settings: Client, start: int) -> int:
    """The end of the window that a usage starting at ``start`` opens; NEVER where the plan has no window."""
    window = plan.window
    if window is None:
        return NEVER
    if window.seconds is not None:
        return start + window.seconds * SECOND
    if not INSTANT_MIN + DAY <= start <= INSTANT_MAX - DAY:  # the local date could be off the calendar
        return NEVER
    local = (_EPOCH + timedelta(microseconds=start)).astimezone(zone(settings.time_zone))
    if local.year > _LAST_YEAR:
        return NEVER
    day = datetime(local.year, local.month, local.day, tzinfo=local.tzinfo)
    match window.until:
        case "day":
            end = day + timedelta(days=1)
        case "week":
            end = day + timedelta(days=7 - day.weekday())
        case _:
            end = _cycle_end(day, settings.cycle_day)
    # A local midnight that does not exist is the instant of the jump; one that exists twice is the first: fold 0.
    since = end.astimezone(UTC) - _EPOCH
    return (since.days * 86_400 + since.seconds) * SECOND + since.microseconds


def _cycle_end(day: datetime, cycle_day: int) -> datetime:
    """The next local midnight on which a billing cycle starts, strictly after the day."""
    if day.day < cycle_day:
        return day.replace(day=cycle_day)
    following = day.replace(day=1) + timedelta(days=32)
    return following.replace(day=cycle_day)
