"""Step 5 of a partition task: what ends, what is tried again, and after how long (architecture, "Fail")."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from typing import Any, Final

from engine.failures import OperationalError

BACK_OFF_SECONDS: Final = 0.2
BACK_OFF_SECONDS_MAX: Final = 10.0
_CLIENT_SECONDS_MAX: Final = 1.0  # two clients and a commit in flight have to fit into the 5 s of a hand-over


class Fenced(OperationalError):  # noqa: N818  # it names a state
    """Another process owns the partition now; nothing of this one's is left behind.

    ``exit_code`` is that of what another does now: a supervisor that started it again would end the other.
    """

    exit_code = 3


class BackOff:
    """Pauses between attempts: each twice the last, up to a bound, from the start again once something worked."""

    def __init__(self, first: float = BACK_OFF_SECONDS, longest: float = BACK_OFF_SECONDS_MAX) -> None:
        self._first = first
        self._longest = longest
        self._next = first

    def after_failure(self) -> float:
        """Seconds to wait now."""
        pause = self._next
        self._next = min(2 * pause, self._longest)
        return pause

    def worked(self) -> None:
        """Something was achieved: the next failure is a new one."""
        self._next = self._first


async def until_stopped(
    attempt: Coroutine[Any, Any, None],  # Any: what a coroutine is sent and yields is the event loop's
    stop: asyncio.Event,
    grace: Callable[[], float],
) -> None:
    """Runs an attempt; at ``stop`` it has ``grace()`` seconds to end by itself, then it is cancelled and awaited.

    Raises what the attempt raised.
    """
    running = asyncio.create_task(attempt)
    stopping = asyncio.create_task(stop.wait())
    try:
        await asyncio.wait({running, stopping}, return_when=asyncio.FIRST_COMPLETED)
        seconds = grace()
        if seconds:
            await asyncio.wait({running}, timeout=seconds)
    finally:
        stopping.cancel()
        running.cancel()
        await asyncio.wait({running})
    try:
        if not running.cancelled():
            running.result()
    finally:
        # Else the exception holds this frame and this frame the exception, and with it whatever holds the store open.
        del running


async def paused(stop: asyncio.Event, seconds: float) -> None:
    """Waits that long, or until ``stop``."""
    with suppress(TimeoutError):
        await asyncio.wait_for(stop.wait(), seconds)


async def client_stopped(stop: Callable[[], Awaitable[None]]) -> None:
    """Stops a client of the cluster; one whose broker is gone is not waited for."""
    with suppress(Exception):
        await asyncio.wait_for(stop(), _CLIENT_SECONDS_MAX)
