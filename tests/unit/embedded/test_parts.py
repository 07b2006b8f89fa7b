"""Parts of one process start in order, stop in the opposite order, and do not outlive one that has ended."""

import asyncio
import signal

import pytest

from engine.embedded import parts
from engine.embedded.parts import Part, run_parts, stopping_signals
from engine.failures import OperationalError

SECONDS_MAX = 60.0


class Told:
    """Parts that tell what they do, in ``story``."""

    def __init__(self) -> None:
        self.story: list[str] = []
        self.begun = asyncio.Event()

    def part(self, name: str) -> Part:
        """One that works until it is stopped."""

        async def run(stop: asyncio.Event) -> None:
            self.story.append(f"{name} starts")
            self.begun.set()
            await stop.wait()
            self.story.append(f"{name} stops")

        return Part(name, run)

    def failing(self, name: str, error: Exception | None) -> Part:
        """One that ends at once, with an error or without a word."""

        async def run(stop: asyncio.Event) -> None:
            self.story.append(f"{name} ends")
            if error is not None:
                raise error

        return Part(name, run)


async def test_parts_stop_in_the_opposite_order_one_after_the_other() -> None:
    told, stop = Told(), asyncio.Event()
    running = asyncio.create_task(run_parts([told.part("engine"), told.part("mailer"), told.part("door")], stop))
    await told.begun.wait()
    stop.set()
    async with asyncio.timeout(SECONDS_MAX):
        await running
    starts = ["engine starts", "mailer starts", "door starts"]
    assert told.story == [*starts, "door stops", "mailer stops", "engine stops"]


async def test_what_one_part_raises_ends_all_of_them_in_order() -> None:
    told = Told()
    broken = told.failing("mailer", OperationalError("the disk is gone"))
    async with asyncio.timeout(SECONDS_MAX):
        with pytest.raises(OperationalError, match="the disk is gone"):
            await run_parts([told.part("engine"), broken, told.part("door")], asyncio.Event())
    assert told.story[-2:] == ["door stops", "engine stops"]


async def test_a_part_that_ends_without_a_word_is_named() -> None:
    told = Told()
    async with asyncio.timeout(SECONDS_MAX):
        with pytest.raises(OperationalError, match="the mailer ended by itself"):
            await run_parts([told.part("the engine"), told.failing("the mailer", None)], asyncio.Event())


async def test_a_part_that_does_not_stop_is_cut_off_and_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parts, "_STOP_SECONDS_MAX", 0.05)
    told, stop = Told(), asyncio.Event()

    async def deaf(_: asyncio.Event) -> None:
        await asyncio.Event().wait()

    stop.set()
    async with asyncio.timeout(SECONDS_MAX):
        with pytest.raises(OperationalError, match="the door did not stop within"):
            await run_parts([told.part("the engine"), Part("the door", deaf)], stop)
    assert told.story[-1] == "the engine stops"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_a_signal_stops_and_gives_the_next_one_its_ordinary_effect(number: signal.Signals) -> None:
    stop = asyncio.Event()
    before = signal.getsignal(number)
    with stopping_signals(stop):
        assert signal.getsignal(number) != before
        signal.raise_signal(number)
        async with asyncio.timeout(SECONDS_MAX):
            await stop.wait()
        assert signal.getsignal(number) in (signal.SIG_DFL, signal.default_int_handler)
