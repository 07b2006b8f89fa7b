"""Permanent and temporary credit, with caps, history and expiry (semantics 2)."""

from engine.core.configuration import Config
from engine.core.records import Account, Balance
from engine.core.step import Step
from schemas.events import CreditCap, CreditLimit, TemporaryCredit
from schemas.money import MICROS_MAX, format_money, percent_of
from schemas.outputs import TemporaryCreditMax
from schemas.reasons import Reason, Refusal
from schemas.times import DAY, format_time


def set_limit(step: Step, event: CreditLimit) -> Refusal | None:
    """Sets the permanent limit; a raise is a refill."""
    limit = event.limit
    if limit is not None:
        converted = step.converted(limit, event.currency)
        if isinstance(converted, Refusal):
            return converted
        limit = converted
    balance = step.balance
    old = balance.permanent
    if limit is not None and abs(balance.live + limit + balance.temporary) > MICROS_MAX:
        return _credit_does_not_fit(limit)
    balance.permanent = limit
    step.wake(moved=False)
    step.refilled = old is not None and (limit is None or limit > old)
    if limit != old:
        step.record_credit("permanent", old, limit, event.actor, event.reason)
    return None


def change_temporary(step: Step, event: TemporaryCredit) -> Refusal | None:
    """Grants, replaces or removes the temporary increase; a raise is a refill."""
    balance = step.balance
    old = balance.temporary
    if event.remove:
        if not balance.postpaid:
            return _not_postpaid()
        if old == 0:
            return Refusal(Reason.NOTHING_TO_REMOVE, "there is no temporary increase to remove")
        new, valid_until = 0, None
    else:
        amount = _amount_of(step, event)
        refusal = amount if isinstance(amount, Refusal) else _check_grant(step, event, amount)
        if isinstance(amount, Refusal) or refusal is not None:
            return refusal
        new, valid_until = amount, event.valid_until
        step.percent = event.percent
    balance.temporary, balance.valid_until = new, valid_until
    step.wake(moved=False)
    step.refilled = new > old
    step.record_credit("temporary", old, new, event.actor, event.reason)
    return None


def _amount_of(step: Step, event: TemporaryCredit) -> int | Refusal:
    """The amount to grant; a percentage is frozen to an amount of the positive permanent limit.

    Refusals in the contract's order: the time, the amount and its rate, the model, the limit.
    """
    if event.valid_until is not None and event.valid_until <= step.now:
        message = f"valid_until: expected a time after {format_time(step.now)}, found {format_time(event.valid_until)}"
        return Refusal(Reason.BAD_TIME, message)
    amount = None if event.amount is None else step.converted_positive(event.amount, event.currency)
    if isinstance(amount, Refusal):
        return amount
    if not step.balance.postpaid:
        return _not_postpaid()
    if event.percent is None:
        assert amount is not None
        return amount
    permanent = step.balance.permanent
    if permanent is None or permanent <= 0:
        found = "unlimited" if permanent is None else format_money(permanent)
        message = f"percent: expected a client with a positive permanent limit, found {found}; give an amount instead"
        return Refusal(Reason.NO_LIMIT, message)
    return percent_of(event.percent, permanent)


def _check_grant(step: Step, event: TemporaryCredit, amount: int) -> Refusal | None:
    balance = step.balance
    if amount == 0:
        return Refusal(Reason.BAD_AMOUNT, "percent: less than a micro-unit of the limit is left")
    if balance.permanent is not None and abs(balance.live + balance.permanent + amount) > MICROS_MAX:
        return _credit_does_not_fit(amount)
    reseller = step.account.settings.reseller
    cap = None if reseller is None else step.state.config.resellers[reseller].max_temporary_credit
    return None if cap is None else _check_cap(step, cap, event, amount)


def cap_amount(cap: CreditCap, permanent: int | None) -> int | None:
    """The most that may be granted: an amount, or a percentage of the positive permanent limit, without one 0."""
    if cap.amount is not None:
        return cap.amount
    if cap.percent is None:
        return None
    return 0 if permanent is None or permanent <= 0 else percent_of(cap.percent, permanent)


def temporary_credit_max(config: Config, balance: Balance, account: Account, now: int) -> TemporaryCreditMax | None:
    """What a temporary increase asked for at ``now`` may be at the most; None for a prepaid client, who may have none.

    A grant of exactly that is accepted, one of more is above_cap.
    """
    if not balance.postpaid:
        return None
    reseller = account.settings.reseller
    cap = None if reseller is None else config.resellers[reseller].max_temporary_credit
    if cap is None:
        return TemporaryCreditMax(None, None, None)
    most = cap_amount(cap, balance.permanent)
    return TemporaryCreditMax(
        None if most is None else format_money(most),
        cap.days,
        None if cap.days is None else format_time(now + cap.days * DAY),
    )


def _check_cap(step: Step, cap: CreditCap, event: TemporaryCredit, amount: int) -> Refusal | None:
    most = cap_amount(cap, step.balance.permanent)
    if most is not None and amount > most:
        message = f"amount: the cap is {format_money(most)} {step.balance.currency}, found {format_money(amount)}"
        return Refusal(Reason.ABOVE_CAP, message)
    if cap.days is not None:
        last = step.now + cap.days * DAY
        if event.valid_until is None or event.valid_until > last:
            found = "no end" if event.valid_until is None else format_time(event.valid_until)
            message = f"valid_until: the cap is {cap.days} days, until {format_time(last)}, found {found}"
            return Refusal(Reason.ABOVE_CAP, message)
    return None


def expire_temporary(step: Step) -> bool:
    """At its end the increase is gone, with no traffic; whether it was due."""
    balance = step.balance
    if balance.valid_until is None or balance.valid_until > step.now:
        return False
    step.record_credit("temporary", balance.temporary, 0, None, "expired")
    balance.temporary, balance.valid_until = 0, None
    step.temporary_expired = True
    return True


def _not_postpaid() -> Refusal:
    return Refusal(Reason.NOT_POSTPAID, "a temporary increase is for postpaid clients; this one is prepaid")


def _credit_does_not_fit(micros: int) -> Refusal:
    return Refusal(Reason.BAD_AMOUNT, f"limit: available with a credit of {format_money(micros)} does not fit 63 bits")
