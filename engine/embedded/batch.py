"""One batch of submissions folded into all partitions, in the order in which they came (no I/O, no waiting).

Events of different clients are independent, so each partition folds its share in one call. Two kinds of event reach
beyond their partition and are folded alone, after all before them: configuration, which every partition takes or
none does, and a transfer, whose legs follow at once. What comes out is then the same as from ``replay``.
"""

from array import array
from collections.abc import Sequence
from typing import Final

from engine.core.configured import CONFIGURATION, DELETED, check_configuration
from engine.core.fold import Record, fold, new_outcome
from engine.core.identity import check_repeat, content_of, identity_of
from engine.core.outcome import ACCEPTED, Outcome
from engine.core.outcome import Answer as Verdict
from engine.embedded.routes import Routes
from engine.log.chunks import Row
from engine.log.ports import Answer
from engine.partition.partition import Partition
from schemas.engine_events import encode_engine_event
from schemas.events import AnyEvent, Charge, Configuration, Deleted, Tick, Transfer, TransferLeg, TransferOutcome
from schemas.outputs import rejection_of
from schemas.reasons import Reason, Refusal

_UNANSWERED: Final = -1  # for a record that nobody sent
_OWN: Final = frozenset({Tick, TransferLeg, TransferOutcome})  # what the engine alone writes, and marks
_REACHES_BEYOND = (*CONFIGURATION, *DELETED, Transfer)


