"""``plimsoll replay``: a file of events through the core, in memory, every output in order (contract, "Commands")."""

from collections.abc import Iterable, Iterator

from engine.core.fold import Record, fold, new_outcome
from engine.core.outcome import Outcome
from engine.core.state import State
from engine.core.timers import move_clock
from schemas.codec import decode_line
from schemas.outputs import AnyOutput, Change, encode_output

_BOM = b"\xef\xbb\xbf"


def replay(lines: Iterable[bytes], *, until: int | None = None, final: bool = False) -> Iterator[bytes]:
    """Every output of a history as one line of JSON each, without its line feed.

    ``lines``: one event each, with or without line endings. ``until``: the clock is moved there at the end, in
    microseconds. ``final``: only the last change of each client, by client id. Raises nothing for what a line holds.
    """
    state = State()
    last: dict[str, Change] = {}
    for outputs in _fold_lines(state, lines, until):
        if final:
            last.update((output.client, output) for output in outputs if isinstance(output, Change))
        else:
            yield from map(encode_output, outputs)
    for _, change in sorted(last.items()):
        yield encode_output(change)


def _fold_lines(state: State, lines: Iterable[bytes], until: int | None) -> Iterator[list[AnyOutput]]:
    first = True
    for line in lines:
        raw = line.strip(b"\r\n \t")
        if first:
            raw, first = raw.removeprefix(_BOM), False
        if raw:
            decoded = decode_line(raw)
            yield fold_whole(state, Record(decoded.at, decoded.event, raw)).outputs
    if until is not None:
        out = new_outcome(every_change=True)
        move_clock(state, out, until)
        yield out.outputs


def fold_whole(state: State, record: Record) -> Outcome:
    """Folds one record and at once the legs of a transfer: the sender's outputs, then the receiver's."""
    out = new_outcome(every_change=True)
    fold(state, (record,), out)
    while out.legs:
        legs, received = out.legs, new_outcome(every_change=True)
        fold(state, [Record(state.clock, leg, b"") for leg in legs], received)
        outcomes, settled = received.legs, new_outcome(every_change=True)
        fold(state, [Record(state.clock, outcome, b"") for outcome in outcomes], settled)
        out.outputs += settled.outputs + received.outputs
        out.legs = settled.legs
    return out
