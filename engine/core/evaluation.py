"""The one evaluation of a client after what happened to it was applied (semantics 6, order; 2, status; 3)."""

from engine.core.capacity import capacity_rule
from engine.core.low_balance import evaluate_rules, rule_dues, rule_trigger
from engine.core.records import TRIGGER_ALWAYS, TRIGGER_NEVER, Account, Balance, shared
from engine.core.state import State
from engine.core.step import Step
from engine.core.time_balance import grants_due, notify_levels
from engine.core.warnings import evaluate_warnings, warning_trigger
from schemas.outputs import Kind
from schemas.times import NEVER


def evaluate(step: Step) -> None:
    """Evaluates capacity, status, warnings and rules, then sets the trigger level and the next due instant."""
    balance, account, state = step.balance, step.account, step.state
    available = balance.available
    capacity = capacity_rule(account.settings, state.config)
    balance.capacity = capacity.at(available)
    was_exhausted, balance.exhausted = balance.exhausted, available is not None and available <= 0
    if balance.awake:
        notify_levels(step)
        _notify_expiry(step)
        _notify_exhausted(step, was_exhausted)
        evaluate_warnings(step)
        evaluate_rules(step)
        account.evaluated_at = step.now
    balance.trigger = _trigger(state, balance, account, capacity.threshold if capacity.low is not None else None)
    index_due(state, balance, account, step.now)
    state.balances.dirty[balance.client] = balance
    state.accounts.dirty[balance.client] = account


def _notify_expiry(step: Step) -> None:
    if step.temporary_expired:
        _notify_billing(step, "temporary_credit_expired", "temporary_credit", None)


def _notify_exhausted(step: Step, was_exhausted: bool) -> None:
    if step.balance.exhausted and not was_exhausted:
        _notify_billing(step, "exhausted", "status", "0")


def _notify_billing(step: Step, kind: Kind, rule: str, threshold: str | None) -> None:
    """By e-mail to the billing e-mail; no address: nothing, and it is not caught up."""
    address = step.account.settings.billing_email
    if address is None:
        return
    currency = None if threshold is None else step.balance.currency
    episode = step.account.take_episode()
    step.notify(kind, rule, "email", (address,), episode=episode, threshold=threshold, threshold_currency=currency)


def _trigger(state: State, balance: Balance, account: Account, capacity_threshold: int | None) -> int:
    if not balance.awake or not balance.moved:
        return TRIGGER_ALWAYS
    trigger = max(TRIGGER_NEVER, warning_trigger(balance, account), rule_trigger(state.config, balance, account))
    credit, available = balance.credit, balance.available
    if credit is not None and available is not None:
        trigger = max(trigger, TRIGGER_NEVER - credit)
        if capacity_threshold is not None and available > capacity_threshold:
            trigger = max(trigger, capacity_threshold - credit)
        if available > 0:
            trigger = max(trigger, -credit)
    return shared(trigger)


def dues_of(state: State, balance: Balance, account: Account) -> list[int]:
    """Every instant at which the clock has something to do for the client, as things now stand."""
    dues = rule_dues(state.config, balance, account) if balance.awake else []
    if balance.valid_until is not None:
        dues.append(balance.valid_until)
    if balance.metered:
        dues.extend(grants_due(state, balance.client))
    return dues


def index_due(state: State, balance: Balance, account: Account, now: int) -> None:
    """Moves the client's entry in the due-time index to the earliest instant after ``now``."""
    due = min((due for due in dues_of(state, balance, account) if due > now), default=NEVER)
    if due != account.due:
        state.dues.move(balance.client, account.due, due)
        account.due = due
