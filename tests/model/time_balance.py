"""Free units: grants, windows, coverage, rollover, expiry (section 5)."""

from __future__ import annotations

from datetime import timedelta
from fractions import Fraction

from .clients import expires_at, own_addresses
from .events import Charge, Event, Identity, Plan, TimeBalance, Usage
from .money import convert_amount
from .state import Bucket, Client, Effect, HeldPlan, Output, Taken, World, cause_view
from .values import (
    DEDUPE_WINDOW,
    MICRO,
    SECOND,
    Refused,
    fits,
    half_even,
    local_midnight,
    moment_of,
    time_zone,
)

# Each unit as its kind and its size in the usage's own unit (event, second, byte).
SIZES = {
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


def is_for(plan: Plan, usage: Usage) -> bool:
    """Whether a plan is for a usage: the type is listed, the units are of one kind."""
    return usage.type in plan.usage_types and SIZES[plan.unit][0] == usage.unit


def window_end(plan: Plan, start: int, zone_name: str, cycle_day: int) -> int | None:
    """The end of a window that opens at `start`; None if the plan has no window."""
    if plan.window is None:
        return None
    if plan.window.seconds is not None:
        return start + plan.window.seconds * SECOND
    zone = time_zone(zone_name)
    day = moment_of(start).astimezone(zone).date()
    while True:
        day += timedelta(days=1)
        ends = {"day": True, "week": day.weekday() == 0, "cycle": day.day == cycle_day}
        if ends[plan.window.until or "day"]:
            return local_midnight(day.year, day.month, day.day, zone)


def live_of(client: Client, plan: str) -> list[Bucket]:
    """The live parts of a plan, by grant id."""
    return sorted((one for one in client.buckets if one.plan == plan), key=lambda one: one.grant)


def _expired(client: Client, effect: Effect, plan: str, grant: str, units: int, reason: str) -> None:
    if units > 0:
        effect.units_expired.append(
            {
                "output": "units_expired",
                "client": client.id,
                "plan": plan,
                "grant": grant,
                "units": units,
                "reason": reason,
            }
        )


def expire_units(world: World, client: Client, effect: Effect) -> None:
    """Record as expired what is past its end and its grace."""
    for bucket in list(client.buckets):
        due = expires_at(world, bucket)
        if due is not None and due <= effect.now:
            client.buckets.remove(bucket)
            _expired(client, effect, bucket.plan, bucket.grant, bucket.left, "expired")


# Grants


def apply_time_balance(world: World, client: Client, event: Event, body: TimeBalance, effect: Effect) -> None:
    match body.action:
        case "grant":
            _grant(world, client, event, body)
        case "renew":
            _renew(world, client, event, body, effect)
        case "top_up":
            _top_up(world, client, body, effect)
        case "cancel":
            _cancel(client, body, effect)
        case _:
            raise AssertionError(body.action)


def _known_plan(world: World, body: TimeBalance) -> Plan:
    plan = world.plans.get(body.plan or "")
    if plan is None:
        raise Refused("unknown_reference", f"plan {body.plan} is unknown")
    return plan


def _live(client: Client, body: TimeBalance) -> Bucket:
    """The live grant that is named; a plan, where one is named too, must be its own."""
    for bucket in client.buckets:
        if bucket.grant == body.grant and body.plan in (None, bucket.plan):
            return bucket
    raise Refused("unknown_grant", f"grant {body.grant} is not live")


def _add(client: Client, plan: str, grant: str, first: str, cycle: int, units: int,
         start: int, validity_end: int | None) -> None:  # fmt: skip
    if any(bucket.grant == grant for bucket in client.buckets):
        raise Refused("duplicate_grant", f"grant {grant} is live already")
    client.buckets_made += 1
    client.buckets.append(Bucket(client.buckets_made, plan, grant, first, cycle, units, start, validity_end))


def _validity_end(plan: Plan, start: int) -> int | None:
    return None if plan.validity_seconds is None else start + plan.validity_seconds * SECOND


def _hold(client: Client, plan: Plan, start: int) -> HeldPlan:
    held = client.plans.setdefault(plan.plan, HeldPlan(start))
    held.first_start = min(held.first_start, start)
    return held


def _utilisation(client: Client, plan: str) -> tuple[int, int]:
    """Units consumed and granted over the live parts."""
    live = live_of(client, plan)
    return sum(bucket.used for bucket in live), sum(bucket.granted for bucket in live)


def _reached(percent: int, used: int, granted: int) -> bool:
    return granted > 0 and used * 100 * MICRO >= percent * granted


def _rearm_above(client: Client, plan: str) -> None:
    """More units re-arm what utilisation is now below; 0 % never."""
    used, granted = _utilisation(client, plan)
    if granted > 0:
        held = client.plans[plan]
        held.fired = {percent for percent in held.fired if _reached(percent, used, granted)}


def _grant(world: World, client: Client, event: Event, body: TimeBalance) -> None:
    plan = _known_plan(world, body)
    none_lived = not live_of(client, plan.plan)
    units = plan.units if body.units is None else body.units
    _add(client, plan.plan, body.grant, body.grant, 0, units, event.time, _validity_end(plan, event.time))
    held = _hold(client, plan, event.time)
    if none_lived:
        held.fired.clear()
    _rearm_above(client, plan.plan)


def _renew(world: World, client: Client, event: Event, body: TimeBalance, effect: Effect) -> None:
    plan = _known_plan(world, body)
    parts = live_of(client, plan.plan)
    client.buckets = [bucket for bucket in client.buckets if bucket.plan != plan.plan]
    units = plan.units if body.units is None else body.units
    validity_end = _validity_end(plan, event.time)
    _add(client, plan.plan, body.grant, body.grant, 0, units, event.time, validity_end)
    for part in parts:
        rolled = _rolled(plan, part, effect.now)
        if rolled > 0:
            cycle = part.cycle + 1
            grant = f"{part.first_grant}~{cycle}"
            _add(client, plan.plan, grant, part.first_grant, cycle, rolled, part.start, validity_end)
        _expired(client, effect, plan.plan, part.grant, part.left - rolled, "renewal")
    _hold(client, plan, event.time).fired.clear()


def _rolled(plan: Plan, part: Bucket, now: int) -> int:
    """How many units of a part roll over."""
    rollover = plan.rollover
    window_over = part.window_end is not None and part.window_end <= now
    if rollover is None or window_over:
        return 0
    if rollover.cycles is not None and part.cycle >= rollover.cycles:
        return 0
    units = max(rollover.min, part.left)
    return units if rollover.max is None else min(rollover.max, units)


def _top_up(world: World, client: Client, body: TimeBalance, effect: Effect) -> None:
    bucket = _live(client, body)
    if bucket.end is not None and bucket.end <= effect.now:
        raise Refused("unknown_grant", f"grant {body.grant} is closed")
    bucket.granted += world.plans[bucket.plan].units if body.units is None else body.units
    if not fits(bucket.granted):
        raise Refused("bad_field", "the units would not fit")
    _rearm_above(client, bucket.plan)


def _cancel(client: Client, body: TimeBalance, effect: Effect) -> None:
    bucket = _live(client, body)
    client.buckets.remove(bucket)
    _expired(client, effect, bucket.plan, bucket.grant, bucket.left, "cancelled")
    if not live_of(client, bucket.plan):
        del client.plans[bucket.plan]


# Usage


def apply_charge(world: World, client: Client, charge: Charge, effect: Effect) -> None:
    """Free units first, then money; what a rejecting plan leaves uncovered is free and said so."""
    amount = convert_amount(world, client, charge.amount, charge.currency, effect, zero_is_fine=True)
    client.money_moved = client.money_moved or amount > 0
    money, taken = amount, list[Taken]()
    if charge.usage is not None and charge.usage.quantity > 0:
        uncovered, taken = _cover(world, client, charge.usage)
        money = half_even(amount * uncovered / charge.usage.quantity)
        rejecting = _first_rejecting(world, client, charge.usage)
        if uncovered > 0 and rejecting is not None:
            money = 0
            effect.usage_rejected.append(_usage_rejected(client, rejecting, uncovered, charge.usage, effect))
    client.live -= money
    if money > 0:
        client.last_charge = effect.now
        client.charges.append((effect.now, money))
    effect.taken = taken
    _look_at_levels(world, client, taken, effect)


def _usage_rejected(client: Client, plan: str, uncovered: Fraction, usage: Usage, effect: Effect) -> Output:
    return {
        "output": "usage_rejected",
        "client": client.id,
        "plan": plan,
        "uncovered": -((-uncovered.numerator) // uncovered.denominator),
        "unit": usage.unit,
        "cause": cause_view(effect.cause),
    }


def _first_rejecting(world: World, client: Client, usage: Usage) -> str | None:
    """The first plan, by id, that the client has for the usage and that says reject."""
    for plan_id in sorted(client.plans):
        plan = world.plans[plan_id]
        begun = usage.started_at >= client.plans[plan_id].first_start
        if begun and is_for(plan, usage) and plan.on_exhausted == "reject":
            return plan_id
    return None


def _order(world: World, bucket: Bucket) -> tuple[bool, bool, int, int, str]:
    fresh_first = world.plans[bucket.plan].order == "fresh_first"
    preferred = (bucket.cycle == 0) == fresh_first
    return (not preferred, bucket.end is None, bucket.end or 0, bucket.start, bucket.grant)


def _cover(world: World, client: Client, usage: Usage) -> tuple[Fraction, list[Taken]]:
    """Consume units for a usage: what stays uncovered, in the usage's own unit, and what was taken.

    Time is measured in microseconds, since an end may lie inside a second; events and bytes as they are.
    """
    scale = SECOND if usage.unit == "second" else 1
    total = usage.quantity * scale
    covered = 0
    taken: list[Taken] = []
    for bucket in sorted(client.buckets, key=lambda one: _order(world, one)):
        plan = world.plans[bucket.plan]
        if not is_for(plan, usage) or usage.started_at < bucket.start:
            continue
        opens_until = bucket.window_end
        if opens_until is None:
            settings = client.settings
            opens_until = window_end(plan, usage.started_at, settings.time_zone, settings.cycle_day)
        ends = [end for end in (bucket.validity_end, opens_until) if end is not None]
        end = min(ends, default=None)
        if end is not None and usage.started_at >= end:
            continue
        piece = total - covered
        if usage.unit == "second" and end is not None:
            piece = min(piece, end - (usage.started_at + covered))
        size = SIZES[plan.unit][1] * scale
        piece = min(piece, bucket.left * size)
        if piece <= 0:
            continue
        units = -(-piece // size)
        bucket.used += units
        bucket.window_end = opens_until
        covered += piece
        taken.append(Taken(bucket.serial, bucket.plan, bucket.grant, units))
    return Fraction(total - covered, scale), taken


def _look_at_levels(world: World, client: Client, taken: list[Taken], effect: Effect) -> None:
    """Levels reached by the plans just consumed, in that order, ascending; each once."""
    for plan_id in dict.fromkeys(one.plan for one in taken):
        used, granted = _utilisation(client, plan_id)
        held = client.plans[plan_id]
        for level in sorted(world.plans[plan_id].thresholds, key=lambda level: level.percent):
            if level.percent in held.fired or not _reached(level.percent, used, granted):
                continue
            if own_addresses(client, level.channels):
                held.fired.add(level.percent)
                effect.levels_reached.append((plan_id, level))


def give_back(world: World, client: Client, of: Identity, effect: Effect) -> None:
    """A refund naming a remembered charge gives its units back, once; gone buckets lose theirs."""
    charge = world.charges.get((client.id, of))
    if charge is None or charge.given_back or effect.now - charge.at >= DEDUPE_WINDOW:
        return
    charge.given_back = True
    buckets = {bucket.serial: bucket for bucket in client.buckets}
    for taken in charge.taken:
        if taken.serial in buckets:
            buckets[taken.serial].used -= taken.units
        else:
            _expired(client, effect, taken.plan, taken.grant, taken.units, "refund_lost")


def next_expiry(world: World, client: Client) -> int | None:
    found = [expires_at(world, bucket) for bucket in client.buckets]
    return min((due for due in found if due is not None), default=None)
