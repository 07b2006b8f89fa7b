"""A client's history: every event of it, with what the event did to live, credit, units and capacity.

The log of one partition is folded again, for one client: clients are independent of each other given the same
configuration and the same clock, so the records of others are skipped. One thing is decided by others: configuration
that they use is not deleted, nor a plan's unit changed. What was refused for that is told by ``refused``.
"""

from collections import deque
from collections.abc import Callable, Iterable, Mapping
from typing import Final, Literal, NamedTuple

import msgspec

from engine.core.fold import Record, fold, new_outcome
from engine.core.outcome import DUPLICATE, Answer, Outcome
from engine.core.records import Balance
from engine.core.state import State
from engine.core.timers import move_clock
from engine.log.chunks import Entry
from schemas.answers import History, HistoryEntry, NotificationSent, UnitsMoved
from schemas.codec import decode
from schemas.events import AnyEvent, Tick, TransferLeg, TransferOutcome
from schemas.money import format_money
from schemas.outputs import Notification, Rejection
from schemas.readers import tag_of
from schemas.reasons import Reason, Refusal
from schemas.times import NEVER, format_time

ENTRIES_MAX: Final = 1000  # of one answer: about half a megabyte of JSON

EventPlace = tuple[int, str, str]
"""Log time in microseconds, source and id: what an event of configuration is found by."""

FOR_OTHERS: Final = (Reason.IN_USE.value, Reason.FIXED.value)
"""Why configuration may be refused for the sake of clients that use it."""

Folding = Callable[[State, Record, Outcome], None]


class _RejectedEvent(msgspec.Struct):
    source: str = ""
    id: str = ""
    client: str | None = None


class _Rejected(msgspec.Struct):
    reason: str
    event: _RejectedEvent | str


_decode_rejected = msgspec.json.Decoder(_Rejected).decode


def refused_for_others(rejection: bytes) -> tuple[str, str] | None:
    """Source and id where a rejection is of configuration that was refused for the sake of clients."""
    try:
        rejected = _decode_rejected(rejection)
    except msgspec.ValidationError:
        return None  # what was received has no such shape: it was not an event of configuration
    event = rejected.event
    if rejected.reason not in FOR_OTHERS or isinstance(event, str) or event.client is not None:
        return None
    return event.source, event.id


class _Standing(NamedTuple):
    version: int
    live: int
    credit: int | None
    available: int | None
    capacity: int | None
    held: int
    units: Mapping[tuple[str, str], int]


_UNKNOWN: Final = _Standing(0, 0, 0, 0, None, 0, {})


def _fold_one(state: State, record: Record, out: Outcome) -> None:
    fold(state, (record,), out)


