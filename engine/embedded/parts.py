"""Parts of one process: started in order, stopped in the opposite order, and all of them as soon as one has ended."""

import asyncio
import signal
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Final, NamedTuple

from engine.failures import OperationalError

_STOP_SECONDS_MAX: Final = 30.0  # above what the door (5 s) and the notifiers (10 s) take by their own bounds
_FAILED_STOP_SECONDS_MAX: Final = 3.0  # beside a part that failed another may wait for what never comes

Run = Callable[[asyncio.Event], Awaitable[None]]
"""Works until the event is set, then finishes and returns."""


class Part(NamedTuple):
    """A part by the name that a sentence about it has."""

    name: str
    run: Run


class _Running(NamedTuple):
    name: str
    stop: asyncio.Event
    task: asyncio.Task[None]


async def run_parts(parts: Sequence[Part], stop: asyncio.Event) -> None:
    """Runs every part until ``stop`` is set or one ends; then stops them, the last started first, one after the other.

    Raises what the part that ended raised, or OperationalError where it ended without a word.
    """
    running: list[_Running] = []
    asked = asyncio.create_task(stop.wait(), name="stop")
    failure: Exception | None = None
    try:
        for part in parts:
            halt = asyncio.Event()
            running.append(_Running(part.name, halt, asyncio.create_task(_run(part, halt), name=part.name)))
        await asyncio.wait([asked, *(part.task for part in running)], return_when=asyncio.FIRST_COMPLETED)
        failure = next((_failure_of(part) for part in running if part.task.done()), None)
        for ending in reversed(running):
            found = await _stop(ending, _STOP_SECONDS_MAX if failure is None else _FAILED_STOP_SECONDS_MAX)
            failure = failure or found
    finally:
        left = [asked, *(part.task for part in running)]
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)
    if failure is not None:
        raise failure


async def _stop(part: _Running, seconds_max: float) -> Exception | None:
    """Stops a part; what went wrong with that, if anything."""
    part.stop.set()
    await asyncio.wait([part.task], timeout=seconds_max)
    if not part.task.done():
        return OperationalError(f"{part.name} did not stop within {seconds_max:.0f} s and was cut off")
    return None if part.task.exception() is None else _failure_of(part)


async def _run(part: Part, stop: asyncio.Event) -> None:
    await part.run(stop)


def _failure_of(part: _Running) -> Exception:
    error = part.task.exception()
    if error is None:
        return OperationalError(f"{part.name} ended by itself, and the product with it; start it again")
    assert isinstance(error, Exception)
    return error


@contextmanager
def stopping_signals(stop: asyncio.Event) -> Iterator[None]:
    """SIGINT and SIGTERM set ``stop``; the second one has its ordinary effect, for whoever cannot wait."""
    loop = asyncio.get_running_loop()
    numbers = (signal.SIGINT, signal.SIGTERM)

    def take() -> None:
        stop.set()
        for number in numbers:
            loop.remove_signal_handler(number)

    for number in numbers:
        loop.add_signal_handler(number, take)
    try:
        yield
    finally:
        for number in numbers:
            loop.remove_signal_handler(number)
