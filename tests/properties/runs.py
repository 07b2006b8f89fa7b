"""Running histories through the fold in the ways that properties compare."""

import json
import os
from collections.abc import Iterator, Sequence
from typing import Final

import msgspec

from engine.core.fold import Record, fold, new_outcome
from engine.core.outcome import Answer
from engine.core.state import State
from engine.replay import fold_whole
from schemas.codec import decode_line
from schemas.outputs import AnyOutput, encode_output
from tests.properties.drafts import Json

HISTORIES: Final = int(os.environ.get("PLIMSOLL_HISTORIES", "24"))
"""How many seeded histories each property looks at; the variable asks for more than continuous integration does."""

_encode = msgspec.msgpack.Encoder().encode


class Folded(msgspec.Struct, frozen=True):
    """What became of one line: the line, its event where it is a JSON object, its answer, its outputs."""

    line: bytes
    event: Json | None
    answer: Answer
    outputs: list[Json]


def record_of(line: bytes) -> Record:
    """A line as a record of the log."""
    decoded = decode_line(line)
    return Record(decoded.at, decoded.event, line)


def folded(lines: Sequence[bytes], state: State) -> Iterator[Folded]:
    """Each line in turn, with the legs of transfers at once, as ``replay`` does it."""
    for line in lines:
        out = fold_whole(state, record_of(line))
        yield Folded(line, _object_of(line), out.answers[0], _plain(out.outputs))


def _object_of(line: bytes) -> Json | None:
    try:
        event = json.loads(line)
    except ValueError:
        return None
    return event if isinstance(event, dict) else None


def _plain(outputs: Sequence[AnyOutput]) -> list[Json]:
    return [json.loads(encode_output(output)) for output in outputs]


def log_of(lines: Sequence[bytes]) -> list[Record]:
    """The log that a history makes: its records, and after each transfer the engine's own, as they were appended."""
    state = State()
    log: list[Record] = []
    for line in lines:
        pending = [record_of(line)]
        while pending:
            out = new_outcome()
            fold(state, pending, out)
            log += pending
            pending = [Record(state.clock, leg, b"") for leg in out.legs]
    return log


def state_bytes(state: State) -> bytes:
    """All that a state keeps of clients and configuration, and its clock."""
    tables = [sorted(table.items()) for table in state.tables]
    return _encode((state.clock, tables, list(state.config.definitions())))


def accepted(folded: Folded) -> bool:
    """Whether a line was taken: not a duplicate, and nothing of it refused, now or by a transfer's receiver."""
    refused = any(output["output"] == "rejection" for output in folded.outputs)
    return not refused and getattr(folded.answer, "name", None) == "accepted"
