"""A few tasks at a time fold and commit; one that waits too long does not keep others from it."""

import asyncio
import math

import pytest

from engine.kafka.turns import Turns, next_moment


class Tasks:
    """Tasks that take a turn each and end when told to."""

    def __init__(self, turns_max: int, seconds_max: float = 60.0) -> None:
        self._turns = Turns(turns_max, seconds_max)
        self.began: list[int] = []
        self.all_began = asyncio.Event()
        self._ends = [asyncio.Event() for _ in range(4)]
        self._tasks = [asyncio.create_task(self._work(number)) for number in range(4)]

    async def _work(self, number: int) -> None:
        async with self._turns.turn():
            self.began.append(number)
            if len(self.began) == len(self._tasks):
                self.all_began.set()
            await self._ends[number].wait()

    async def end(self, number: int) -> None:
        self._ends[number].set()
        await self._tasks[number]
        await self.idle()

    async def idle(self) -> None:
        """Until nobody can go on."""
        for _ in range(10):
            await asyncio.sleep(0)

    async def close(self) -> None:
        for number in range(4):
            self._ends[number].set()
        await asyncio.gather(*self._tasks)


async def test_turns_are_given_in_order_a_few_at_a_time() -> None:
    tasks = Tasks(2)
    await tasks.idle()
    assert tasks.began == [0, 1]
    await tasks.end(1)
    assert tasks.began == [0, 1, 2]
    await tasks.end(0)
    assert tasks.began == [0, 1, 2, 3]
    await tasks.close()


async def test_who_takes_too_long_does_not_count() -> None:
    tasks = Tasks(1, seconds_max=0.001)
    async with asyncio.timeout(30):
        await tasks.all_began.wait()
    assert tasks.began == [0, 1, 2, 3]
    await tasks.close()


@pytest.mark.parametrize(("backlogs", "seconds"), [(1, 0.5), (12, 0.5), (24, 0.25), (60, 0.1)])
async def test_one_backlog_is_folded_at_a_time_and_each_comes_to_its_turn(backlogs: int, seconds: float) -> None:
    turns, given, under_way = Turns(12), list[float](), 0

    async def fold() -> None:
        nonlocal under_way
        async with turns.backlog() as found:
            under_way += 1
            assert under_way == 1
            given.append(found)
            await asyncio.sleep(0)
            under_way -= 1

    async with asyncio.TaskGroup() as tasks:
        for _ in range(backlogs):
            tasks.create_task(fold())
    assert len(given) == backlogs
    assert given[0] == 0.5  # it was the only one then
    assert given[1:2] == [pytest.approx(seconds, rel=0.1)][: backlogs - 1]
    assert given[-1] == 0.5


@pytest.mark.parametrize("share", [0.0, 0.25, 11 / 12])
@pytest.mark.parametrize("ended", [0.0, 7.31, 123_456.789])
def test_a_task_comes_to_its_own_moment_of_the_interval_and_stays_there(ended: float, share: float) -> None:
    first = next_moment(ended, 0.05, share)
    assert ended + 0.0125 <= first < ended + 0.0625
    assert math.remainder(first - share * 0.05, 0.05) == pytest.approx(0, abs=1e-6)
    assert next_moment(first + 0.030, 0.05, share) == pytest.approx(first + 0.05)


def test_a_commit_that_took_too_long_leaves_a_moment_out() -> None:
    first = next_moment(7.31, 0.05, 0.25)
    assert next_moment(first + 0.045, 0.05, 0.25) == pytest.approx(first + 0.10)


def test_without_an_interval_a_task_never_waits() -> None:
    assert next_moment(5.0, 0.0, 0.5) == 5.0
