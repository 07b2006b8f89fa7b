"""Which tasks of a process fold and commit at a time, and when."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

_TURN_SECONDS_MAX: Final = 1.0  # a commit takes milliseconds: who takes longer waits for a broker, and others need not
_BACKLOG_SECONDS_MAX: Final = 0.5  # of folding, after which what is folded is committed, however much is left
_ROUND_SECONDS: Final = 6.0  # from one turn of a backlog to its next one, where others have one too


class Turns:
    """Gives turns in the order of asking, a few at a time.

    Tasks share a thread: transactions that are all open at once each take as long as all of them, and what arrives
    meanwhile waits for the next. One that takes too long keeps its turn, and does not count any more.
    """

    def __init__(self, turns_max: int, seconds_max: float = _TURN_SECONDS_MAX) -> None:
        self._free = asyncio.BoundedSemaphore(turns_max)  # refuses a turn that is given back twice
        self._seconds_max = seconds_max
        self._backlog = asyncio.Lock()
        self._backlogs = 0

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """A turn for as long as the block lasts."""
        await self._free.acquire()
        counts = True

        def free() -> None:
            nonlocal counts
            if counts:
                counts = False
                self._free.release()

        timer = asyncio.get_running_loop().call_later(self._seconds_max, free)
        try:
            yield
        finally:
            timer.cancel()
            free()

    @asynccontextmanager
    async def backlog(self) -> AsyncIterator[float]:
        """The turn to fold a backlog, one task at a time, for as long as the block lasts; the seconds it should take.

        Where all tasks have a backlog, each gets through more of it at a time, and memory holds one of their batches,
        not all. However many they are, each has its turn within some seconds.
        """
        self._backlogs += 1
        try:
            async with self._backlog:
                yield min(_BACKLOG_SECONDS_MAX, _ROUND_SECONDS / self._backlogs)
        finally:
            self._backlogs -= 1


def next_moment(ended: float, interval: float, share: float) -> float:
    """When a task whose last commit ended at ``ended`` begins the next, all in seconds: once in an interval of the
    clock, at that share of it, and no sooner than a quarter of one later.

    One fetch wakes all tasks. Were each to wait an interval from its own last commit, they would commit together for
    ever, each taking as long as all of them; at moments of their own they hardly meet. And where something has held
    all of them up, those that took too long leave one moment out, so that the others get through.
    """
    if not interval:
        return ended
    earliest = ended + interval / 4
    return earliest + (share * interval - earliest) % interval
