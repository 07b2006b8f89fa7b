"""What the clock does: timers fire at their own due instants, in order, before the record that moves it past them."""

from engine.core.credit import expire_temporary
from engine.core.evaluation import dues_of, evaluate, index_due
from engine.core.outcome import Outcome
from engine.core.state import State
from engine.core.step import Step
from engine.core.time_balance import expire
from engine.core.view import shown
from schemas.times import NEVER


def move_clock(state: State, out: Outcome, now: int) -> None:
    """Fires every timer due up to and including ``now``, then sets the clock; an earlier ``now`` counts as present."""
    while state.dues.earliest <= now:
        due, clients = state.dues.pop()
        state.clock = max(state.clock, due)
        for client in clients:
            _fire(state, out, client, due)
    if now > state.clock:
        state.clock = now


def _fire(state: State, out: Outcome, client: str, now: int) -> None:
    """Applies what is due for a client at one instant, then evaluates it once.

    The index may be early: a charge moves inactivity without moving its entry. Then the entry alone is renewed.
    """
    balance, account = state.balances.find(client), state.accounts.find(client)
    assert balance is not None
    assert account is not None
    assert account.due == now
    account.due = NEVER
    if now not in dues_of(state, balance, account):
        index_due(state, balance, account, now)
        state.accounts.dirty[client] = account
        return
    out.timers += 1
    before = shown(state, balance)
    step = Step(state, out, balance, account, now, None)
    expire_temporary(step)
    if balance.metered:
        expire(step)
    evaluate(step)
    step.emit(changed=shown(state, balance) != before)
