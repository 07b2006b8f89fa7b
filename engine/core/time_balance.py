"""Free units: grants, renewal, top-ups, consumption, levels and expiry (semantics 5)."""

from collections.abc import Iterator
from typing import Literal, assert_never

import msgspec

from engine.core.coverage import Coverage
from engine.core.low_balance import CHANNELS
from engine.core.records import Bucket, Grants, PlanStanding
from engine.core.state import State
from engine.core.step import Step
from schemas.events import TimeBalance, TimeBalancePlan, Usage
from schemas.fields import COUNT_MAX
from schemas.money import PERCENT_SCALE, format_percent
from schemas.outputs import TimeBalanceView, UnitsExpired, UsageRejected
from schemas.reasons import Reason, Refusal
from schemas.times import NEVER, SECOND, format_time

ExpiryReason = Literal["expired", "renewal", "cancelled", "refund_lost"]
GRANTS_MAX = 1000  # a client's live buckets: each evaluation of the client looks at all of them


class Consumed(msgspec.Struct, frozen=True, array_like=True):
    """What a charge took from one bucket; remembered with its identity, for a refund."""

    plan: str
    grant: str
    serial: int
    units: int


def change_grants(step: Step, event: TimeBalance) -> Refusal | None:
    """Applies a grant, a renewal, a top-up or a cancellation."""
    grants = step.state.grants.find(event.client) or Grants()
    match event.action:
        case "grant" | "renew":
            refusal = _grant(step, grants, event)
        case "top_up":
            refusal = _top_up(step, grants, event)
        case "cancel":
            refusal = _cancel(step, grants, event)
        case _:
            assert_never(event.action)
    if refusal is None:
        _keep(step, grants)
        expire(step)
    return refusal


def _keep(step: Step, grants: Grants) -> None:
    client = step.balance.client
    step.state.grants.put(client, grants)
    step.balance.metered = bool(grants.plans)


def _grant(step: Step, grants: Grants, event: TimeBalance) -> Refusal | None:
    assert event.plan is not None
    plan = step.state.config.plans.get(event.plan)
    if plan is None:
        return Refusal(Reason.UNKNOWN_REFERENCE, f"plan: expected one that is defined, found {event.plan!r}")
    renewed = [bucket for bucket in grants.buckets if bucket.plan == event.plan] if event.action == "renew" else []
    taken = [bucket for bucket in grants.buckets if bucket.grant == event.grant and bucket not in renewed]
    rolled = [_roll(step, plan, bucket, event.time) for bucket in renewed]
    names = [bucket.grant for bucket in grants.buckets if bucket not in renewed]
    names += [bucket.grant for bucket in rolled if bucket is not None]
    if taken or event.grant in names or len(set(names)) != len(names):
        return Refusal(Reason.DUPLICATE_GRANT, f"grant: {event.grant!r} is live; expected the id of a new one")
    if len(names) >= GRANTS_MAX:
        return Refusal(Reason.DUPLICATE_GRANT, f"grant: the client has {len(names)} live ones, the most there can be")
    lived = any(bucket.plan == event.plan for bucket in grants.buckets)
    _renew_buckets(step, grants, renewed, rolled)
    grants.serials += 1
    units = plan.units if event.units is None else event.units
    valid_until = _valid_until(plan, event.time)
    grants.buckets.append(
        Bucket(event.plan, event.grant, event.grant, 0, grants.serials, units, 0, event.time, valid_until)
    )
    standing = grants.plans.get(event.plan)
    if standing is None:
        standing = grants.plans[event.plan] = PlanStanding(event.time)
        step.state.references.move("time_balance_plan", step.balance.client, None, event.plan)
    standing.first_start = min(standing.first_start, event.time)
    if event.action == "renew" or not lived:
        standing.fired = []
    else:
        _re_arm(step.state, grants, event.plan)
    return None


def _roll(step: Step, plan: TimeBalancePlan, bucket: Bucket, at: int) -> Bucket | None:
    """What a bucket becomes when its plan is renewed; None: nothing of it rolls."""
    rollover = plan.rollover
    if rollover is None or bucket.window_until <= step.now:
        return None
    if rollover.cycles is not None and bucket.cycle >= rollover.cycles:
        return None
    units = max(rollover.min, bucket.left)
    if rollover.max is not None:
        units = min(rollover.max, units)
    if units == 0:
        return None
    cycle = bucket.cycle + 1
    name = f"{bucket.first}~{cycle}"
    return Bucket(bucket.plan, name, bucket.first, cycle, 0, units, 0, bucket.start_at, _valid_until(plan, at))


