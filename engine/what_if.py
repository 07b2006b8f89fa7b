"""What would have been sent: the same history folded twice, as it was and with configuration changed in its place.

Each record is decoded once and folded into two states, side by side. The comparison is exact because configuration is
in the log: the changed definition stands where the log defines it, or from an instant on, and everything else is
decided again by the same core.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Final

import msgspec

from engine.core.configuration import Key, key_of
from engine.core.fold import Record, fold, new_outcome
from engine.core.outcome import DUPLICATE, Answer, Outcome
from engine.core.state import State
from engine.failures import WrongUse
from schemas.answers import WhatIf, WhatIfNotification, WhatIfTotal
from schemas.events import AnyEvent, Charge, Profile, TimeBalancePlan, Transfer
from schemas.outputs import Notification
from schemas.reasons import Refusal
from schemas.times import format_time

BATCH_RECORDS_MAX: Final = 500  # enough to spread the cost of a batch, few enough to stay in the processor's cache

Changed = Profile | TimeBalancePlan


class Experiment:
    """Changed definitions, and what folding histories against them shows. One log after another may be folded."""

    def __init__(self, changed: Sequence[Changed], since: int | None) -> None:
        """``since`` None: wherever a log defines them. Else from that instant of log time on, in microseconds."""
        self._changed: dict[Key, Changed] = {key_of(definition): _named(definition) for definition in changed}
        self._since = since
        self._comparison = _Comparison()
        self._events = 0
        self._applied: set[Key] = set()
        self._refusal: Refusal | None = None
        self._decided_otherwise = 0

    def fold(self, records: Iterable[Record], *, legs_at_once: bool) -> None:
        """Folds one log, whole, in order. ``legs_at_once``: transfers' legs are not in it, they follow from it."""
        was, would = _Side(), _Side()
        batch: list[Record] = []
        instant = self._since
        for record in records:
            event = record.event
            if instant is not None and record.at is not None and record.at >= instant:
                batch = self._fold_both(was, would, batch, legs_at_once)
                for definition in self._changed.values():
                    self._put(would, Record(instant, definition, b""))
                instant = None
            place = None
            if instant is None and type(event) is not Charge:  # nearly every event is one
                place = self._place_of(event)
            if place is None:
                batch.append(record)
                if len(batch) >= BATCH_RECORDS_MAX or (legs_at_once and type(event) is Transfer):
                    batch = self._fold_both(was, would, batch, legs_at_once)
            else:
                batch = self._fold_both(was, would, batch, legs_at_once)
                self._events += 1
                self._comparison.was(was.fold([record], legs_at_once)[1])
                self._put(would, Record(record.at, place, record.raw))
        self._fold_both(was, would, batch, legs_at_once)

    def _place_of(self, event: AnyEvent | Refusal) -> Changed | None:
        """The changed definition, if the event defines its key: under the event's identity, so that repeats stay."""
        if not isinstance(event, Profile | TimeBalancePlan):
            return None
        changed = self._changed.get(key_of(event))
        if changed is None:
            return None
        return msgspec.structs.replace(changed, id=event.id, source=event.source, time=event.time)

    def _fold_both(self, was: "_Side", would: "_Side", batch: list[Record], legs_at_once: bool) -> list[Record]:
        """Folds a batch into both sides; the next batch, empty."""
        if not batch:
            return batch
        was_answers, was_sent = was.fold(batch, legs_at_once)
        would_answers, would_sent = would.fold(batch, legs_at_once)
        self._comparison.was(was_sent)
        self._comparison.would(would_sent)
        if not legs_at_once:
            for record, one, other in zip(batch, was_answers, would_answers, strict=True):
                if type(record.event) is Transfer and one != other:
                    self._decided_otherwise += 1
        self._events += len(batch)
        return []

    def _put(self, would: "_Side", record: Record) -> None:
        """Folds a changed definition into the side that has it."""
        answers, sent = would.fold([record], legs_at_once=False)
        self._comparison.would(sent)
        assert isinstance(record.event, Profile | TimeBalancePlan)
        if isinstance(answers[0], Refusal):
            self._refusal = answers[0]
        elif answers[0] is not DUPLICATE:
            self._applied.add(key_of(record.event))

    def answer(self, *, limit: int) -> WhatIf:
        """What was found, with at most ``limit`` notifications in each list.

        Raises WrongUse where a changed definition took effect nowhere.
        """
        for kind, key in self._changed:
            if (kind, key) not in self._applied:
                raise WrongUse(self._without_effect(kind, key))
        added, dropped = self._comparison.differences()
        sentence = None
        if self._decided_otherwise:
            sentence = (
                f"{self._decided_otherwise} transfers would have been decided otherwise; the receivers were folded "
                "as the log has them, so what follows from these at the receivers is not in the comparison"
            )
        return WhatIf(
            events=self._events,
            changed=[" ".join(key) for key in self._changed],
            since=None if self._since is None else format_time(self._since),
            total=self._comparison.total(),
            days=self._comparison.totals(_BY_DAY),
            rules=self._comparison.totals(_BY_RULE),
            added=added[:limit],
            dropped=dropped[:limit],
            exact=sentence is None,
            sentence=sentence,
        )

    def _without_effect(self, kind: str, key: str) -> str:
        if self._refusal is not None:
            return f"the changed {kind} {key!r} is refused: {self._refusal.message}"
        if self._since is not None:
            return f"the log has nothing at or after {format_time(self._since)}: choose an earlier --since"
        return f"the log defines no {kind} {key!r}: give one that it defines, or the instant to put it at with --since"


