"""Local wall-clock times to instants, with what daylight saving does to them made explicit.

A time that the clocks skip does not exist and is an error: the zone is wrong. A time that happens twice is told
apart by what else the record knows: an instant that it must lie near, or a duration.
"""

from datetime import UTC, datetime, timedelta, tzinfo
from zoneinfo import ZoneInfo

from engine.importers.rows import RowError

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def micros_of(moment: datetime) -> int:
    """Microseconds since the epoch of an aware time."""
    return (moment - _EPOCH) // timedelta(microseconds=1)


def local_instants(wall: datetime, zone: tzinfo) -> tuple[int, ...]:
    """The one or two instants that a wall clock of the zone shows as ``wall``, earlier first.

    Raises RowError for a time that the clocks skipped.
    """
    first = wall.replace(tzinfo=zone, fold=0)
    instants = sorted({micros_of(first), micros_of(first.replace(fold=1))})
    shown = [at for at in instants if _shown(at, zone) == wall]
    if not shown:
        name = zone.key if isinstance(zone, ZoneInfo) else str(zone)
        raise RowError(f"{wall} does not exist in {name}, where the clocks skip it: is the time zone right?")
    return tuple(shown)


def nearest(instants: tuple[int, ...], wanted: int | None) -> int:
    """The instant closest to the wanted one; the earlier where there is a tie or nothing is wanted."""
    if wanted is None:
        return instants[0]
    return min(instants, key=lambda at: (abs(at - wanted), at))


def _shown(at: int, zone: tzinfo) -> datetime:
    return (_EPOCH + timedelta(microseconds=at)).astimezone(zone).replace(tzinfo=None, fold=0)
