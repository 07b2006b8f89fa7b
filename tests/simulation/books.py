"""The auditor: adds up money and units from what was accepted and what came out, by rules of its own.

It shares no arithmetic with the core: rates are fractions, amounts come from the events, balances from the changes.

Money. A client's live starts at 0 and moves only by its own events: a payment and a refund up, a manual charge and a
reversal down, a charge down by its amount, or by less where units covered it; a transfer by its amount, down at one
side and up at the other. Timers and configuration move none.
Units. Granted = used + left in each bucket; and over a plan's buckets, what is added is granted or given back, and
what goes is consumed or recorded as expired.
"""

from collections import defaultdict
from fractions import Fraction
from functools import lru_cache
from typing import Final

from engine.core.outcome import ACCEPTED
from schemas.events import (
    Adjustment,
    AnyEvent,
    Charge,
    ExchangeRate,
    ExchangeRateDeleted,
    Payment,
    Tick,
    TimeBalance,
    TimeBalancePlan,
    TransferLeg,
    TransferOutcome,
)
from schemas.money import format_money
from schemas.outputs import Change, Notification, UnitsExpired, UsageRejected
from schemas.reasons import Refusal
from tests.simulation.folding import Folded
from tests.simulation.world import Violation

_MICROS: Final = 1_000_000
_AMOUNTS_MAX: Final = 10_000


def check_books(folded: list[list[Folded]]) -> None:
    """Audits every partition, then the transfers between them."""
    moved: dict[str, int] = defaultdict(int)
    for records in folded:
        books = _Books()
        for record in records:
            books.enter(record)
        for currency, amount in books.transferred.items():
            moved[currency] += amount
    if any(moved.values()):
        raise Violation(f"9. transfers do not net to zero: {dict(moved)}")


@lru_cache(maxsize=_AMOUNTS_MAX)
def _micros(text: str) -> int:
    value = Fraction(text) * _MICROS
    if value.denominator != 1:
        raise Violation(f"9. {text} has more than six digits")
    return int(value)


