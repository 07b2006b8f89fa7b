"""Which free units pay for a usage, and what is left of its money (semantics 5, "order", "coverage", "reject")."""

from typing import Final

import msgspec

from engine.core.records import Bucket, Grants
from engine.core.state import State
from engine.core.windows import window_end
from schemas.events import Client, TimeBalancePlan, UnitName, Usage
from schemas.times import NEVER, SECOND

UNIT_FACTOR: Final[dict[UnitName, tuple[str, int]]] = {
    "event": ("event", 1),
    "second": ("second", 1),
    "minute": ("second", 60),
    "hour": ("second", 3600),
    "day": ("second", 86_400),
    "byte": ("byte", 1),
    "kilobyte": ("byte", 1024),
    "megabyte": ("byte", 1024**2),
    "gigabyte": ("byte", 1024**3),
}
"""A plan's unit as so many of the usage's unit."""


class Piece(msgspec.Struct, frozen=True):
    """What one bucket pays for, in the plan's unit; its window then ends at ``window_until``."""

    bucket: Bucket
    units: int
    window_until: int


class Coverage(msgspec.Struct, frozen=True):
    """How a usage would be paid for. ``rejecting``: the first plan by id that refuses what is uncovered.

    ``uncovered`` of ``whole`` is in the usage's unit, for seconds in microseconds: a split at an end is exact.
    """

    pieces: list[Piece]
    uncovered: int
    whole: int
    rejecting: str | None

    def uncovered_quantity(self, usage: Usage) -> int:
        """What is uncovered in the usage's own unit, rounded up."""
        return -(-self.uncovered * usage.quantity // self.whole)


def is_for(plan: TimeBalancePlan, usage: Usage) -> bool:
    """Whether a plan is for a usage: the type is listed and the units are of one kind."""
    return usage.type in plan.usage_types and UNIT_FACTOR[plan.unit][0] == usage.unit


def cover(state: State, settings: Client, grants: Grants, usage: Usage) -> Coverage:
    """Plans the coverage of a usage; changes nothing."""
    start = usage.started_at
    assert start is not None
    plans = state.config.plans
    buckets = [bucket for bucket in grants.buckets if bucket.left > 0 and bucket.start_at <= start]
    buckets = [bucket for bucket in buckets if is_for(plans[bucket.plan], usage)]
    pieces: list[Piece] = []
    timed = usage.unit == "second"
    scale = SECOND if timed else 1
    uncovered = whole = usage.quantity * scale
    for bucket in sorted(buckets, key=lambda bucket: _order(plans[bucket.plan], bucket)):
        if uncovered == 0:
            break
        plan = plans[bucket.plan]
        window_until = bucket.window_until
        if window_until == NEVER:
            window_until = window_end(plan, settings, start)
        end = min(bucket.valid_until, window_until)
        position = start + whole - uncovered if timed else start
        if position >= end:
            continue
        reachable = min(uncovered, end - position) if timed else uncovered
        factor = UNIT_FACTOR[plan.unit][1] * scale
        quantity = min(reachable, bucket.left * factor)
        pieces.append(Piece(bucket, -(-quantity // factor), window_until))
        uncovered -= quantity
    rejecting = _rejecting(state, grants, usage, start) if uncovered else None
    return Coverage(pieces, uncovered, whole, rejecting)


def _order(plan: TimeBalancePlan, bucket: Bucket) -> tuple[bool, int, int, str]:
    """Fresh or rolled-over first as configured; then earlier end, earlier start, grant id."""
    is_rolled = bucket.cycle > 0
    later = is_rolled if plan.order == "fresh_first" else not is_rolled
    return later, bucket.closes_at, bucket.start_at, bucket.grant


def _rejecting(state: State, grants: Grants, usage: Usage, start: int) -> str | None:
    for key, standing in sorted(grants.plans.items()):
        plan = state.config.plans[key]
        if plan.on_exhausted == "reject" and is_for(plan, usage) and start >= standing.first_start:
            return key
    return None