def _named(definition: Changed) -> Changed:
    """Under an identity that no log has, or a definition taken from the log would conflict with itself."""
    return msgspec.structs.replace(definition, source=" what-if", id=" ".join(key_of(definition)))


class _Side:
    """One of the two histories of a log."""

    def __init__(self) -> None:
        self._state = State()

    def fold(self, records: Sequence[Record], legs_at_once: bool) -> tuple[list[Answer], list[Notification]]:
        """Folds records, and at once the legs of a transfer, which then is the last; the answers and what was sent."""
        out = new_outcome()
        fold(self._state, records, out)
        answers, sent = out.answers, _sent(out)
        while legs_at_once and out.legs:
            legs, out = out.legs, new_outcome()
            fold(self._state, [Record(self._state.clock, leg, b"") for leg in legs], out)
            sent += _sent(out)
        return answers, sent


def _sent(out: Outcome) -> list[Notification]:
    return [output for output in out.outputs if isinstance(output, Notification)]


_BY_DAY: Final = 0
_BY_RULE: Final = 1
_Place = tuple[str, str]


class _Difference(msgspec.Struct):
    """How often the changed history sends it more than the other (below 0: less), and one of it."""

    more: int
    sent: Notification


class _Comparison:
    """What two histories sent and where they differ; memory grows with what differs, not with the history.

    A notification is the same in both if at one instant it tells the same people of the same rule over the same
    channel: its number in an episode may differ.
    """

    def __init__(self) -> None:
        self._was: Counter[_Place] = Counter()
        self._would: Counter[_Place] = Counter()
        self._differences: dict[tuple[str, str, str, str, str, tuple[str, ...]], _Difference] = {}

    def was(self, sent: Sequence[Notification]) -> None:
        """What the history as it was sent next."""
        for one in sent:
            self._was[_place(one)] += 1
            self._move(one, -1)

    def would(self, sent: Sequence[Notification]) -> None:
        """What the changed history sent next."""
        for one in sent:
            self._would[_place(one)] += 1
            self._move(one, 1)

    def _move(self, sent: Notification, by: int) -> None:
        key = (sent.at, sent.client, sent.kind, sent.rule, sent.channel, sent.to)
        found = self._differences.get(key)
        more = by if found is None else found.more + by
        if more:
            self._differences[key] = _Difference(more, sent)
        else:
            del self._differences[key]

    def differences(self) -> tuple[list[WhatIfNotification], list[WhatIfNotification]]:
        """What was added and what was dropped, each by time, client and rule."""
        ordered = [difference for _, difference in sorted(self._differences.items())]
        return (
            [_told(found.sent) for found in ordered for _ in range(found.more)],
            [_told(found.sent) for found in ordered for _ in range(-found.more)],
        )

    def total(self) -> WhatIfTotal:
        """All of it in one."""
        differences = [found.more for found in self._differences.values()]
        return WhatIfTotal(
            "all",
            self._was.total(),
            self._would.total(),
            sum(more for more in differences if more > 0),
            -sum(more for more in differences if more < 0),
        )

    def totals(self, part: int) -> list[WhatIfTotal]:
        """By day or by rule."""
        was, would, added, dropped = Counter[str](), Counter[str](), Counter[str](), Counter[str]()
        for total, counted in ((was, self._was), (would, self._would)):
            for place, count in counted.items():
                total[place[part]] += count
        for found in self._differences.values():
            (added if found.more > 0 else dropped)[_place(found.sent)[part]] += abs(found.more)
        return [
            WhatIfTotal(name, was[name], would[name], added[name], dropped[name]) for name in sorted({**was, **would})
        ]


def _place(sent: Notification) -> _Place:
    """Day (UTC) and rule of a notification."""
    return sent.at[:10], f"{sent.kind} {sent.rule}"


def _told(sent: Notification) -> WhatIfNotification:
    return WhatIfNotification(
        sent.at,
        sent.client,
        sent.kind,
        sent.rule,
        sent.channel,
        sent.to,
        sent.threshold,
        sent.available,
        sent.currency,
    )
