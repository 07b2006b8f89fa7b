"""What folding a batch decided: an answer for each record, outputs in order, coalesced changes, records to append."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

import msgspec

from engine.core.configuration import Conversion
from engine.core.records import Balance
from schemas.events import AnyEvent, Charge, EngineEvent, Tick, TransferLeg, TransferOutcome
from schemas.outputs import AnyOutput, Cause, Change
from schemas.reasons import Refusal

if TYPE_CHECKING:
    from engine.core.state import State


class Verdict(msgspec.Struct, frozen=True):
    """What became of a record that was not refused."""

    name: str


ACCEPTED: Final = Verdict("accepted")
DUPLICATE: Final = Verdict("duplicate")
CLOCK: Final = Verdict("tick")

Answer = Verdict | Refusal


class ChangeNote(msgspec.Struct, frozen=True, gc=False):
    """What a change says of its event beside the view: when, which (None: the clock), at what rate or percentage."""

    at: int
    event: AnyEvent | None
    conversion: Conversion | None = None
    percent: int | None = None


def cause_of(event: AnyEvent | None) -> Cause | None:
    """The identity of the event that causes an output; a transfer's records are caused by its request."""
    if type(event) is Charge:
        return Cause(event.source, event.id)
    if event is None or isinstance(event, Tick):
        return None
    name = event.transfer if isinstance(event, TransferLeg | TransferOutcome) else event
    return Cause(name.source, name.id)


class Outcome:
    """Grows while a batch is folded; read by whoever commits it.

    ``answers``: one a record. ``outputs``: everything but changes, in order; with ``every_change`` the changes too,
    each in its place. ``changed``: by client, the note of the last version, for a coalesced change at the commit.
    ``legs``: the engine's own records to append to the partitions of their clients. ``no_rate``: rules that could
    not be evaluated for want of an exchange rate.
    """

    __slots__ = ("_view", "answers", "changed", "every_change", "legs", "no_rate", "outputs", "timers")

    def __init__(self, view: "Callable[[State, Balance, ChangeNote], Change]", *, every_change: bool = False) -> None:
        self._view = view
        self.every_change = every_change
        self.answers: list[Answer] = []
        self.outputs: list[AnyOutput] = []
        self.changed: dict[str, ChangeNote] = {}
        self.legs: list[EngineEvent] = []
        self.no_rate = 0
        self.timers = 0

    def change(self, state: "State", balance: Balance, note: ChangeNote) -> None:
        """Notes a new version of a client's view, or writes it where every one is wanted."""
        if self.every_change:
            self.outputs.append(self._view(state, balance, note))
        else:
            self.changed[balance.client] = note
