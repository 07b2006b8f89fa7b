"""Small histories as tests write them: events by their fields, folded into a state as ``replay`` does."""

import json
from collections.abc import Iterable, Sequence

from engine.core.fold import Record, new_outcome
from engine.core.state import State
from engine.core.timers import move_clock
from engine.replay import fold_whole
from schemas.codec import decode_line
from schemas.times import parse_time

DAY_ZERO = 2


def at(time: str) -> str:
    """``d0 10:00`` or ``d0 10:00:30``: a day of March 2026, counted from the 2nd, in UTC."""
    day, clock = time.split(" ")
    clock = clock if clock.count(":") == 2 else f"{clock}:00"
    return f"2026-03-{DAY_ZERO + int(day[1:]):02d}T{clock}Z"


def event(time: str, type: str, client: str = "", **fields: object) -> dict[str, object]:
    """An event; ``id`` defaults to its type and time, ``source`` to ``s``."""
    name = {"client": client} if client else {}
    return {"type": type, "time": at(time), "source": "s", "id": f"{type}@{time}".replace(" ", "_"), **name, **fields}


def lines_of(events: Iterable[dict[str, object]]) -> list[bytes]:
    """The events as lines of a replay file."""
    return [json.dumps(fields).encode() for fields in events]


def records_of(lines: Iterable[bytes]) -> list[Record]:
    """The lines as records of a log."""
    decoded = [(decode_line(line), line) for line in lines]
    return [Record(line.at, line.event, raw) for line, raw in decoded]


def folded(events: Sequence[dict[str, object]], *, until: str | None = None) -> State:
    """The state after the events, and after the clock has reached ``until``."""
    state = State()
    for record in records_of(lines_of(events)):
        fold_whole(state, record)
    if until is not None:
        move_clock(state, new_outcome(), parse_time(at(until)))
    return state