class HistoryFold:
    """Folds one client out of the log of its partition and keeps its latest entries before entry ``before``."""

    def __init__(
        self,
        client: str,
        *,
        limit: int,
        before: int | None = None,
        refused: Mapping[EventPlace, int] | None = None,
        folding: Folding = _fold_one,
    ) -> None:
        """``refused``: how often configuration of a place was refused for the sake of other clients. ``folding``: how
        one record is folded."""
        assert 0 < limit <= ENTRIES_MAX
        self._client = client
        self._before = before
        self._refused = dict(refused or {})
        self._folding = folding
        self._state = State()
        self._count = 0
        self._kept: deque[HistoryEntry] = deque(maxlen=limit)

    @property
    def balance(self) -> Balance | None:
        """Where the client stands after what was folded."""
        return self._state.balances.find(self._client)

    def take(self, record: Entry) -> None:
        """Folds the next record of the partition's log, if it concerns the client."""
        if record.key and record.key != self._client:
            return
        event = decode(record.value, engine=record.mark)
        if self._is_refused(record, event):
            self.move_clock(record.at)
        else:
            self.put(Record(record.at, event, record.value), own=bool(record.key))

    def put(self, record: Record, *, own: bool, name: AnyEvent | Refusal | None = None) -> None:
        """Folds the next record that concerns the client. ``own``: it is of the client, else of everybody, and an entry
        only where it does something to the client. ``name``: the event as it is told, where ``record`` has another."""
        if record.at is not None:
            self.move_clock(record.at)
        if isinstance(record.event, Tick):
            return
        was = self._standing()
        out = new_outcome()
        self._folding(self._state, record, out)
        if own or (out.answers[0] is not DUPLICATE and (out.changed or _notified(out))):
            self._add(record.event if name is None else name, out, was)

    def move_clock(self, at: int) -> None:
        """Fires the client's timers up to that instant, each instant an entry if it did anything."""
        state = self._state
        while state.dues.earliest <= at:
            due, out, was = state.dues.earliest, new_outcome(), self._standing()
            move_clock(state, out, due)
            if out.changed or out.outputs:
                self._add(None, out, was)
        state.clock = max(state.clock, at)

    def history(self) -> History:
        """The entries kept, latest first."""
        entries = list(self._kept)[::-1]
        first = entries[-1].entry if entries else 1
        return History(self._client, entries, before=first if first > 1 else None)

    def _is_refused(self, record: Entry, event: AnyEvent | Refusal) -> bool:
        """A refused event of configuration changes nothing, so that skipping it is the same."""
        if record.key or isinstance(event, Refusal | Tick):
            return False
        place = (record.at, event.source, event.id)
        left = self._refused.get(place, 0)
        if left:
            self._refused[place] = left - 1
        return left > 0

    def _standing(self) -> _Standing:
        balance = self.balance
        if balance is None:
            return _UNKNOWN
        grants = self._state.grants.find(self._client)
        buckets = () if grants is None else grants.buckets
        units = {(bucket.plan, bucket.grant): bucket.left for bucket in buckets}
        return _Standing(
            balance.version,
            balance.live,
            balance.credit,
            balance.available,
            balance.capacity,
            balance.held,
            units,
        )

    def _add(self, event: AnyEvent | Refusal | None, out: Outcome, was: _Standing) -> None:
        self._count += 1
        if self._before is not None and self._count >= self._before:
            return
        now, exists = self._standing(), self.balance is not None
        type_, source, id_ = _name(event)
        outcome, reason, message = _decided(event, out)
        self._kept.append(
            HistoryEntry(
                entry=self._count,
                at=format_time(self._state.clock),
                type=type_,
                source=source,
                id=id_,
                outcome=outcome,
                version=now.version,
                amount=format_money(now.live - was.live),
                live=format_money(now.live) if exists else None,
                credit_before=_money_or_none(was.credit) if exists else None,
                credit=_money_or_none(now.credit) if exists else None,
                available=_money_or_none(now.available) if exists else None,
                capacity_before=was.capacity,
                capacity=now.capacity,
                held=format_money(now.held),
                units=_moved(was.units, now.units),
                notifications=[
                    NotificationSent(sent.notification, sent.kind, sent.rule, sent.channel) for sent in _notified(out)
                ],
                reason=reason,
                message=message,
            )
        )


def history(
    records: Iterable[Entry],
    client: str,
    *,
    limit: int = ENTRIES_MAX,
    before: int | None = None,
    refused: Mapping[EventPlace, int] | None = None,
) -> History:
    """The latest entries of a client's history from all records of its partition's log, in order."""
    folded = HistoryFold(client, limit=limit, before=before, refused=refused)
    last = -NEVER
    for record in records:
        folded.take(record)
        last = record.at
    folded.move_clock(last)
    return folded.history()


def _name(event: AnyEvent | Refusal | None) -> tuple[str, str | None, str | None]:
    if event is None or isinstance(event, Tick):
        return "clock", None, None
    if isinstance(event, Refusal):
        return "unreadable", None, None
    name = event.transfer if isinstance(event, TransferLeg | TransferOutcome) else event
    return tag_of(type(event)), name.source, name.id


Decided = Literal["accepted", "duplicate", "refused", "clock"]


def _decided(event: AnyEvent | Refusal | None, out: Outcome) -> tuple[Decided, str | None, str | None]:
    """What became of the event, with reason and sentence where it was refused."""
    if event is None:
        return "clock", None, None
    answer: Answer = out.answers[0]
    rejected = next((output for output in out.outputs if isinstance(output, Rejection)), None)
    if rejected is not None:
        return "refused", rejected.reason, rejected.message
    # A receiver that refuses a transfer answers its sender, who says it once.
    refusing = next((leg for leg in out.legs if isinstance(leg, TransferOutcome) and not leg.accepted), None)
    if refusing is not None:
        return "refused", refusing.reason, None
    return ("duplicate" if answer is DUPLICATE else "accepted"), None, None


def _notified(out: Outcome) -> list[Notification]:
    return [output for output in out.outputs if isinstance(output, Notification)]


def _moved(was: Mapping[tuple[str, str], int], now: Mapping[tuple[str, str], int]) -> list[UnitsMoved]:
    """What moved by grant; a grant that is gone has nothing left."""
    moved = [
        UnitsMoved(plan, grant, now.get((plan, grant), 0) - was.get((plan, grant), 0), now.get((plan, grant), 0))
        for plan, grant in sorted({**was, **now})
    ]
    return [units for units in moved if units.moved]


def _money_or_none(micros: int | None) -> str | None:
    return None if micros is None else format_money(micros)
