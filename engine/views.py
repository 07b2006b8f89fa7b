"""What a reader sees of a partition's state between two commits. Both runtimes answer with it."""

from functools import partial
from typing import TypeVar

from msgspec.structs import replace

from engine.core.credit import temporary_credit_max
from engine.core.outcome import ChangeNote
from engine.core.state import State, Table
from engine.core.view import view, with_thresholds
from schemas.outputs import encode_output

T = TypeVar("T")


def client_view(state: State, client: str) -> bytes | None:
    """The client's view; ``at`` is the log time of its partition now, ``cause`` is null: nothing caused a look."""
    balance = state.balances.find(client)
    account = state.accounts.find(client)
    if balance is None or account is None:
        return None
    change = view(state, balance, ChangeNote(state.clock, None))
    most = temporary_credit_max(state.config, balance, account, state.clock)
    return encode_output(replace(with_thresholds(state, balance, account, change), temporary_credit_max=most))


def read_through(state: State) -> State:
    """The same state, read through: what a reader loads is not kept, or readers of many clients would fill the memory
    and push out the ones that charges need."""
    return State(
        balances=_through(state.balances),
        accounts=_through(state.accounts),
        ledgers=_through(state.ledgers),
        grants=_through(state.grants),
        config=state.config,
        dues=state.dues,
        references=state.references,
        seen=state.seen,
        clock=state.clock,
    )


def _through(table: Table[T]) -> Table[T]:
    """A table that finds what the other has in memory or in the store, and adds nothing to it."""
    return Table(partial(_find, table))


def _find(table: Table[T], client: str) -> T | None:
    found = table.get(client)
    return table.load(client) if found is None and table.load is not None else found
