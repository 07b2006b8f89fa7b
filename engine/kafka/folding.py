"""A batch of records into a partition; one that the engine cannot apply is isolated, never skipped.

Beside events, `events` holds what carries the engine's mark: its own records, configuration with its revision (ADR 19),
and records that were moved from another log (ADR 20).
"""

from collections.abc import Callable, Iterable, Sequence
from itertools import groupby
from typing import Final

import msgspec

from engine.core.configuration import key_of
from engine.core.configured import check_configuration
from engine.core.fold import Record, fold, new_outcome
from engine.core.identity import check_repeat, content_of, identity_of
from engine.core.outcome import ACCEPTED, DUPLICATE, Answer, Outcome
from engine.core.state import State
from engine.failures import OperationalError
from engine.kafka.source import EventRecord
from engine.partition.partition import Partition
from engine.partition.revisions import Decided, Revisions
from schemas.codec import decode, decode_charges
from schemas.events import AnyEvent, Charge, ConfigEvent, Configuration, Deleted, Tick
from schemas.readers import tag_of
from schemas.reasons import Reason, Refusal

ENGINE_HEADER = "plimsoll-engine"
"""The mark of the engine's own records. Who may write to `events` besides it is for the cluster's ACLs to say."""
REVISION_HEADER: Final = "plimsoll-revision"
"""The revision of a configuration event, in decimal digits: beside the mark, from the one who writes configuration."""
ASK_HEADER: Final = "plimsoll-ask"
"""Configuration that is not to be applied: each partition decides what would become of it."""
MOVED_HEADER: Final = "plimsoll-moved"
"""The log time in microseconds of a record that was moved, or nothing where it moved no clock. What the engine wrote
on account of it was moved with it."""
REFUSED_HEADER: Final = "plimsoll-refused"
"""Why the log that a record was moved from refused it, as a JSON array of reason and sentence."""

_decode_refused = msgspec.json.Decoder(tuple[Reason, str]).decode


class Revised(Record, frozen=True, gc=False):
    """Configuration from its writer, or its question; ``kind`` and ``key`` say of what."""

    revision: int
    asks: bool
    kind: str
    key: str


class Moved(Record, frozen=True, gc=False):
    """A record of another log. The legs that it once caused are in this log as they were."""


def read_records(records: Sequence[EventRecord]) -> list[Record]:
    """``read_record`` of each, with fewer calls for charges, which nearly all are."""
    raws = [record.value or b"" for record in records]
    read: list[Record] = []
    append = read.append
    appended_ms: int | None = None
    at = 0  # of ``appended_ms``: one number for all records of one moment
    for record, raw, charge in zip(records, raws, decode_charges(raws), strict=True):
        if charge is None or (record.headers and ENGINE_HEADER in dict(record.headers)):
            append(read_record(record))
            continue
        if record.timestamp != appended_ms:
            appended_ms = record.timestamp
            at = appended_ms * 1000
        append(Record(at, charge, raw))
    return read


def read_record(record: EventRecord) -> Record:
    """A record of `events`: log time is its append time. What is no JSON moves no clock (semantics 1)."""
    raw = record.value or b""
    if record.headers:
        marks = dict(record.headers)
        if ENGINE_HEADER in marks:
            return _read_marked(record.timestamp * 1000, raw, marks)
    event = decode(raw)
    if type(event) is not Charge:
        if isinstance(event, ConfigEvent):
            event = _not_from_its_writer(event)
        elif isinstance(event, Refusal) and event.reason is Reason.MALFORMED:
            return Record(None, event, raw)
    return Record(record.timestamp * 1000, event, raw)


def _read_marked(appended_at: int, raw: bytes, marks: dict[str, bytes]) -> Record:
    at: int | None = appended_at
    moved = marks.get(MOVED_HEADER)
    if moved is not None:
        at = int(moved) if moved else None
    refused = marks.get(REFUSED_HEADER)
    if refused is not None:
        return Moved(at, Refusal(*_decode_refused(refused)), raw)
    event = decode(raw, engine=True)
    if isinstance(event, ConfigEvent):
        revision = marks.get(REVISION_HEADER, b"")
        if not revision.isdigit():
            return Record(at, _not_from_its_writer(event), raw)
        kind, key = key_of(event)
        return Revised(at, event, raw, int(revision), ASK_HEADER in marks, kind, key)
    if isinstance(event, Refusal) and event.reason is Reason.MALFORMED:
        at = None
    return Record(at, event, raw) if moved is None else Moved(at, event, raw)


