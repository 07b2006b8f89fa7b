"""Step 5 of a partition task, as far as it needs no broker."""

import asyncio
import gc
import weakref
from contextlib import suppress

import pytest

from engine.kafka.failing import BackOff, client_stopped, until_stopped


def test_pauses_double_up_to_a_bound_and_begin_again_once_something_worked() -> None:
    back_off = BackOff(0.2, 1.0)
    assert [back_off.after_failure() for _ in range(5)] == [0.2, 0.4, 0.8, 1.0, 1.0]
    back_off.worked()
    assert back_off.after_failure() == 0.2


async def test_an_attempt_that_fails_raises_what_it_raised() -> None:
    async def attempt() -> None:
        raise KeyError("k")

    with pytest.raises(KeyError):
        await until_stopped(attempt(), asyncio.Event(), lambda: 0.0)


async def test_an_attempt_that_ends_in_its_grace_is_not_cut_off() -> None:
    stop = asyncio.Event()
    ended = []

    async def attempt() -> None:
        await stop.wait()
        await asyncio.sleep(0)
        ended.append(True)

    running = asyncio.create_task(until_stopped(attempt(), stop, lambda: 60.0))
    await asyncio.sleep(0)
    stop.set()
    await running
    assert ended == [True]


async def test_an_attempt_that_goes_on_after_its_grace_is_cut_off_and_has_cleaned_up() -> None:
    stop = asyncio.Event()
    cleaned = []

    async def attempt() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            cleaned.append(True)

    stop.set()
    await until_stopped(attempt(), stop, lambda: 0.01)
    assert cleaned == [True]


async def test_who_is_cancelled_takes_the_attempt_along() -> None:
    began, cleaned = asyncio.Event(), []

    async def attempt() -> None:
        began.set()
        try:
            await asyncio.Event().wait()
        finally:
            cleaned.append(True)

    running = asyncio.create_task(until_stopped(attempt(), asyncio.Event(), lambda: 60.0))
    await began.wait()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert cleaned == [True]


async def test_what_a_failed_attempt_held_is_let_go_with_its_exception() -> None:
    """A batch in the frame of a failed commit holds the store's lock; no collection may be needed to free it."""

    class Held:
        pass

    found: list[weakref.ref[Held]] = []

    async def attempt() -> None:
        held = Held()
        found.append(weakref.ref(held))
        raise ValueError

    gc.disable()
    try:
        with suppress(ValueError):
            await until_stopped(attempt(), asyncio.Event(), lambda: 0.0)
        assert found[0]() is None
    finally:
        gc.enable()


async def test_a_client_that_does_not_stop_or_fails_to_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("engine.kafka.failing._CLIENT_SECONDS_MAX", 0.01)

    async def hangs() -> None:
        await asyncio.Event().wait()

    async def fails() -> None:
        raise OSError

    await client_stopped(hangs)
    await client_stopped(fails)
