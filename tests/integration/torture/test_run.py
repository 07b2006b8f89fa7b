"""What the torture itself does with a failure: none is lost on the way, or waited for in vain."""

import asyncio

import pytest

from tests.integration.torture.run import _all, _cancelled


async def test_a_failure_keeps_its_cause_and_tells_of_the_others() -> None:
    together = asyncio.Barrier(2)

    async def failing(name: str) -> None:
        await together.wait()
        try:
            raise KeyError(name)
        except KeyError as cause:
            raise ValueError(name) from cause

    with pytest.raises(ValueError, match="b") as caught:  # who comes last goes on at once
        await _all(failing(name) for name in "ab")
    assert isinstance(caught.value.__cause__, KeyError)
    assert caught.value.__notes__ == ["besides ValueError: a"]


async def test_a_part_that_had_ended_by_itself_is_told() -> None:
    async def ending() -> None:
        raise ValueError("the load broke")

    task = asyncio.create_task(ending())
    await asyncio.wait([task])
    with pytest.raises(ValueError, match="the load broke"):
        await _cancelled(task)


async def test_a_part_that_swallows_a_cancellation_is_ended_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.integration.torture.run._CANCEL_SECONDS_MAX", 0.01)
    began = asyncio.Event()

    async def swallowing() -> None:
        try:
            began.set()
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            await asyncio.Event().wait()

    task = asyncio.create_task(swallowing())
    await began.wait()
    await _cancelled(task)
    assert task.cancelled()
