"""A history as one stream of steps, out of the logs of any number of partitions: what a move writes (ADR 20).

Each log is folded along, in memory, as its own engine folded it. So each step has what was decided: an event that was
refused stays refused wherever it goes, and what the engine itself wrote is held against what the fold says it should
have written.
"""

from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from heapq import heappop, heappush
from typing import Final, Protocol

import msgspec

from engine.core.configured import CONFIGURATION, DELETED
from engine.core.fold import Record, fold, new_outcome
from engine.core.outcome import ACCEPTED, Answer, Outcome
from engine.core.state import State
from engine.failures import OperationalError
from schemas.codec import decode
from schemas.engine_events import encode_engine_event
from schemas.events import AnyEvent, Tick, TransferLeg, TransferOutcome
from schemas.outputs import Notification
from schemas.reasons import Reason, Refusal
from schemas.times import format_time

_FOLDED_ALWAYS: Final = (*CONFIGURATION, *DELETED)


class HistoryError(OperationalError):
    """The history cannot be moved as it is; the sentence says why and what to do."""


class Step(msgspec.Struct, gc=False):
    """One event of a history, with what became of it.

    ``source``: the number of its log. ``at``: its log time, never before that of the step before it in its log; None:
    it moved no clock. ``refusal``: why it was refused, or None. ``ats``: of configuration that is for every partition,
    its log time in each log of the source; None for what is of one partition. ``refusals``: of configuration that every
    log has, what each of them said; where one refused it, ``refusal`` is that.
    """

    source: int
    at: int | None
    raw: bytes
    event: AnyEvent | Refusal
    refusal: Refusal | None
    notifications: list[Notification]
    ats: list[int] | None = None
    refusals: list[Refusal | None] = []
    barrier: int | None = None


class Folding(Protocol):
    """How the records of one log are folded, and which of them were put to every log at once."""

    def fold(self, state: State, record: Record, out: Outcome) -> None:
        """Folds one record."""
        ...

    def barrier(self, record: Record, answer: Answer) -> int | None:
        """The number of a record that every log has, in the same order; None: it is of its log alone."""
        ...


class Recorded:
    """A log with the legs of transfers in it, in which configuration that was accepted is in every log."""

    def __init__(self) -> None:
        self._accepted = 0

    def fold(self, state: State, record: Record, out: Outcome) -> None:
        fold(state, (record,), out)

    def barrier(self, record: Record, answer: Answer) -> int | None:
        if answer is not ACCEPTED or not isinstance(record.event, _FOLDED_ALWAYS):
            return None
        self._accepted += 1
        return self._accepted


class History(msgspec.Struct, frozen=True):
    """Where a history is read from. ``legs_follow``: legs are not in it and follow at once, as in ``replay``."""

    logs: Sequence[AsyncIterator[Record]]
    folding: Callable[[], Folding] = Recorded
    legs_follow: bool = False


class Steps:
    """The steps of a history in one order that every log's own order is part of. To be read once."""

    def __init__(self, history: History) -> None:
        self._in_flight: Counter[bytes] = Counter()
        self._logs = [
            _Log(number, records, history.folding(), self._in_flight, history.legs_follow)
            for number, records in enumerate(history.logs)
        ]

    @property
    def clocks(self) -> list[int]:
        """The log time that each log has reached."""
        return [log.clock for log in self._logs]

    async def read(self) -> AsyncIterator[Step]:
        """Every step but ticks. Raises HistoryError at the end where a transfer is still on its way."""
        heap: list[tuple[int, int]] = []
        waiting: list[_Log] = []
        for log in self._logs:
            await _advance(log, heap, waiting)
        while heap or waiting:
            if heap:
                log = self._logs[heappop(heap)[1]]
                assert log.head is not None
                yield log.head
                await _advance(log, heap, waiting)
                continue
            yield self._everywhere(waiting)
            passed, waiting = waiting, []
            for log in passed:
                await _advance(log, heap, waiting)
        self._check_in_flight()

    def _everywhere(self, waiting: "Sequence[_Log]") -> Step:
        """All logs stand at configuration that all of them have: one step. Refused by one is refused."""
        logs = sorted(waiting, key=lambda log: log.number)
        heads = [log.head for log in logs if log.head is not None]
        barriers = {head.barrier for head in heads}
        if len(heads) != len(self._logs) or len(barriers) != 1:
            raise HistoryError(
                f"configuration {sorted(barriers, key=str)} is not in every partition: stop whoever writes to the "
                "history, and begin again"
            )
        first = heads[0]
        first.refusals = [head.refusal for head in heads]
        first.refusal = next((refusal for refusal in first.refusals if refusal is not None), None)
        first.ats = [log.clock for log in logs]
        first.notifications = [each for head in heads for each in head.notifications]
        return first

    def _check_in_flight(self) -> None:
        left = [(raw, count) for raw, count in self._in_flight.items() if count]
        if left:
            undecided = sum(count for _, count in left if count > 0)
            if undecided == 0:
                raise HistoryError(
                    f"the history has {-sum(count for _, count in left)} records of transfers that no transfer leads "
                    f"to, one of them {left[0][0].decode(errors='replace')[:200]}: it is damaged"
                )
            raise HistoryError(
                f"{undecided} transfers are on their way between partitions: let the workers finish, stop them, and "
                "begin again"
            )


