"""An embedded engine that runs inside a test, on a clock that the test sets."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from prometheus_client import CollectorRegistry

from engine.embedded.engine import EmbeddedEngine, EmbeddedOptions
from engine.embedded.views import HISTORY_RECORDS_MAX, EmbeddedViews
from engine.log.ports import Answer
from engine.metrics import EngineMetrics
from engine.store.rocks import RocksStore
from schemas.times import parse_time
from tests.unit.core.histories import at, lines_of


@dataclass
class Clock:
    """Log time in microseconds, as the test sets it."""

    now: int = parse_time("2026-03-02T00:00:00Z")

    def __call__(self) -> int:
        return self.now


@dataclass
class Running:
    """An engine, what readers see of it, and its clock."""

    engine: EmbeddedEngine
    views: EmbeddedViews
    clock: Clock

    async def send(self, events: Sequence[dict[str, object]]) -> list[Answer]:
        """Submits each event at the log time that its ``time`` is; the answers."""
        answers: list[Answer] = []
        for fields, raw in zip(events, lines_of(events), strict=True):
            self.clock.now = max(self.clock.now, parse_time(str(fields["time"])))
            answers += await self.engine.submit([raw])
        return answers

    async def reach(self, time: str) -> None:
        """Moves the clock to a time and waits until every timer up to it has fired."""
        self.clock.now = parse_time(at(time))
        while any(partition.state.dues.earliest <= self.clock.now for partition in self.engine.partitions):  # noqa: ASYNC110  # ticks tell nobody
            await asyncio.sleep(0)


@asynccontextmanager
async def running(
    folder: Path, *, partitions: int = 3, history_records_max: int = HISTORY_RECORDS_MAX
) -> AsyncIterator[Running]:
    """Opens the folder, runs the engine, and stops it in order."""
    store, clock, stop = RocksStore(folder), Clock(), asyncio.Event()
    options = EmbeddedOptions(data=folder, partitions=partitions)
    engine = EmbeddedEngine(store, options, EngineMetrics(CollectorRegistry()), clock=clock)
    task = asyncio.create_task(engine.run(stop))
    try:
        yield Running(engine, EmbeddedViews(engine, store, history_records_max=history_records_max), clock)
    finally:
        stop.set()
        await task
        store.close()
