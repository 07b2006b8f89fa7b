"""How many events a second does the core fold, with full semantics and no I/O?

Bar: >= 250,000 events/s a core, 100,000 clients, one rule each. Records are decoded beforehand; identity, dedupe,
rules, trigger levels, notifications and change notes are in; the dedupe window is in memory and starts each run empty
(``benchmarks.dedupe`` measures a full one in the store). Time is the thread's own processor time.
"""

import gc
import time

from benchmarks.report import spread, table
from benchmarks.workload import charges, client, configuration, payment
from engine.collector import spare_collector
from engine.core.encoded_view import encoded_views
from engine.core.fold import Record, fold, new_outcome
from engine.core.state import MemorySeen, State
from schemas.codec import decode
from schemas.times import parse_time

_BATCH = 2_000
_EVENTS = 200_000
_RUNS = 5


def records(raws: list[bytes], at: int) -> list[Record]:
    """Decoded records of one log time."""
    return [Record(at, decode(raw), raw) for raw in raws]


def prepared(clients: int) -> State:
    """A state with that many awake clients."""
    state, at = State(), parse_time("2026-03-01T10:00:00Z")
    fold(state, records(configuration(), at), new_outcome())
    for first in range(0, clients, 10_000):
        numbers = range(first, min(first + 10_000, clients))
        fold(state, records([client(number) for number in numbers], at), new_outcome())
        fold(state, records([payment(number) for number in numbers], at), new_outcome())
    return state


def measure(clients: int) -> tuple[list[float], list[float]]:
    """Events a second of the fold alone, and with the coalesced changes built and the state marked clean."""
    spare_collector()  # as the product does
    state, at = prepared(clients), parse_time("2026-03-01T11:00:00Z")
    folds: list[float] = []
    wholes: list[float] = []
    for run in range(_RUNS):
        state.seen = MemorySeen()
        batch = records(list(charges(clients, _EVENTS, run)), at + run)
        gc.collect()
        gc.freeze()
        fold_seconds = view_seconds = 0.0
        for first in range(0, _EVENTS, _BATCH):
            part = batch[first : first + _BATCH]
            started = time.thread_time()
            outcome = new_outcome()
            fold(state, part, outcome)
            folded = time.thread_time()
            encoded_views(state, outcome.changed)
            view_seconds += time.thread_time() - folded
            fold_seconds += folded - started
            for table_of_state in state.tables:
                table_of_state.dirty.clear()
        folds.append(_EVENTS / fold_seconds)
        wholes.append(_EVENTS / (fold_seconds + view_seconds))
    return folds, wholes


def main() -> str:
    """The table of this question."""
    rows = []
    for clients in (1_000, 100_000):
        folds, wholes = measure(clients)
        rows.append([f"{clients:,}", spread(folds), spread(wholes)])
    return table(
        f"Core fold, events/s on one core ({_EVENTS:,} charges in batches of {_BATCH:,}; {_RUNS} runs, median, range)",
        ["clients", "fold with dedupe", "and coalesced changes written"],
        rows,
    )


if __name__ == "__main__":
    print(main())