def _not_from_its_writer(event: Configuration | Deleted) -> Refusal:
    """Configuration of an ordinary producer: of one partition, without a revision, and so never the same everywhere."""
    tag = tag_of(type(event))
    message = f"type: {tag!r} comes to this log through the writer of configuration only; send it by `plimsoll publish`"
    return Refusal(Reason.UNKNOWN_TYPE, message)


class Folding:
    """A batch on its way into a partition, in steps, so that other tasks come to run between them.

    ``partition`` holds the result so far, ``outcome`` what came of it. A record at which the fold raises is poisonous:
    what was folded is dropped, and all is folded again with a refusal in its place.
    """

    def __init__(self, partition: Partition, reopen: Callable[[], Partition]) -> None:
        """``reopen`` gives the partition as it was committed."""
        self.partition = partition
        self.outcome = new_outcome()
        self.is_poisoned = False
        """Whether a record was: then it is time to commit, each one costs the fold of all that is in the batch."""
        self._reopen = reopen
        self._records: list[Record] = []

    def add(self, records: Sequence[Record]) -> None:
        """Folds the next records.

        Raises what a broken invariant raises, what a store raises that cannot be read, and what is raised at a record
        that is a refusal already: none is the record. After an exception it is not used again.
        """
        given = self._records
        given += records
        while True:
            state = self.partition.state
            self.partition.begin(next((record.at for record in records if record.at is not None), state.clock))
            try:
                fold_records(state, self.partition.revisions, records, self.outcome)
                return
            except (AssertionError, OperationalError, MemoryError):
                raise
            except Exception as error:
                place = len(self.outcome.answers)
                if isinstance(given[place].event, Refusal):
                    raise
                given[place] = msgspec.structs.replace(given[place], event=_poisonous(error))
            self.is_poisoned = True
            self.partition, self.outcome, records = self._reopen(), new_outcome(), given


def fold_records(state: State, revisions: Revisions, records: Sequence[Record], out: Outcome) -> None:
    """Folds records of `events` in order, with what the marks on them ask for; one answer a record."""
    if {type(record) for record in records} <= {Record}:
        fold(state, records, out)
        return
    for kind, run in groupby(records, type):
        if kind is Revised:
            for record in run:
                assert isinstance(record, Revised)
                _fold_revised(state, revisions, record, out)
        elif kind is Moved:
            legs = len(out.legs)
            fold(state, list(run), out)
            del out.legs[legs:]
        else:
            fold(state, list(run), out)


def _fold_revised(state: State, revisions: Revisions, record: Revised, out: Outcome) -> None:
    have = revisions.get(record.kind, record.key).revision
    if record.revision <= have:
        message = f"revision: expected one above {have}, which this partition has, found {record.revision}"
        fold(state, (Record(record.at, Refusal(Reason.BAD_FIELD, message), record.raw),), out)
        return
    event = record.event
    if isinstance(event, Refusal) or not record.asks:
        fold(state, (record,), out)
        answer = out.answers[-1]
    else:
        assert record.at is not None
        fold(state, (Record(record.at, Tick(time=record.at), record.raw),), out)
        answer = _would_decide(state, event)
    decided = _decided(record, answer)
    revisions.put(record.kind, record.key, decided)


def _would_decide(state: State, event: AnyEvent) -> Answer:
    """What would become of configuration, with nothing changed."""
    assert isinstance(event, Configuration | Deleted)
    repeat = check_repeat(state.seen, identity_of("", event.source, event.id), content_of(event), state.clock)
    if isinstance(repeat, Refusal):
        return repeat
    return DUPLICATE if repeat else check_configuration(state, event) or ACCEPTED


def _decided(record: Revised, answer: Answer) -> Decided:
    if isinstance(answer, Refusal):
        return Decided(record.revision, "refused", answer.reason.value, answer.message)
    return Decided(record.revision, answer.name)


def refuse_moved(refusal: Refusal) -> bytes:
    """The value of ``REFUSED_HEADER``."""
    return msgspec.json.encode((refusal.reason.value, refusal.message))


def is_by_engine(headers: Iterable[tuple[str, bytes]]) -> bool:
    """Whether a record is one that the engine wrote to this log of its own accord: a leg, an outcome or a tick."""
    marks = dict(headers)
    return ENGINE_HEADER in marks and REVISION_HEADER not in marks and MOVED_HEADER not in marks


def _poisonous(error: Exception) -> Refusal:
    message = f"the engine could not apply this event ({type(error).__name__}): report it, then send it again"
    return Refusal(Reason.MALFORMED, message)
