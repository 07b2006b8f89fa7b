"""A client's settings: creation and replacement, whole (contract, ``client``; semantics 2, "model, status")."""

from sys import intern

from engine.core.configuration import CLIENT_REFERENCES
from engine.core.evaluation import evaluate
from engine.core.outcome import Outcome
from engine.core.records import Account, Balance
from engine.core.state import State
from engine.core.step import Step
from schemas.events import Client
from schemas.reasons import Reason, Refusal


def put_client(state: State, out: Outcome, event: Client, now: int) -> Refusal | None:
    """Creates a client, or replaces its settings; money and counters stay."""
    refusal = state.config.unknown_in(event)
    if refusal is not None:
        return refusal
    balance = state.balances.find(event.client)
    if balance is None:
        balance = Balance(event.client, intern(event.currency))
        balance.postpaid = event.model == "postpaid"
        account = Account(event, now)
        state.balances.put(event.client, balance)
        state.accounts.put(event.client, account)
        old = None
    else:
        existing = state.accounts.find(event.client)
        assert existing is not None
        account = existing
        refusal = _check_fixed(balance, event)
        if refusal is not None:
            return refusal
        old, account.settings = account.settings, event
        balance.currency, balance.postpaid = event.currency, event.model == "postpaid"
    for kind in CLIENT_REFERENCES:
        state.references.move(kind, event.client, None if old is None else getattr(old, kind), getattr(event, kind))
    step = Step(state, out, balance, account, now, event)
    evaluate(step)
    step.emit(changed=True)
    return None


def _check_fixed(balance: Balance, event: Client) -> Refusal | None:
    if balance.moved and event.currency != balance.currency:
        message = f"currency: fixed to {balance.currency} since money has moved, found {event.currency}"
        return Refusal(Reason.FIXED, message)
    model = "postpaid" if balance.postpaid else "prepaid"
    if event.model != model and (balance.moved or balance.temporary > 0):
        message = f"model: fixed to {model} since money or temporary credit was given, found {event.model}"
        return Refusal(Reason.FIXED, message)
    return None
