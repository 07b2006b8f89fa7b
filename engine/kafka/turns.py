"""Which tasks of a process fold and commit at a time."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

_TURN_SECONDS_MAX: Final = 1.0  # a commit takes milliseconds: who takes longer waits for a broker, and others need not


class Turns:
    """Gives turns in the order of asking, a few at a time.

    Tasks share a thread: transactions that are all open at once each take as long as all of them, and what arrives
    meanwhile waits for the next. One that takes too long keeps its turn, and does not count any more.
    """

    def __init__(self, turns_max: int, seconds_max: float = _TURN_SECONDS_MAX) -> None:
        self._free = asyncio.BoundedSemaphore(turns_max)  # refuses a turn that is given back twice
        self._seconds_max = seconds_max

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
