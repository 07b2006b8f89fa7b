"""Partitions that are given by hand, in the place of a group's: there is nobody else to share with, or to ask."""

import asyncio
from collections.abc import Mapping, Sequence

from engine.kafka.shell.hooks import Assignment, Hooks


class GivenPartitions:
    """Port ``Membership`` of a worker that is in no group. ``url``: its own, where it has a door."""

    def __init__(self, numbers: Sequence[int], url: str, hooks: Hooks) -> None:
        self.is_settled = False
        self.is_reached = True
        self.url = url
        self._numbers = frozenset(numbers)
        self._hooks = hooks

    async def run(self) -> None:
        """Gives them all, once, and runs for ever."""
        self._hooks.assigned(Assignment(self._numbers, frozenset()))
        self.is_settled = True
        await asyncio.Event().wait()

    async def stop(self, seconds_max: float) -> bool:
        """There is no group to be told."""
        return True

    def is_leader(self) -> bool:
        """There is nobody to lead."""
        return False

    def owners(self) -> Mapping[int, str]:
        """Its own partitions: of the others nothing is known."""
        return dict.fromkeys(self._numbers, self.url)

    def urls(self) -> list[str]:
        """Its own."""
        return [self.url]
