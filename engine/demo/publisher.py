"""Plays the sample traffic into an engine at the pace of the wall clock."""

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from itertools import islice
from typing import Final

from engine.demo.traffic import Timed, Traffic, TrafficOptions
from engine.log.ports import Answer, Ingest, Overloaded, Unavailable
from schemas.times import SECOND

_SETUP_BATCH: Final = 200
_BATCH_MAX: Final = 500
_LOOK_SECONDS: Final = 0.1
"""Events that fall due within this time of each other go together."""
_BEHIND_SECONDS_MAX: Final = 5
"""A machine that slept does not make up for it: the traffic goes on from now."""
_UNAVAILABLE_SECONDS: Final = 1.0


def wall_clock() -> int:
    """Microseconds since the epoch."""
    return time.time_ns() // 1000


class DemoPublisher:
    """Submits the scenery, then the traffic, until ``stop`` is set.

    ``answers`` counts accepted and duplicate events and refused ones by reason. ``now`` and ``pause`` are the clock.
    """

    def __init__(
        self,
        ingest: Ingest,
        options: TrafficOptions,
        stop: asyncio.Event,
        *,
        now: Callable[[], int] = wall_clock,
        pause: Callable[[float], Awaitable[None]] | None = None,
    ) -> None:
        self.answers: dict[str, int] = {}
        self.ready = asyncio.Event()
        """Set once the scenery stands."""
        self._ingest = ingest
        self._options = options
        self._stop = stop
        self._now = now
        self._pause = pause or self._wait

    async def run(self) -> None:
        """Runs until ``stop`` is set. Raises what the ingest raises that is not retriable."""
        traffic = Traffic(self._options, self._now())
        setup = traffic.setup()
        while (batch := list(islice(setup, _SETUP_BATCH))) and not self._stop.is_set():
            await self._submit(batch)
        self.ready.set()
        await self._play(traffic.events())

    async def _play(self, events: Iterator[Timed]) -> None:
        event = next(events)
        while not self._stop.is_set():
            now = self._now()
            if event.at > now:
                await self._pause(max(_LOOK_SECONDS, (event.at - now) / SECOND))
                continue
            if now - event.at > _BEHIND_SECONDS_MAX * SECOND:
                events = Traffic(self._options, now).events()
                event = next(events)
                continue
            batch: list[bytes] = []
            while event.at <= now and len(batch) < _BATCH_MAX:
                batch.append(event.raw)
                event = next(events)
            await self._submit(batch)

    async def _submit(self, batch: Sequence[bytes]) -> None:
        """Submits until it is taken or the run ends; the order of the events is kept."""
        while not self._stop.is_set():
            try:
                answers = await self._ingest.submit(batch)
            except Overloaded as error:
                await self._pause(error.retry_after_seconds)
            except Unavailable:
                await self._pause(_UNAVAILABLE_SECONDS)
            else:
                self._count(answers)
                return

    def _count(self, answers: Sequence[Answer]) -> None:
        for answer in answers:
            name = answer.reason or answer.status
            self.answers[name] = self.answers.get(name, 0) + 1

    async def _wait(self, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._stop.wait(), seconds)
