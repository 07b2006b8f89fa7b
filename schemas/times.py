"""Instants as integer microseconds since 1970-01-01T00:00:00Z; RFC 3339 on the wire; zones from ``tzdata`` only."""

import re
import zoneinfo
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from importlib import resources
from typing import Final, NewType

Instant = NewType("Instant", int)
"""Microseconds since the epoch, UTC."""

SECOND: Final = 1_000_000
HOUR: Final = 3600 * SECOND
DAY: Final = 86_400 * SECOND
NEVER: Final = Instant(2**62)
"""Later than every instant that can be written (year 9999 is below 2^58)."""

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
TIME_PATTERN: Final = (
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt][0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]{1,6})?(?:[Zz]|[+-][0-9]{2}:[0-9]{2})"
)
_match = re.compile(TIME_PATTERN, re.ASCII).fullmatch
_MINUTES_MAX: Final = 4096  # of the last events
MINUTES: Final[dict[str, int]] = {}
"""Instants by the first 17 characters of times that ended in ``Z``: with ``SECONDS``, parsing costs two look-ups."""
SECONDS: Final = {f"{second:02d}Z": second * 1_000_000 for second in range(60)}
_SECONDS_BEFORE_FRACTION = {f"{second:02d}.": second * 1_000_000 for second in range(60)}
_from_iso = datetime.fromisoformat
INSTANT_MIN: Final = -62_135_596_800 * SECOND
INSTANT_MAX: Final = 253_402_300_800 * SECOND - 1

zoneinfo.reset_tzpath(to=())  # the pinned tzdata package alone: a system's zones differ between machines


class TimeError(ValueError):
    """Text that is not an RFC 3339 instant; the message says what was expected and found."""


def parse_time(text: str) -> Instant:
    """The instant of an RFC 3339 string with an offset and at most microseconds; raises TimeError otherwise."""
    minute = MINUTES.get(text[:17])
    if minute is not None:
        second = SECONDS.get(text[17:])
        if second is not None:
            return Instant(minute + second)
        second = _SECONDS_BEFORE_FRACTION.get(text[17:20])
        fraction = text[20:-1]
        if second is not None and text[-1] == "Z" and len(fraction) <= 6 and fraction.isdigit() and fraction.isascii():
            return Instant(minute + second + int(fraction.ljust(6, "0")))
    return _parse_any(text)


def _parse_any(text: str) -> Instant:
    if _match(text) is None:
        raise TimeError(_expected(text))
    try:
        since = _from_iso(text.upper()) - _EPOCH
    except (ValueError, OverflowError):
        raise TimeError(_expected(text)) from None
    instant = (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds
    if not INSTANT_MIN <= instant <= INSTANT_MAX:
        raise TimeError(_expected(text))
    if text[-1] == "Z" and text[10] == "T":
        if len(MINUTES) >= _MINUTES_MAX:
            MINUTES.clear()
        MINUTES[text[:17]] = instant - since.seconds % 60 * SECOND - since.microseconds
    return Instant(instant)


@lru_cache(maxsize=256)  # the outputs of one commit share their log time
def format_time(instant: int) -> str:
    """RFC 3339 in UTC with ``Z``; the fraction only where there is one, without trailing zeros.

    An instant past year 9999 (a sum of an instant and a duration can be one) is written as its last microsecond.
    """
    seconds, micros = divmod(min(instant, INSTANT_MAX), 1_000_000)
    text = (_EPOCH + timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%S").rjust(19, "0")
    return f"{text}.{micros:06d}".rstrip("0") + "Z" if micros else text + "Z"


@lru_cache(maxsize=1)
def zone_names() -> frozenset[str]:
    """Every time zone name of the pinned ``tzdata`` package."""
    return frozenset(resources.files("tzdata").joinpath("zones").read_text(encoding="ascii").split())


@lru_cache(maxsize=1024)
def zone(name: str) -> zoneinfo.ZoneInfo:
    """The zone of that name from the pinned package; raises TimeError for a name that it does not have."""
    if name not in zone_names():
        raise TimeError(f"expected an IANA time zone such as Europe/Kyiv, found {name[:60]!r}")
    return zoneinfo.ZoneInfo(name)


def _expected(text: str) -> str:
    return f"expected an RFC 3339 time with an offset and at most microseconds, found {text[:60]!r}"