class _Books:
    """One partition's accounts, as the changes show them."""

    def __init__(self) -> None:
        self.transferred: dict[str, int] = defaultdict(int)
        self._views: dict[str, Change] = {}
        self._rates: dict[tuple[str, str], Fraction] = {}
        self._plans: dict[str, TimeBalancePlan] = {}
        self._consumed: dict[tuple[str, str], int] = defaultdict(int)

    def enter(self, record: Folded) -> None:
        event = record.event
        changes = [output for output in record.outputs if isinstance(output, Change)]
        expired = [output for output in record.outputs if isinstance(output, UnitsExpired)]
        accepted = record.answer is ACCEPTED
        if accepted and isinstance(event, ExchangeRate):
            self._rates[event.base, event.quote] = Fraction(event.rate)
        if accepted and isinstance(event, ExchangeRateDeleted):
            del self._rates[event.base, event.quote]
        if accepted and isinstance(event, TimeBalancePlan):
            self._plans[event.plan] = event
        own = self._own_change(record, changes, accepted)
        for change in changes:
            before = self._views.get(change.client)
            self._check_view(change)
            moved = _micros(change.live) - (_micros(before.live) if before is not None else 0)
            if change is own:
                self._check_money(record, change, moved, record.outputs)
            elif moved:
                raise Violation(f"9. {change.client}: live moves by {moved} at {change.at} with no event of its own")
            here = [units for units in expired if units.client == change.client]
            if len([other for other in changes if other.client == change.client]) == 1:
                self._check_units(change, before, here, event if change is own else None)
            self._views[change.client] = change
        for output in record.outputs:
            if isinstance(output, Notification) and output.max is not None and not 0 <= output.sequence <= output.max:
                raise Violation(f"9. {output.notification}: sequence {output.sequence} of {output.max}")

    def _own_change(self, record: Folded, changes: list[Change], accepted: bool) -> Change | None:
        """The change that the event itself made: the last of its client that names it."""
        event = record.event
        client = getattr(event, "client", None)
        if not accepted or client is None or isinstance(event, Refusal | Tick):
            return None
        name = getattr(event, "transfer", event)
        own = [
            change
            for change in changes
            if change.client == client
            and change.cause is not None
            and (change.cause.source, change.cause.id) == (name.source, name.id)
        ]
        if event.__class__.__name__ not in ("Transfer", "TransferLeg", "TransferOutcome") and len(own) != 1:
            raise Violation(f"9. {client}: {len(own)} changes for the accepted {record.entry.value!r}")
        return own[-1] if own else None

    def _check_view(self, change: Change) -> None:
        permanent = change.credit.permanent
        available = None
        if permanent is not None:
            available = _micros(change.live) + _micros(permanent) + _micros(change.credit.temporary)
        shown = None if change.available is None else _micros(change.available)
        if shown != available:
            raise Violation(f"9. {change.client}: available {shown}, expected {available}")
        if change.status != ("exhausted" if available is not None and available <= 0 else "active"):
            raise Violation(f"9. {change.client}: {change.status} with {available} available")
        if _micros(change.unallocated) < 0:
            raise Violation(f"9. {change.client}: {change.unallocated} is unallocated")
        for bucket in change.time_balances:
            if bucket.granted != bucket.used + bucket.left or min(bucket.used, bucket.left) < 0:
                raise Violation(f"9. {change.client}: {bucket}: granted is not used and left")

    def _converted(self, amount: int, source: str | None, target: str) -> int:
        if source is None or source == target:
            return amount
        direct = self._rates.get((source, target))
        rate = direct if direct is not None else 1 / self._rates[target, source]
        return round(amount * rate)  # of a Fraction: half to even

    def _check_money(self, record: Folded, change: Change, moved: int, outputs: list[object] | object) -> None:
        event = record.event
        expected = 0
        match event:
            case Payment():
                expected = self._converted(event.amount, event.currency, change.currency)
            case Adjustment():
                amount = self._converted(event.amount, event.currency, change.currency)
                expected = amount if event.kind == "refund" else -amount
            case TransferLeg():
                expected = event.amount
                self.transferred[change.currency] += moved
            case TransferOutcome():
                expected = -event.amount
                self.transferred[change.currency] += moved
            case Charge():
                amount = self._converted(event.amount, event.currency, change.currency)
                before = self._views.get(event.client)
                covered = event.usage is not None and (
                    (before is not None and before.time_balances)
                    or any(isinstance(output, UsageRejected) for output in record.outputs)
                )
                if covered and -amount <= moved <= 0:
                    return
                expected = -amount
            case _:
                pass
        if moved != expected:
            found, due = format_money(moved), format_money(expected)
            raise Violation(f"9. {change.client}: live moves by {found}, expected {due}: {record.entry.value!r}")

    def _check_units(
        self, change: Change, before: Change | None, expired: list[UnitsExpired], event: AnyEvent | Refusal | None
    ) -> None:
        """Units of each plan over one record: left before + granted + given back = consumed + expired + left after."""
        old = {} if before is None else _left(before)
        new = _left(change)
        gone: dict[str, int] = defaultdict(int)
        for units in expired:
            if units.reason != "refund_lost":
                gone[units.plan] += units.units
            else:
                self._consumed[change.client, units.plan] -= units.units
        for plan in sorted(old.keys() | new.keys() | gone.keys()):
            rest = new.get(plan, 0) + gone[plan] - old.get(plan, 0)
            added = self._granted(change, before, plan, event)
            spare = self._rolled_over(before, plan, event)
            if isinstance(event, Charge):
                self._consumed[change.client, plan] -= rest
                if rest > 0:
                    raise Violation(f"9. {change.client}: a charge adds {rest} units of {plan}")
                if event.usage is None and rest:
                    raise Violation(f"9. {change.client}: a charge of no usage takes {-rest} units of {plan}")
            elif isinstance(event, Adjustment) and event.kind == "refund":
                self._consumed[change.client, plan] -= rest
                if rest < 0:
                    raise Violation(f"9. {change.client}: a refund takes {-rest} units of {plan}")
            elif not added <= rest <= added + spare:
                raise Violation(f"9. {change.client}: {rest} units of {plan} came, {added} were granted")
            if self._consumed[change.client, plan] < 0:
                raise Violation(f"9. {change.client}: more units of {plan} came back than were consumed")

    def _granted(self, change: Change, before: Change | None, plan: str, event: AnyEvent | Refusal | None) -> int:
        if not isinstance(event, TimeBalance) or event.action == "cancel":
            return 0
        owner = event.plan
        if event.action == "top_up":
            there = [*(() if before is None else before.time_balances), *change.time_balances]
            owner = next(bucket.plan for bucket in there if bucket.grant == event.grant)
        if owner != plan:
            return 0
        return self._plans[plan].units if event.units is None else event.units

    def _rolled_over(self, before: Change | None, plan: str, event: AnyEvent | Refusal | None) -> int:
        """How many units the minimum of a rollover may add at most when a plan is renewed."""
        renewed = isinstance(event, TimeBalance) and event.action == "renew" and event.plan == plan
        rollover = self._plans[plan].rollover
        if not renewed or before is None or rollover is None:
            return 0
        return rollover.min * len([bucket for bucket in before.time_balances if bucket.plan == plan])


def _left(change: Change) -> dict[str, int]:
    left: dict[str, int] = defaultdict(int)
    for bucket in change.time_balances:
        left[bucket.plan] += bucket.left
    return left
