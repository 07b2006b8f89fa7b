"""Where a window from first usage ends, in the client's time zone (semantics 5, "a time window from first usage")."""

import msgspec
import pytest

from engine.core.windows import window_end
from schemas.events import Client, TimeBalancePlan, Window
from schemas.times import NEVER, format_time, parse_time


def _plan(window: Window | None) -> TimeBalancePlan:
    return TimeBalancePlan(id="1", source="s", time=0, plan="p", unit="minute", units=60, window=window)


def _end(until: Window | None, start: str, zone: str = "UTC", cycle_day: int = 1) -> str:
    settings = Client(id="1", source="s", time=0, client="c", currency="USD", time_zone=zone, cycle_day=cycle_day)
    return format_time(window_end(_plan(until), settings, parse_time(start)))


DAY, WEEK, CYCLE = Window(until="day"), Window(until="week"), Window(until="cycle")


@pytest.mark.parametrize(
    ("window", "start", "zone", "cycle_day", "end"),
    [
        # a duration counts seconds, whatever the clocks do
        (Window(seconds=7200), "2026-01-01T09:00:00.5Z", "UTC", 1, "2026-01-01T11:00:00.5Z"),
        (Window(seconds=7200), "2026-03-29T00:30:00Z", "Europe/Kyiv", 1, "2026-03-29T02:30:00Z"),
        # the local day, half-open: at midnight the next one has begun
        (DAY, "2026-01-01T09:00:00Z", "UTC", 1, "2026-01-02T00:00:00Z"),
        (DAY, "2026-01-01T23:59:59.999999Z", "UTC", 1, "2026-01-02T00:00:00Z"),
        (DAY, "2026-01-02T00:00:00Z", "UTC", 1, "2026-01-03T00:00:00Z"),
        (DAY, "2026-01-01T21:59:59Z", "Europe/Kyiv", 1, "2026-01-01T22:00:00Z"),
        (DAY, "2026-01-01T22:00:00Z", "Europe/Kyiv", 1, "2026-01-02T22:00:00Z"),
        # days of 23 and of 25 hours
        (DAY, "2026-03-28T22:00:00Z", "Europe/Kyiv", 1, "2026-03-29T21:00:00Z"),
        (DAY, "2026-10-24T21:00:00Z", "Europe/Kyiv", 1, "2026-10-25T22:00:00Z"),
        # a midnight that does not exist is the jump itself (Beirut springs forward at 00:00, to 01:00)
        (DAY, "2026-03-28T12:00:00Z", "Asia/Beirut", 1, "2026-03-28T22:00:00Z"),
        # a midnight that exists twice is its first (Havana falls back at 01:00, to 00:00)
        (DAY, "2026-10-31T12:00:00Z", "America/Havana", 1, "2026-11-01T04:00:00Z"),
        # weeks begin on Monday
        (WEEK, "2026-01-01T09:00:00Z", "UTC", 1, "2026-01-05T00:00:00Z"),
        (WEEK, "2026-01-04T23:59:59Z", "UTC", 1, "2026-01-05T00:00:00Z"),
        (WEEK, "2026-01-05T00:00:00Z", "UTC", 1, "2026-01-12T00:00:00Z"),
        (WEEK, "2026-01-04T22:00:00Z", "Europe/Kyiv", 1, "2026-01-11T22:00:00Z"),
        # billing cycles begin on the client's cycle day
        (CYCLE, "2026-01-01T09:00:00Z", "UTC", 1, "2026-02-01T00:00:00Z"),
        (CYCLE, "2026-01-14T23:59:59Z", "UTC", 15, "2026-01-15T00:00:00Z"),
        (CYCLE, "2026-01-15T00:00:00Z", "UTC", 15, "2026-02-15T00:00:00Z"),
        (CYCLE, "2026-01-31T09:00:00Z", "UTC", 28, "2026-02-28T00:00:00Z"),
        (CYCLE, "2026-12-31T09:00:00Z", "UTC", 1, "2027-01-01T00:00:00Z"),
        (CYCLE, "2024-02-29T09:00:00Z", "UTC", 1, "2024-03-01T00:00:00Z"),
        (CYCLE, "2026-01-31T22:30:00Z", "Europe/Kyiv", 1, "2026-02-28T22:00:00Z"),
        # before the epoch and at the calendar's beginning
        (DAY, "1969-12-31T12:00:00Z", "UTC", 1, "1970-01-01T00:00:00Z"),
        (DAY, "0001-01-02T00:00:00Z", "UTC", 1, "0001-01-03T00:00:00Z"),
        (DAY, "0001-01-02T00:00:00Z", "America/New_York", 1, "0001-01-02T04:56:02Z"),
    ],
)
def test_window_ends(window: Window, start: str, zone: str, cycle_day: int, end: str) -> None:
    assert _end(window, start, zone, cycle_day) == end


SETTINGS = Client(id="1", source="s", time=0, client="c", currency="USD", time_zone="Pacific/Kiritimati")


def test_plan_without_a_window_has_no_end() -> None:
    assert window_end(_plan(None), SETTINGS, 0) == NEVER


@pytest.mark.parametrize("until", [DAY, WEEK, CYCLE])
@pytest.mark.parametrize(
    "start",
    ["9991-01-02T00:00:00Z", "9999-12-31T23:59:59.999999Z", "0001-01-01T00:00:00Z", "0001-01-01T23:59:59.999999Z"],
)
@pytest.mark.parametrize("zone", ["America/New_York", "Pacific/Kiritimati", "UTC"])
def test_window_at_either_end_of_the_calendar_has_no_end(until: Window, start: str, zone: str) -> None:
    settings = msgspec.structs.replace(SETTINGS, time_zone=zone)
    assert window_end(_plan(until), settings, parse_time(start)) == NEVER
