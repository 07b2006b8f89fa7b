"""Scalar values of the wire: money, percentages, rates, times, durations, identifiers, time zones.

Money is an int of micro-units, a percentage an int of millionths of a percent, a rate an int of
1e-12, an instant an int of microseconds since 1970 UTC. No function here ever sees a float.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from functools import cache
from importlib import resources
from zoneinfo import ZoneInfo

MICRO = 1_000_000
PICO = 1_000_000_000_000
MONEY_MAX = 2**63 - 1
SECOND = 1_000_000
DAY = 86_400 * SECOND
DEDUPE_WINDOW = 7 * DAY

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_DECIMAL = re.compile(r"(-?)([0-9]+)(?:\.([0-9]{1,6}))?", re.ASCII)
_RATE = re.compile(r"([0-9]{1,18})(?:\.([0-9]{1,12}))?", re.ASCII)
_CURRENCY = re.compile(r"[A-Z][A-Z0-9]{2,7}", re.ASCII)
_TIME = re.compile(
    r"([0-9]{4})-([0-9]{2})-([0-9]{2})[Tt]([0-9]{2}):([0-9]{2}):([0-9]{2})(?:\.([0-9]{1,6}))?"
    r"(?:[Zz]|([+-])([0-9]{2}):([0-9]{2}))",
    re.ASCII,
)


class Refused(Exception):  # noqa: N818 - a refusal is an answer, not a failure
    """An event that cannot be accepted: a reason code of the contract and a sentence."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(f"{reason}: {message}")
        self.reason = reason
        self.message = message


def fits(amount: int) -> bool:
    """Whether micro-units fit 63 bits and a sign."""
    return -MONEY_MAX <= amount <= MONEY_MAX


def parse_money(value: object) -> int | None:
    """Micro-units of a decimal string with at most six digits after the point, else None."""
    match = _DECIMAL.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        return None
    sign, whole, fraction = match.groups()
    whole = whole.lstrip("0") or "0"
    if len(whole) > 13:
        return None
    micros = int(whole) * MICRO + int((fraction or "").ljust(6, "0"))
    return (-micros if sign else micros) if fits(micros) else None


def parse_micros(value: object) -> int | None:
    """An integer of micro-units as it stands on the wire, else None."""
    if isinstance(value, bool) or not isinstance(value, int) or not fits(value):
        return None
    return value


def parse_percent(value: object) -> int | None:
    """Millionths of a percent from a whole JSON number or a decimal string, else None."""
    if isinstance(value, bool):
        return None
    if isinstance(value, int):
        return value * MICRO if fits(value * MICRO) else None
    return parse_money(value)


def parse_rate(value: object) -> int | None:
    """A rate in 1e-12, above zero, else None."""
    match = _RATE.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        return None
    whole, fraction = match.groups()
    return (int(whole) * PICO + int((fraction or "").ljust(12, "0"))) or None


def parse_currency(value: object) -> str | None:
    return value if isinstance(value, str) and _CURRENCY.fullmatch(value) else None


def parse_key(value: object) -> str | None:
    """An identifier of 1 to 128 visible characters, else None."""
    if not isinstance(value, str) or not 1 <= len(value) <= 128:
        return None
    return value if value.isprintable() and " " not in value else None


def parse_time(value: object) -> int | None:
    """Microseconds since 1970 of an RFC 3339 time with an offset, else None."""
    match = _TIME.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        return None
    year, month, day, hour, minute, second, fraction, sign, off_hour, off_minute = match.groups()
    if sign and (int(off_hour) > 23 or int(off_minute) > 59):
        return None
    try:
        local = datetime(
            int(year), int(month), int(day), int(hour), int(minute), int(second),
            int((fraction or "").ljust(6, "0")), tzinfo=UTC,
        )  # fmt: skip
        offset = timedelta(hours=int(off_hour), minutes=int(off_minute)) if sign else timedelta()
        moment = local + offset if sign == "-" else local - offset
    except (ValueError, OverflowError):
        return None
    return micros_of(moment)


def micros_of(moment: datetime) -> int:
    return (moment - _EPOCH) // timedelta(microseconds=1)


def moment_of(micros: int) -> datetime:
    return _EPOCH + timedelta(microseconds=micros)


def format_time(micros: int | None) -> str | None:
    """UTC with Z; the fraction only where there is one, without trailing zeros."""
    if micros is None:
        return None
    text = moment_of(micros).replace(tzinfo=None).isoformat()
    return (text.rstrip("0") if "." in text else text) + "Z"


def _format_scaled(value: int, digits: int) -> str:
    whole, fraction = divmod(abs(value), 10**digits)
    text = f"{whole}.{fraction:0{digits}d}".rstrip("0").rstrip(".")
    return f"-{text}" if value < 0 else text


def format_money(micros: int) -> str:
    """A decimal string without trailing zeros."""
    return _format_scaled(micros, 6)


def format_limit(micros: int | None) -> str | None:
    """Like format_money; None (unlimited) stays None."""
    return None if micros is None else format_money(micros)


def format_percent(percent: int) -> str:
    return _format_scaled(percent, 6)


def format_rate(rate: int) -> str:
    return _format_scaled(rate, 12)


def half_even(value: Fraction) -> int:
    """The nearest integer; a tie goes to the even one."""
    return round(value)


def percent_of(amount: int, percent: int) -> Fraction:
    """Exactly `percent` (in millionths of a percent) of an amount."""
    return Fraction(amount * percent, 100 * MICRO)


@cache
def zone_names() -> frozenset[str]:
    text = resources.files("tzdata").joinpath("zones").read_text("utf-8")
    return frozenset(line.strip() for line in text.splitlines() if line.strip())


@cache
def time_zone(name: str) -> ZoneInfo:
    """A zone of the tzdata package, never of the system."""
    path = resources.files("tzdata").joinpath("zoneinfo", *name.split("/"))
    with path.open("rb") as file:
        return ZoneInfo.from_file(file, key=name)


def local_midnight(year: int, month: int, day: int, zone: ZoneInfo) -> int:
    """The instant at which a local date begins."""
    return micros_of(datetime(year, month, day, tzinfo=zone).astimezone(UTC))
