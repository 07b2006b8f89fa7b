"""What one field alone cannot say of an event: rules between its fields, checked right after it was read."""

from typing import assert_never

from schemas.events import (
    Adjustment,
    AnyEvent,
    Charge,
    Client,
    CreditLimit,
    CustomerClass,
    CustomerClassDeleted,
    ExchangeRate,
    ExchangeRateDeleted,
    Invoice,
    Payment,
    Profile,
    ProfileDeleted,
    Reseller,
    ResellerDeleted,
    Template,
    TemplateDeleted,
    TemporaryCredit,
    Tick,
    TimeBalance,
    TimeBalancePlan,
    TimeBalancePlanDeleted,
    Transfer,
    TransferLeg,
    TransferOutcome,
    User,
    UserDeleted,
)
from schemas.reasons import Reason, Refusal


def check_event(event: AnyEvent) -> Refusal | None:
    """Why an event whose fields are each in order cannot be taken, or None."""
    match event:
        case Adjustment():
            return _check_adjustment(event)
        case TemporaryCredit():
            return _check_temporary_credit(event)
        case TimeBalance():
            return _check_time_balance(event)
        case Profile():
            return _check_distinct("rules: rule", [rule.rule for rule in event.rules])
        case Reseller():
            return _check_reseller(event)
        case TimeBalancePlan():
            return _check_plan(event)
        case ExchangeRate():
            return _check_rate(event)
        case (
            Client() | Charge() | Payment() | CreditLimit() | Invoice() | Transfer() | TransferLeg() | TransferOutcome()
        ):
            pass
        case Template() | CustomerClass() | User() | Tick():
            pass
        case (
            ProfileDeleted()
            | TemplateDeleted()
            | CustomerClassDeleted()
            | ResellerDeleted()
            | UserDeleted()
            | TimeBalancePlanDeleted()
            | ExchangeRateDeleted()
        ):
            pass
        case _:
            assert_never(event)
    return None


def _check_time_balance(event: TimeBalance) -> Refusal | None:
    if event.action in ("grant", "renew") and event.plan is None:
        return Refusal(Reason.MISSING_FIELD, f"plan is needed to {event.action} and was not given")
    return None


def _check_reseller(event: Reseller) -> Refusal | None:
    cap = event.max_temporary_credit
    if cap is not None and cap.amount is not None and cap.percent is not None:
        return Refusal(Reason.BAD_AMOUNT, "max_temporary_credit: expected amount or percent, found both")
    return None


def _check_rate(event: ExchangeRate) -> Refusal | None:
    if event.base == event.quote:
        return Refusal(Reason.BAD_FIELD, f"quote: expected another currency than base, found {event.quote}")
    return None


def _check_adjustment(event: Adjustment) -> Refusal | None:
    if event.amount > 0 or (event.kind == "refund" and event.of is not None):
        return None
    expected = "an amount above 0, or the charge that is undone in of" if event.kind == "refund" else "above 0"
    return Refusal(Reason.BAD_AMOUNT, f"amount: expected {expected}, found 0")


def _check_temporary_credit(event: TemporaryCredit) -> Refusal | None:
    if event.remove:
        if event.amount is not None or event.percent is not None:
            return Refusal(Reason.BAD_AMOUNT, "expected remove or an amount or a percent, found remove and another")
        return None
    if (event.amount is None) == (event.percent is None):
        found = "neither" if event.amount is None else "both"
        return Refusal(Reason.BAD_AMOUNT, f"expected amount or percent, found {found}")
    if event.percent == 0:
        return Refusal(Reason.BAD_AMOUNT, "percent: expected a percentage above 0, found 0")
    return None


def _check_plan(event: TimeBalancePlan) -> Refusal | None:
    window, rollover = event.window, event.rollover
    if window is not None and (window.seconds is None) == (window.until is None):
        return Refusal(Reason.BAD_FIELD, "window: expected seconds or until, one of the two")
    if rollover is not None and rollover.max is not None and rollover.min > rollover.max:
        return Refusal(
            Reason.BAD_FIELD, f"rollover: expected min <= max, found {rollover.min} and {rollover.max}"
        )
    return _check_distinct("thresholds: percent", [threshold.percent for threshold in event.thresholds])


def _check_distinct(what: str, keys: list[str] | list[int]) -> Refusal | None:
    if len(set(keys)) == len(keys):
        return None
    return Refusal(Reason.BAD_FIELD, f"{what} must be unique, found the same one twice")
