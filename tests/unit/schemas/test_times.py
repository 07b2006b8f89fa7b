"""Instants, their text, and zones of the pinned package."""

import zoneinfo
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from schemas import times
from schemas.times import INSTANT_MAX, INSTANT_MIN, NEVER, SECOND, TimeError, format_time, parse_time, zone, zone_names

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "instant"),
    [
        ("1970-01-01T00:00:00Z", 0),
        ("1969-12-31T23:59:59.999999Z", -1),
        ("1970-01-01T00:00:00.000001Z", 1),
        ("2026-01-31T10:00:00Z", 1_769_853_600_000_000),
        ("2026-01-31t10:00:00z", 1_769_853_600_000_000),
        ("2026-01-31T10:00:00.1Z", 1_769_853_600_100_000),
        ("2026-01-31T10:00:00.123456Z", 1_769_853_600_123_456),
        ("2026-01-31T12:00:00+02:00", 1_769_853_600_000_000),
        ("2026-01-31T09:30:00-00:30", 1_769_853_600_000_000),
        ("2026-01-31T09:59:00-23:59", 1_769_939_880_000_000),
        ("2024-02-29T00:00:00Z", 1_709_164_800_000_000),
        ("2000-02-29T00:00:00Z", 951_782_400_000_000),
        ("0001-01-01T00:00:00Z", INSTANT_MIN),
        ("9999-12-31T23:59:59.999999Z", INSTANT_MAX),
    ],
)
def test_time_is_read_to_the_microsecond(text: str, instant: int) -> None:
    assert parse_time(text) == instant
    assert parse_time(text) == instant, "and once more, when its minute is known"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "2026-01-31",
        "2026-01-31T10:00Z",
        "2026-01-31T10:00:00",
        "2026-01-31 10:00:00Z",
        "2026-01-31T10:00:00.Z",
        "2026-01-31T10:00:00.1234567Z",
        "2026-01-31T10:00:00,5Z",
        "2026-01-31T10:00:00+0200",
        "2026-01-31T10:00:00+02",
        "2026-01-31T10:00:00+24:00",
        "2026-01-31T10:00:60Z",
        "2026-01-31T24:00:00Z",
        "2026-01-31T10:60:00Z",
        "2026-02-29T00:00:00Z",
        "1900-02-29T00:00:00Z",
        "2026-13-01T00:00:00Z",
        "2026-00-01T00:00:00Z",
        "2026-01-00T00:00:00Z",
        "0000-01-01T00:00:00Z",
        "10000-01-01T00:00:00Z",
        "0001-01-01T00:00:00+00:01",
        "9999-12-31T23:59:59-00:01",
        "٢٠٢٦-01-31T10:00:00Z",
        "2026-01-31T10:00:0٠Z",
        "2026-01-31T10:00:00Z ",
        "2026-01-31T10:00:00Z\n",
        "2026-W05-6T10:00:00Z",
        "now",
    ],
)
def test_what_is_no_time_with_an_offset_is_refused(text: str) -> None:
    parse_time("2026-01-31T10:00:00Z")
    with pytest.raises(TimeError, match="expected an RFC 3339 time with an offset and at most microseconds, found "):
        parse_time(text)


@pytest.mark.parametrize(
    "tail", ["00.1234567Z", "00.Z", "00.12٣Z", "00.²Z", "00.123z ", "60Z", "0Z", "00", "00.5", "00.5+02:00x", "00.1 Z"]
)
def test_a_known_minute_makes_nothing_a_time_that_is_none(tail: str) -> None:
    parse_time("2031-05-05T05:05:00Z")
    with pytest.raises(TimeError):
        parse_time("2031-05-05T05:05:" + tail)


OFFSETS = st.builds(lambda minutes: timezone(timedelta(minutes=minutes)), st.integers(-1439, 1439))


@given(
    st.datetimes(timezones=OFFSETS).filter(lambda at: 1 < at.year < 9999),
    st.sampled_from("Tt"),
    st.sampled_from(["Z", "z", None]),
    st.integers(0, 6),
)
@example(datetime(2026, 1, 31, 10, 0, 0, 120_000, UTC), "T", "Z", 2)
def test_known_and_unknown_minutes_read_alike(at: datetime, letter: str, ending: str | None, digits: int) -> None:
    """The fast way, for a minute that was seen, gives what the meticulous way gives: the calendar's own answer."""
    fraction = f"{at.microsecond:06d}"[:digits]
    at = at.replace(microsecond=int(fraction.ljust(6, "0")), tzinfo=UTC if ending else at.tzinfo)
    offset = (at.utcoffset() or timedelta()) // timedelta(minutes=1)
    text = f"{at.year:04d}-{at.month:02d}-{at.day:02d}{letter}{at:%H:%M:%S}{'.' if fraction else ''}{fraction}"
    text += ending or f"{'-' if offset < 0 else '+'}{abs(offset) // 60:02d}:{abs(offset) % 60:02d}"
    expected = (at - EPOCH) // timedelta(microseconds=1)
    times.MINUTES.clear()
    assert parse_time(text) == expected
    parse_time(f"{text[:10]}T{text[11:17]}00Z")
    assert parse_time(text) == expected


def test_known_minutes_are_bounded() -> None:
    start = parse_time("2040-01-01T00:00:00Z")
    for minute in range(times._MINUTES_MAX + 10):
        parse_time(format_time(start + minute * 60 * SECOND))
        assert len(times.MINUTES) <= times._MINUTES_MAX


@pytest.mark.parametrize(
    ("instant", "text"),
    [
        (0, "1970-01-01T00:00:00Z"),
        (-1, "1969-12-31T23:59:59.999999Z"),
        (1_769_853_600_100_000, "2026-01-31T10:00:00.1Z"),
        (1_769_853_600_000_001, "2026-01-31T10:00:00.000001Z"),
        (INSTANT_MIN, "0001-01-01T00:00:00Z"),
        (INSTANT_MAX, "9999-12-31T23:59:59.999999Z"),
        (INSTANT_MAX + 1, "9999-12-31T23:59:59.999999Z"),
        (NEVER, "9999-12-31T23:59:59.999999Z"),
    ],
)
def test_time_is_written_in_utc_and_past_the_calendar_as_its_end(instant: int, text: str) -> None:
    assert format_time(instant) == text


@given(st.integers(INSTANT_MIN, INSTANT_MAX))
def test_time_written_and_read_is_the_same(instant: int) -> None:
    assert parse_time(format_time(instant)) == instant


def test_never_is_later_than_every_instant_and_duration() -> None:
    assert NEVER > INSTANT_MAX + 100 * 366 * 86_400 * SECOND


def test_zones_come_from_the_package_alone() -> None:
    assert zoneinfo.TZPATH == ()
    assert "Europe/Kyiv" in zone_names()
    assert datetime(2026, 7, 1, tzinfo=zone("Europe/Kyiv")).utcoffset() == timedelta(hours=3)


@pytest.mark.parametrize("name", ["Europe/Atlantis", "", "europe/kyiv", "../UTC", "/etc/localtime", "UTC\0", "x" * 300])
def test_what_the_package_does_not_name_is_no_zone(name: str) -> None:
    with pytest.raises(TimeError, match="expected an IANA time zone such as Europe/Kyiv, found "):
        zone(name)