def _renew_buckets(step: Step, grants: Grants, renewed: list[Bucket], rolled: list[Bucket | None]) -> None:
    for bucket, successor in zip(renewed, rolled, strict=True):
        grants.buckets.remove(bucket)
        carried = 0
        if successor is not None:
            grants.serials += 1
            successor.serial = grants.serials
            grants.buckets.append(successor)
            carried = successor.granted
        _record_expired(step, bucket, bucket.left - carried, "renewal")


def _valid_until(plan: TimeBalancePlan, start: int) -> int:
    return NEVER if plan.validity_seconds is None else start + plan.validity_seconds * SECOND


def _top_up(step: Step, grants: Grants, event: TimeBalance) -> Refusal | None:
    bucket = _find(grants, event.grant)
    if bucket is None or (event.plan is not None and bucket.plan != event.plan):
        return _unknown_grant(event)
    if bucket.closes_at <= step.now:
        message = f"grant: {event.grant!r} is closed; expected an open one: renew it instead"
        return Refusal(Reason.UNKNOWN_GRANT, message)
    units = step.state.config.plans[bucket.plan].units if event.units is None else event.units
    if bucket.granted + units > COUNT_MAX:
        return Refusal(Reason.BAD_FIELD, f"units: {units} more do not fit")
    bucket.granted += units
    _re_arm(step.state, grants, bucket.plan)
    return None


def _cancel(step: Step, grants: Grants, event: TimeBalance) -> Refusal | None:
    bucket = _find(grants, event.grant)
    if bucket is None or (event.plan is not None and bucket.plan != event.plan):
        return _unknown_grant(event)
    grants.buckets.remove(bucket)
    _record_expired(step, bucket, bucket.left, "cancelled")
    if not any(other.plan == bucket.plan for other in grants.buckets):
        del grants.plans[bucket.plan]
        step.state.references.move("time_balance_plan", step.balance.client, bucket.plan, None)
    return None


def _find(grants: Grants, grant: str) -> Bucket | None:
    return next((bucket for bucket in grants.buckets if bucket.grant == grant), None)


def _unknown_grant(event: TimeBalance) -> Refusal:
    return Refusal(Reason.UNKNOWN_GRANT, f"grant: expected a live one of the client, found {event.grant!r}")


def _record_expired(step: Step, bucket: Bucket, units: int, reason: ExpiryReason) -> None:
    if units > 0:
        step.units_expired.append(UnitsExpired(step.balance.client, bucket.plan, bucket.grant, units, reason))


def consume(step: Step, coverage: Coverage, usage: Usage) -> list[Consumed]:
    """Takes the planned units, notes the levels to look at, and records what a plan rejects."""
    grants = step.state.grants.find(step.balance.client)
    assert grants is not None
    consumed: list[Consumed] = []
    for piece in coverage.pieces:
        bucket = piece.bucket
        assert 0 < piece.units <= bucket.left
        bucket.window_until = piece.window_until
        bucket.used += piece.units
        consumed.append(Consumed(bucket.plan, bucket.grant, bucket.serial, piece.units))
    if consumed:
        _keep(step, grants)
        _note_levels(step, grants, list(dict.fromkeys(item.plan for item in consumed)))
    if coverage.rejecting is not None:
        assert step.cause is not None
        step.usage_rejected.append(
            UsageRejected(
                step.balance.client, coverage.rejecting, coverage.uncovered_quantity(usage), usage.unit, step.cause
            )
        )
    expire(step)
    return consumed


def _utilisation(grants: Grants, plan: str) -> tuple[int, int]:
    """Consumed and granted units over the live parts of a client's plan."""
    buckets = [bucket for bucket in grants.buckets if bucket.plan == plan]
    return sum(bucket.used for bucket in buckets), sum(bucket.granted for bucket in buckets)


def _is_reached(percent: int, used: int, granted: int) -> bool:
    return used * 100 * PERCENT_SCALE >= percent * granted


