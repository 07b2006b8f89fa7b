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
    """One change for each client in ``changed``, of its latest version, in that order; each one line of JSON.

    ``state`` is as the fold left it, not marked clean yet: whoever has a new version is among what it wrote.
    """
    balances = state.balances.dirty  # what the fold has just touched: a look-up here finds it in the processor's cache
    written: list[bytes] = []
    last, caused, grown = -NEVER, "", 0
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
        now, permanent, temporary, live = note.at, balance.permanent, balance.temporary, balance.live
        if now != last:
            last, grown = now, grown_from(now)
            caused = f',"at":"{format_time(now)}","cause":{{"source":"'
        to_live, to_available, to_unallocated = _settings(
            balance.currency, balance.flags, permanent, temporary, balance.valid_until, balance.capacity
        )
        shown = format_money(live)
        runway = ""
        if permanent is None:
            available = 'null,"status":"active'
        else:
            left = live + permanent + temporary
            status = "active" if left > 0 else "exhausted"
            available = f'"{shown if left == live else format_money(left)}","status":"{status}'
            if left > 0 and balance.spent_before >= grown:
                seconds = seconds_to_spend(balance, left, now)
                runway = "" if seconds is None else f',"runway":{{"zero_seconds":{seconds}}}'
        unallocated = format_money(balance.unallocated) if balance.unallocated else "0"
        written.append(
            (
                f'{{"output":"change","client":"{client}","version":{balance.version}{caused}{event.source}","id":"'
                f"{event.id}{to_live}{shown}{to_available}{available}{to_unallocated}{unallocated}"
                f'","time_balances":[]{runway}}}'
            ).encode()
        )
    return written


@lru_cache(maxsize=4096)  # few distinct ones: most clients are set alike, without a temporary increase
def _settings(
    currency: str, flags: int, permanent: int | None, temporary: int, valid_until: int | None, capacity: int | None
) -> tuple[str, str, str]:
    """What stands between the parts that a charge alters: id and live, live and available, status and unallocated."""
    model = "postpaid" if flags & POSTPAID else "prepaid"
    limit = "null" if permanent is None else f'"{format_money(permanent)}"'
    end = "null" if valid_until is None else f'"{format_time(valid_until)}"'
    credit = f'{{"permanent":{limit},"temporary":"{format_money(temporary)}","valid_until":{end}}}'
    return (
        f'"}},"currency":"{currency}","model":"{model}","live":"',
        f'","credit":{credit},"available":',
        f'","capacity":{"null" if capacity is None else capacity},"unallocated":"',
    )