class BatchFold:
    """Collects a batch. ``entries`` and ``outcomes`` of each partition are what is to be committed.

    ``answers``: one an event in the order in which they were added, in place after ``finish``; ``kinds``: the type of
    each. ``plain``: whether all events are charges, and all were accepted.
    """

    def __init__(self, partitions: Sequence[Partition], routes: Routes, now: int) -> None:
        count = len(partitions)
        self._partitions = partitions
        self._routes = routes
        self._times = [max(now, partition.state.clock) for partition in partitions]
        self.answers: list[Answer | None] = []
        self.kinds: list[type[AnyEvent | Refusal]] = []
        self.plain = True
        self.outcomes: list[Outcome] = [new_outcome() for _ in range(count)]
        self._records: list[list[Record]] = [[] for _ in range(count)]
        self._folded = [0] * count  # of a partition's records
        self._slots = [array("i") for _ in range(count)]  # by partition, for each record that is not folded yet
        self._shares = [  # what is done for every charge, looked up once
            (at, records.append, slots.append)
            for at, records, slots in zip(self._times, self._records, self._slots, strict=True)
        ]

    def touched(self) -> list[int]:
        """The partitions that have something to commit."""
        return [
            number
            for number, (records, outcome) in enumerate(zip(self._records, self.outcomes, strict=True))
            if records or outcome.outputs
        ]

    def entries(self, number: int) -> list[Row]:
        """What a partition's log gets, in order."""
        at = self._times[number]
        return [
            (event.client, at, record.raw, False)
            if type(event := record.event) is Charge
            else (getattr(event, "client", ""), at, record.raw, type(event) in _OWN)
            for record in self._records[number]
        ]

    def add(self, raws: Sequence[bytes], events: Sequence[AnyEvent | Refusal]) -> None:
        """Adds one submission: each event as received, and decoded."""
        self.kinds += map(type, events)
        routes, shares = self._routes, self._shares
        first = len(self.answers)
        self.answers += [None] * len(events)
        for slot, raw, event in zip(range(first, len(self.answers)), raws, events, strict=True):
            if type(event) is Charge:
                at, put_record, put_slot = shares[routes[event.client]]
                put_record(Record(at, event, raw))
                put_slot(slot)
            else:
                self.plain = False
                self._add_other(event, raw, slot)

    def _add_other(self, event: AnyEvent | Refusal, raw: bytes, slot: int) -> None:
        if isinstance(event, Refusal):
            self._refuse_at_door(event, raw, slot)
        elif isinstance(event, _REACHES_BEYOND):
            self._fold()
            if isinstance(event, Transfer):
                self._put(self._routes[event.client], event, raw, slot)
            else:
                self._add_configuration(event, raw, slot)
            self._fold()
            self._fold_legs()
        elif isinstance(event, Tick):
            refusal = Refusal(Reason.UNKNOWN_TYPE, "type: 'tick' is the clock's own; log time is the append time")
            self._refuse_at_door(refusal, raw, slot)
        else:
            self._put(self._routes[event.client], event, raw, slot)

    def add_tick(self, number: int, tick: Tick) -> None:
        """Adds the clock's own event to one partition."""
        self._put(number, tick, encode_engine_event(tick), _UNANSWERED)

    def finish(self) -> None:
        """Folds what is left."""
        self._fold()

    def fold(self, number: int) -> None:
        """Folds what is left of one partition."""
        records, first = self._records[number], self._folded[number]
        if first < len(records):
            outcome = self.outcomes[number]
            answered = len(outcome.answers)
            fold(self._partitions[number].state, records[first:] if first else records, outcome)
            self._folded[number] = len(records)
            self._answer(number, first, outcome.answers[answered:])

    def written(self, number: int) -> None:
        """A partition's part is in the store's batch: lets go of what it was made of, for the next part to be made of.

        Memory that was just used is in the processor's cache; what is kept until the commit has ended is not.
        """
        self._records[number].clear()
        self.outcomes[number].changed.clear()

    def _put(self, number: int, event: AnyEvent, raw: bytes, slot: int) -> None:
        self._records[number].append(Record(self._times[number], event, raw))
        self._slots[number].append(slot)

    def _refuse_at_door(self, refusal: Refusal, raw: bytes, slot: int) -> None:
        """What no partition may see is a rejection all the same; it is not an event, so the log does not have it."""
        self.outcomes[0].outputs.append(rejection_of(refusal, raw))
        self.answers[slot] = _refused(refusal)

    def _add_configuration(self, event: Configuration | Deleted, raw: bytes, slot: int) -> None:
        """To every partition; a repeat, or what any partition refuses, to one alone, which answers for all."""
        self._fire_timers()
        first = self._partitions[0].state
        identity = identity_of("", event.source, event.id)
        takes = range(len(self._partitions))
        if check_repeat(first.seen, identity, content_of(event), self._times[0]) is not False:
            takes = range(1)
        else:
            for number, partition in enumerate(self._partitions):
                if check_configuration(partition.state, event) is not None:
                    takes = range(number, number + 1)
                    break
        for number in takes:
            self._put(number, event, raw, slot if number == takes[0] else _UNANSWERED)

    def _fire_timers(self) -> None:
        """What is due before a configuration event may decide whether a partition takes it: a grant that expires, say.

        A tick in the log fires it, so that every partition is asked in the state in which it then folds the event.
        """
        for number, partition in enumerate(self._partitions):
            if partition.state.dues.earliest <= self._times[number]:
                self.add_tick(number, Tick(time=self._times[number]))
        self._fold()

    def _fold(self) -> None:
        for number in range(len(self._records)):
            self.fold(number)

    def _answer(self, number: int, first: int, verdicts: Sequence[Verdict]) -> None:
        offset = self._partitions[number].next_offset_of_events + first
        answers = self.answers
        for slot, verdict in zip(self._slots[number], verdicts, strict=True):
            if slot != _UNANSWERED:
                if verdict is ACCEPTED:
                    answers[slot] = Answer("accepted", number, offset)
                else:
                    self.plain = False
                    answers[slot] = _refused(verdict) if isinstance(verdict, Refusal) else Answer("duplicate")
            offset += 1
        del self._slots[number][:]

    def _fold_legs(self) -> None:
        while True:
            legs = [leg for outcome in self.outcomes for leg in outcome.legs]
            if not legs:
                return
            for outcome in self.outcomes:
                outcome.legs = []
            for leg in legs:
                self._put(self._routes[leg.client], leg, encode_engine_event(leg), _UNANSWERED)
            self._fold()


def _refused(refusal: Refusal) -> Answer:
    return Answer("refused", reason=refusal.reason.value, message=refusal.message)