async def _advance(log: "_Log", heap: list[tuple[int, int]], waiting: "list[_Log]") -> None:
    await log.advance()
    if log.head is None:
        return
    if log.head.barrier is None:
        heappush(heap, (log.clock, log.number))
    else:
        waiting.append(log)


class _Log:
    """One log, folded up to ``head``."""

    def __init__(
        self,
        number: int,
        records: AsyncIterator[Record],
        folding: Folding,
        in_flight: "Counter[bytes]",
        legs_follow: bool,
    ) -> None:
        self.number = number
        self.head: Step | None = None
        self._records = records
        self._folding = folding
        self._in_flight = in_flight
        self._legs_follow = legs_follow
        self._state = State()
        self._following: list[Record] = []

    @property
    def clock(self) -> int:
        """The log time that it has reached."""
        return self._state.clock

    async def advance(self) -> None:
        """Folds on to the next step; ``head`` None: there is none."""
        while True:
            record = self._following.pop(0) if self._following else await anext(self._records, None)
            if record is None:
                self.head = None
                return
            out = new_outcome()
            try:
                self._folding.fold(self._state, record, out)
            except (AssertionError, OperationalError, MemoryError):
                raise
            except Exception as error:
                raise HistoryError(
                    f"the engine breaks at {_named(record)} of the history, in partition {self.number} "
                    f"({type(error).__name__}): report it"
                ) from error
            self._note_legs(record, out)
            answer = out.answers[0]
            event = record.event
            if not isinstance(event, Tick):
                self.head = Step(
                    source=self.number,
                    at=None if record.at is None else self._state.clock,
                    raw=record.raw,
                    event=event,
                    refusal=answer if isinstance(answer, Refusal) else None,
                    notifications=[each for each in out.outputs if isinstance(each, Notification)],
                    barrier=self._folding.barrier(record, answer),
                )
                if isinstance(event, _FOLDED_ALWAYS) and self.head.barrier is None and self.head.refusal is None:
                    self.head.ats = [self._state.clock]
                return

    def _note_legs(self, record: Record, out: Outcome) -> None:
        if self._legs_follow:
            self._following += [Record(self._state.clock, leg, encode_engine_event(leg)) for leg in out.legs]
            return
        for leg in out.legs:
            self._count(encode_engine_event(leg), 1)
        if isinstance(record.event, TransferLeg | TransferOutcome):
            self._count(encode_engine_event(record.event), -1)

    def _count(self, raw: bytes, by: int) -> None:
        """Decided and in the log: both once, in whichever order two partitions are read."""
        self._in_flight[raw] += by
        if not self._in_flight[raw]:
            del self._in_flight[raw]


def _named(record: Record) -> str:
    """An event by what it is called; what it holds (addresses, amounts) is nobody's who reads a sentence."""
    event = record.event
    if isinstance(event, Refusal | Tick | TransferLeg | TransferOutcome):
        return "an event"
    return f"the event {event.id!r} of {event.source!r}"


def exported(step: Step) -> bytes | None:
    """A step as a line for ``replay``, with its log time; None: the engine itself wrote it, or only its log refused it.

    ``replay`` settles a transfer at once. Where its legs came later, something else may have come to the receiver
    before them: then versions of it differ.
    """
    if isinstance(step.event, TransferLeg | TransferOutcome):
        return None
    if step.refusal is not None and step.refusal.reason is Reason.UNKNOWN_TYPE and step.event is step.refusal:
        read = decode(step.raw)
        if not isinstance(read, Refusal):  # configuration that did not come through its writer: `replay` would take it
            return None
    line = b" ".join(step.raw.split(b"\n")).strip()
    if step.at is None or not line.startswith(b"{"):
        return line
    at = b'{"at":"' + format_time(step.at).encode() + b'"'
    if b'"at"' in line:
        fields = msgspec.json.decode(line, type=dict[str, msgspec.Raw])
        fields.pop("at", None)
        line = msgspec.json.encode(fields)
    rest = line[1:].lstrip()
    return at + (b"" if rest.startswith(b"}") else b",") + rest
