"""Playing the traffic: at the pace of the clock, again when the engine is full, never catching up on a sleep."""

import asyncio
import json
from collections.abc import Sequence

from engine.demo.publisher import DemoPublisher
from engine.demo.traffic import TrafficOptions
from engine.log.ports import Answer, Overloaded, Unavailable
from schemas.times import SECOND, parse_time
from tests.fakes.ingest import FakeIngest

START = parse_time("2026-09-21T14:13:20Z")
OPTIONS = TrafficOptions(clients=30)


class Clock:
    """A clock that moves when somebody waits, and sets ``stop`` after so many seconds."""

    def __init__(self, stop: asyncio.Event, seconds: int) -> None:
        self.at: int = START
        self.jump = 0
        self._stop = stop
        self._end = START + seconds * SECOND

    def now(self) -> int:
        return self.at

    async def pause(self, seconds: float) -> None:
        self.at += round(seconds * SECOND) + self.jump
        self.jump = 0
        if self.at >= self._end:
            self._stop.set()


class FullIngest(FakeIngest):
    """Refuses the first submissions as the engine does that is full, or not there yet."""

    def __init__(self, *failures: Exception) -> None:
        super().__init__()
        self.failures = list(failures)

    async def submit(self, events: Sequence[bytes]) -> list[Answer]:
        if self.failures:
            raise self.failures.pop(0)
        return await super().submit(events)


async def play(ingest: FakeIngest, seconds: int, jump: int = 0) -> DemoPublisher:
    stop = asyncio.Event()
    clock = Clock(stop, seconds)
    clock.jump = jump
    publisher = DemoPublisher(ingest, OPTIONS, stop, now=clock.now, pause=clock.pause)
    await publisher.run()
    return publisher


async def test_scenery_comes_first_and_traffic_follows_at_its_pace() -> None:
    ingest = FakeIngest()
    publisher = await play(ingest, 10)
    kinds = [json.loads(raw)["type"] for raw in ingest.submitted]
    assert "charge" not in kinds[: kinds.index("client")]
    assert 50 <= kinds.count("charge") <= 200
    assert publisher.answers == {"accepted": len(ingest.submitted)}
    assert publisher.ready.is_set()


async def test_full_engine_is_asked_again_and_nothing_is_lost() -> None:
    ingest = FullIngest(Overloaded(1), Unavailable("starting"))
    await play(ingest, 10)
    assert ingest.failures == []
    assert json.loads(ingest.submitted[0])["type"] == "exchange_rate"


async def test_machine_that_slept_goes_on_from_now() -> None:
    ingest = FakeIngest()
    publisher = await play(ingest, 3610, jump=3600 * SECOND)
    charges = [json.loads(raw) for raw in ingest.submitted if json.loads(raw)["type"] == "charge"]
    assert all(parse_time(charge["time"]) >= START + 3600 * SECOND for charge in charges)
    assert set(publisher.answers) == {"accepted"}
