"""One record's work on one client: what the decision reads, and what it has decided so far.

The order of a step is fixed: guards, then compute, then assign, then ``settle`` evaluates the client once and emits
in the order of semantics 6.
"""

from typing import Literal

from engine.core.configuration import Conversion
from engine.core.outcome import ChangeNote, Outcome, cause_of
from engine.core.records import Account, Balance
from engine.core.state import State
from schemas.events import AnyEvent, Channel
from schemas.money import MICROS_MAX, format_money
from schemas.outputs import CreditHistory, Kind, Notification, UnitsExpired, UsageRejected
from schemas.reasons import Reason, Refusal
from schemas.times import format_time


class Step:
    """One client, one record, one instant. ``now`` is log time in microseconds; ``cause`` None is the clock."""

    __slots__ = (
        "account",
        "balance",
        "cause",
        "charged",
        "conversion",
        "event",
        "history",
        "notifications",
        "now",
        "out",
        "paid",
        "percent",
        "refilled",
        "state",
        "temporary_expired",
        "units_expired",
        "units_notified",
        "usage_rejected",
    )

    def __init__(
        self, state: State, out: Outcome, balance: Balance, account: Account, now: int, event: AnyEvent | None
    ) -> None:
        self.state = state
        self.out = out
        self.balance = balance
        self.account = account
        self.now = now
        self.event = event
        self.cause = cause_of(event)
        self.history: list[CreditHistory] = []
        self.usage_rejected: list[UsageRejected] = []
        self.units_expired: list[UnitsExpired] = []
        self.notifications: list[Notification] = []
        self.units_notified: list[tuple[str, int, tuple[Channel, ...]]] = []
        self.refilled = False
        self.paid = False
        self.charged = False
        self.temporary_expired = False
        self.conversion: Conversion | None = None
        self.percent: int | None = None

    def converted(self, micros: int, currency: str | None) -> int | Refusal:
        """An event's amount in the client's currency, the rate noted for the change (semantics 1)."""
        if currency is None or currency == self.balance.currency:
            return micros
        conversion = self.state.config.conversion(currency, self.balance.currency)
        if conversion is None:
            message = f"no exchange rate between {currency} and {self.balance.currency}: define one and send again"
            return Refusal(Reason.NO_RATE, message)
        result = conversion.convert(micros)
        if abs(result) > MICROS_MAX:
            return does_not_fit(result)
        self.conversion = conversion
        return result

    def converted_positive(self, micros: int, currency: str | None) -> int | Refusal:
        """As ``converted``, for an amount that must be above 0 after the conversion too."""
        result = self.converted(micros, currency)
        if result == 0:
            return Refusal(Reason.BAD_AMOUNT, f"amount: less than a micro-unit of {self.balance.currency} is left")
        return result

    def wake(self, *, moved: bool) -> None:
        """The client's first money event wakes its rules; money that moved fixes its currency and model."""
        self.balance.awake = True
        if moved:
            self.balance.moved = True

    def notify(
        self,
        kind: Kind,
        rule: str,
        channel: Channel,
        to: tuple[str, ...],
        *,
        episode: int,
        sequence: int = 1,
        sequence_max: int | None = None,
        threshold: str | None = None,
        threshold_currency: str | None = None,
        next_at: int | None = None,
        runway_seconds: int | None = None,
    ) -> None:
        """Decides one notification; its id is the same whenever it is decided again (semantics 6)."""
        balance = self.balance
        credit, available = balance.credit, balance.available
        self.notifications.append(
            Notification(
                notification=f"{balance.client}/{kind}/{rule}/{episode}/{sequence}/{channel}",
                client=balance.client,
                kind=kind,
                rule=rule,
                episode=episode,
                sequence=sequence,
                max=sequence_max,
                channel=channel,
                to=to,
                at=format_time(self.now),
                threshold=threshold,
                available=None if available is None else format_money(available),
                live=format_money(balance.live),
                credit=None if credit is None else format_money(credit),
                currency=balance.currency,
                capacity=balance.capacity,
                next_at=None if next_at is None else format_time(next_at),
                cause=self.cause,
                threshold_currency=threshold_currency,
                language=self.account.settings.language,
                runway_seconds=runway_seconds,
            )
        )

    def record_credit(
        self,
        part: Literal["permanent", "temporary"],
        old: int | None,
        new: int | None,
        actor: str | None,
        why: str | None,
    ) -> None:
        """One line of credit history (semantics 2)."""
        self.history.append(
            CreditHistory(
                client=self.balance.client,
                at=format_time(self.now),
                actor=actor,
                part=part,
                from_=None if old is None else format_money(old),
                to=None if new is None else format_money(new),
                reason=why,
                cause=self.cause,
            )
        )

    def emit(self, *, changed: bool) -> None:
        """Counts the version and hands everything over in the order of semantics 6."""
        out = self.out
        if changed:
            self.balance.version += 1
            note = ChangeNote(self.now, self.event, self.conversion, self.percent)
            out.change(self.state, self.balance, note)
        out.outputs.extend(self.history)
        out.outputs.extend(self.usage_rejected)
        self.units_expired.sort(key=lambda expired: expired.grant)
        out.outputs.extend(self.units_expired)
        out.outputs.extend(self.notifications)


def does_not_fit(micros: int) -> Refusal:
    """The refusal of a result beyond 63 bits."""
    largest = format_money(MICROS_MAX)
    return Refusal(Reason.BAD_AMOUNT, f"amount: the result {format_money(micros)} does not fit, at most {largest}")


def misfit(balance: Balance, live: int) -> Refusal | None:
    """Why that live balance, or the available balance with it, cannot be held; None if it can."""
    if abs(live) > MICROS_MAX:
        return does_not_fit(live)
    credit = balance.credit
    if credit is not None and abs(live + credit) > MICROS_MAX:
        return does_not_fit(live + credit)
    return None


