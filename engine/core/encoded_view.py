"""The coalesced changes of a commit as bytes: what ``encode_output(view(...))`` gives, sooner.

A change is written for nearly every charge, and nearly all are alike: caused by a charge in the client's currency, no
free units, names without characters that JSON escapes. Those are written as text in one go, a third of the cost of
building the structs and encoding them; all others go the general way. A property holds both to the same bytes.
"""

from collections.abc import Mapping
from functools import lru_cache

from engine.core.outcome import ChangeNote
from engine.core.records import POSTPAID
from engine.core.runway import grown_from, seconds_to_spend
from engine.core.state import State
from engine.core.view import view
from schemas.events import Charge
from schemas.money import format_money
from schemas.outputs import encode_output
from schemas.times import NEVER, format_time


def encoded_views(state: State, changed: Mapping[str, ChangeNote]) -> list[bytes]:
    """One change for each client in ``changed``, of its latest version, in that order; each one line of JSON."""
    balances = state.balances
    written: list[bytes] = []
    last, at, grown = -NEVER, "", 0
    for client, note in changed.items():
        balance, event = balances[client], note.event
        if (
            type(event) is not Charge
            or note.conversion is not None
            or balance.metered
            or '"' in (names := f"{client}{event.source}{event.id}")  # what JSON escapes: ids are printable
            or "\\" in names
        ):
            written.append(encode_output(view(state, balance, note)))
            continue
        now, permanent, live = note.at, balance.permanent, balance.live
        if now != last:
            last, at, grown = now, format_time(now), grown_from(now)
        shown = format_money(live)
        runway = ""
        if permanent is None:
            available, status = "null", "active"
        else:
            left = live + permanent + balance.temporary
            available = f'"{shown if left == live else format_money(left)}"'
            status = "active" if left > 0 else "exhausted"
            if left > 0 and balance.spent_before >= grown:
                seconds = seconds_to_spend(balance, left, now)
                runway = "" if seconds is None else f',"runway":{{"zero_seconds":{seconds}}}'
        capacity = balance.capacity
        written.append(
            (
                f'{{"output":"change","client":"{client}","version":{balance.version},"at":"{at}",'
                f'"cause":{{"source":"{event.source}","id":"{event.id}"}},"currency":"{balance.currency}",'
                f'"model":"{"postpaid" if balance.flags & POSTPAID else "prepaid"}","live":"{shown}",'
                f"{_credit(permanent, balance.temporary, balance.valid_until)},"
                f'"available":{available},"status":"{status}",'
                f'"capacity":{"null" if capacity is None else capacity},'
                f'"unallocated":"{format_money(balance.unallocated) if balance.unallocated else "0"}",'
                f'"time_balances":[]{runway}}}'
            ).encode()
        )
    return written


@lru_cache(maxsize=4096)  # few distinct ones: most clients have the same limit and no temporary increase
def _credit(permanent: int | None, temporary: int, valid_until: int | None) -> str:
    limit = "null" if permanent is None else f'"{format_money(permanent)}"'
    end = "null" if valid_until is None else f'"{format_time(valid_until)}"'
    return f'"credit":{{"permanent":{limit},"temporary":"{format_money(temporary)}","valid_until":{end}}}'
