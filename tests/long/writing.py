"""The long history: the properties' author with many more clients, at the pace of a year rather than of a story.

A few clients at a time are written about, so that their events meet, and then others. Configuration changes now and
then: each edit is evaluated for every client it concerns.
"""

from collections.abc import Callable, Iterator
from typing import Final

from schemas.times import SECOND
from tests.properties import spoiled
from tests.properties.author import Author
from tests.properties.dice import SeededDice, happens, pick
from tests.properties.histories import close, set_up

CLIENTS: Final = 300
_TOGETHER: Final = 8  # clients that are written about at a time
_TURN: Final = 60  # events before it is others' turn
_GAPS: Final = (0, 0, 0, 1, SECOND, SECOND, 3 * SECOND, 10 * SECOND, 60 * SECOND, 5 * 60 * SECOND)
_AIMED: Final = 5_000  # one event in so many waits for something that is due, or for days
_HUGE: Final = b"9223372036854"  # an amount after which nothing happens to a client any more
_BUCKETS_MAX: Final = 6  # grants without an end would pile up, and each change lists them all

_ACTIONS: Final[tuple[Callable[[Author], None], ...]] = (
    *(Author.charge,) * 120,
    *(Author.payment,) * 36,
    *(Author.adjustment,) * 26,
    *(Author.limit,) * 10,
    *(Author.temporary,) * 16,
    *(Author.invoice,) * 10,
    *(Author.transfer,) * 26,
    *(Author.units,) * 30,
    *(Author.edit_client,) * 8,
    *(Author.repeat,) * 10,
    *(Author.spoil,) * 6,
    *(Author.tick,) * 4,
    Author.define,
)
_DELETES: Final = 8  # one definition in so many is a deletion


class LongAuthor(Author):
    """Writes about everybody, a few at a time; lines are taken out of ``lines`` as they come."""

    def __init__(self, seed: int) -> None:
        super().__init__(SeededDice(seed))
        self.everybody = [f"c{number:04}" for number in range(CLIENTS)]
        self.clients = self.everybody

    def turn(self) -> None:
        """Now about some others."""
        dice = self.dice
        self.clients = list(dict.fromkeys(pick(dice, self.everybody) for _ in range(_TOGETHER)))

    def wait(self) -> None:
        """Moves the clock: by seconds; now and then to what is due, or by up to days."""
        if self.dice.below(_AIMED) == 0:
            super().wait()
        else:
            self.now += pick(self.dice, _GAPS)

    def units(self) -> None:
        """A grant, a renewal, a top-up or a cancellation; only that last one where there are many grants."""
        full = [name for name in self.clients if len(self._buckets(name)) > _BUCKETS_MAX]
        if not full:
            super().units()
            return
        client = pick(self.dice, full)
        grant = pick(self.dice, self._buckets(client)).grant
        self.write({"type": "time_balance", "client": client, "action": "cancel", "grant": grant})

    def spoil(self) -> None:
        """Sends what cannot be taken."""
        while True:
            line = spoiled.line(self.dice, self.now, self.client())
            if _HUGE not in line:
                self.raw(line)
                return

    def act(self) -> None:
        """One event, after some time or none."""
        self.wait()
        action = pick(self.dice, _ACTIONS)
        if action is Author.define and self.dice.below(_DELETES) == 0:
            action = Author.delete
        getattr(self, action.__name__)()


def long_history(seed: int, events: int) -> Iterator[bytes]:
    """The history of a seed, of that many lines, one after another; memory does not grow with it."""
    author = LongAuthor(seed)
    set_up(author)
    written = 0
    while True:
        for line in author.lines:
            if written == events - 1:
                break
            yield line
            written += 1
        author.lines.clear()
        if written == events - 1:
            close(author)
            yield author.lines[-1]
            return
        if happens(author.dice, 100 // _TURN + 1):
            author.turn()
        author.act()
