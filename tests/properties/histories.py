"""Random but meaningful histories: few clients and few of everything else, so that events interact."""

from collections.abc import Callable
from typing import Final

from schemas.times import DAY
from tests.properties import drafts
from tests.properties.author import HOUR, Author
from tests.properties.dice import Dice, SeededDice, happens, pick

EVENTS_MAX: Final = 150

ACTIONS: Final[tuple[Callable[[Author], None], ...]] = (
    *(Author.charge,) * 13,
    *(Author.payment,) * 5,
    *(Author.adjustment,) * 4,
    *(Author.limit,) * 2,
    *(Author.temporary,) * 3,
    *(Author.invoice,) * 2,
    *(Author.transfer,) * 3,
    *(Author.units,) * 7,
    *(Author.define,) * 4,
    Author.delete,
    *(Author.edit_client,) * 2,
    *(Author.repeat,) * 2,
    Author.spoil,
    Author.tick,
)
"""What an author does, as often as it is listed."""


def set_up(author: Author) -> None:
    """Configuration, most of it, and every client."""
    dice = author.dice
    for kind, key in drafts.CONFIGURATION:
        if not happens(dice, 12):
            author.write(author.known(drafts.configuration(dice, kind, key)))
    for name in author.clients:
        author.put_client(name)
        if happens(dice, 60):
            author.write({"type": "payment", "client": name, "amount": pick(dice, ("20", "10", "100"))})


def act(author: Author) -> None:
    """One event, after some time or none."""
    author.wait()
    pick(author.dice, ACTIONS)(author)


def close(author: Author) -> None:
    """Lets what is still due happen."""
    author.now += pick(author.dice, (0, HOUR, 2 * DAY, 10 * DAY))
    author.tick()


def history(seed: int, events: int = EVENTS_MAX) -> list[bytes]:
    """The history of a seed: its set-up, then up to so many events."""
    return written(SeededDice(seed), events)


def written(dice: Dice, events: int) -> list[bytes]:
    """A history by those dice."""
    author = Author(dice)
    set_up(author)
    for _ in range(dice.below(events) + 1):
        act(author)
    close(author)
    return author.lines
