"""Where the choices of a generated history come from: a seed, or Hypothesis, which can then shrink them."""

from collections.abc import Sequence
from random import Random
from typing import Protocol, TypeVar

from hypothesis import strategies as st

T = TypeVar("T")


class Dice(Protocol):
    """A source of choices. The simplest choice comes first: that is where Hypothesis shrinks to."""

    def below(self, count: int) -> int:
        """A whole number from 0 to ``count - 1``."""
        ...


class SeededDice:
    """The same choices for the same seed, on every machine."""

    def __init__(self, seed: int) -> None:
        self._random = Random(seed)

    def below(self, count: int) -> int:
        return self._random.randrange(count)


class DrawnDice:
    """Choices drawn by Hypothesis."""

    def __init__(self, data: st.DataObject) -> None:
        self._data = data

    def below(self, count: int) -> int:
        return self._data.draw(st.integers(0, count - 1))


def pick(dice: Dice, items: Sequence[T]) -> T:
    """One of the items."""
    return items[dice.below(len(items))]


def some(dice: Dice, items: Sequence[T]) -> list[T]:
    """Some of the items, each with even chances, in their order."""
    return [item for item in items if dice.below(2)]


def happens(dice: Dice, percent: int) -> bool:
    """True in so many of a hundred cases; the simplest case is that it does not."""
    return dice.below(100) >= 100 - percent