def _note_levels(step: Step, grants: Grants, plans: list[str]) -> None:
    """Notes the levels reached and not yet fired, ascending, plans in the order consumed."""
    for key in plans:
        used, granted = _utilisation(grants, key)
        assert 0 < used <= granted
        fired = grants.plans[key].fired
        levels = sorted(step.state.config.plans[key].thresholds, key=lambda level: level.percent)
        step.units_notified.extend(
            (key, level.percent, level.channels)
            for level in levels
            if level.percent not in fired and _is_reached(level.percent, used, granted)
        )


def notify_levels(step: Step) -> None:
    """Emits the noted levels to billing e-mail and phone; a level without an address stays unfired."""
    if not step.units_notified:
        return
    grants = step.state.grants.find(step.balance.client)
    assert grants is not None
    settings = step.account.settings
    own = {"email": settings.billing_email, "sms": settings.phone}
    for plan, percent, channels in step.units_notified:
        to = [(channel, address) for channel in CHANNELS if channel in channels and (address := own[channel])]
        if not to:
            continue
        grants.plans[plan].fired.append(percent)
        episode = step.account.take_episode()
        text = format_percent(percent)
        for channel, address in to:
            step.notify("time_balance", f"{plan}:{text}", channel, (address,), episode=episode, threshold=text)


def _re_arm(state: State, grants: Grants, plan: str) -> None:
    """Units were added: a level above the utilisation may fire again, 0 % not."""
    used, granted = _utilisation(grants, plan)
    standing = grants.plans[plan]
    standing.fired = [percent for percent in standing.fired if percent == 0 or _is_reached(percent, used, granted)]


def give_back(step: Step, consumed: list[Consumed]) -> None:
    """Gives a refunded charge's units back to buckets that live; the rest is recorded as lost."""
    grants = step.state.grants.find(step.balance.client) or Grants()
    live = {bucket.serial: bucket for bucket in grants.buckets}
    for item in sorted(consumed, key=lambda item: item.grant):
        bucket = live.get(item.serial)
        if bucket is None:
            lost = UnitsExpired(step.balance.client, item.plan, item.grant, item.units, "refund_lost")
            step.units_expired.append(lost)
        else:
            bucket.used -= item.units
            assert bucket.used >= 0
    _keep(step, grants)


def grace_of(state: State, bucket: Bucket) -> int:
    """How long after its end a bucket still covers the part of a usage before it, in microseconds."""
    return state.config.plans[bucket.plan].late_grace_seconds * SECOND


def expires_at(state: State, bucket: Bucket) -> int:
    """When what is left of a bucket is recorded as expired; NEVER: it has no end."""
    closes_at = bucket.closes_at
    return NEVER if closes_at >= NEVER else closes_at + grace_of(state, bucket)


def expire(step: Step) -> None:
    """Records what is due of a client that has had grants as expired, by grant id."""
    grants = step.state.grants.find(step.balance.client)
    assert grants is not None
    due = [bucket for bucket in grants.buckets if expires_at(step.state, bucket) <= step.now]
    if not due:
        return
    for bucket in sorted(due, key=lambda bucket: bucket.grant):
        grants.buckets.remove(bucket)
        _record_expired(step, bucket, bucket.left, "expired")
    step.state.grants.dirty[step.balance.client] = grants


def grants_due(state: State, client: str) -> Iterator[int]:
    """The instants at which buckets of the client expire."""
    grants = state.grants.find(client)
    assert grants is not None
    for bucket in grants.buckets:
        due = expires_at(state, bucket)
        if due < NEVER:
            yield due


def views_of(state: State, client: str) -> list[TimeBalanceView]:
    """The live buckets of a client that has had grants, as the view shows them, by plan and grant."""
    grants = state.grants.find(client)
    assert grants is not None
    return [
        TimeBalanceView(
            bucket.plan,
            bucket.grant,
            bucket.granted,
            bucket.used,
            bucket.left,
            _time_or_none(bucket.closes_at),
            _time_or_none(expires_at(state, bucket)),
        )
        for bucket in sorted(grants.buckets, key=lambda bucket: (bucket.plan, bucket.grant))
    ]


def _time_or_none(instant: int) -> str | None:
    return None if instant >= NEVER else format_time(instant)


