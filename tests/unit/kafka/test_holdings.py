"""Tasks start and stop as the group says, and no folder ever has two."""

import asyncio
from collections import Counter
from typing import Any

from engine.kafka.shell.holdings import Holdings, Role, Work
from engine.kafka.task import Fenced


class Task:
    """A task that runs until it is told to stop, or ends as the test says."""

    def __init__(self, role: Role, number: int, open_now: Counter[int]) -> None:
        self.role = role
        self.number = number
        self.began = asyncio.Event()
        self.may_end = asyncio.Event()
        self.may_end.set()
        self.fails: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._open_now = open_now

    async def run(self, stop: asyncio.Event) -> None:
        self._open_now[self.number] += 1
        assert self._open_now[self.number] == 1, f"two tasks on the folder of {self.number}"
        self.began.set()
        stopping = asyncio.create_task(stop.wait())
        try:
            either: set[asyncio.Future[Any]] = {stopping, self.fails}  # Any: nobody looks at what they give
            await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
            if self.fails.done():
                self.fails.result()
            await self.may_end.wait()
        finally:
            stopping.cancel()
            self._open_now[self.number] -= 1


class Worker:
    """Holdings with what they started and what became of it."""

    def __init__(self) -> None:
        self.started: list[Task] = []
        self.fenced: list[Fenced] = []
        self.failures: list[Exception] = []
        self.open_now: Counter[int] = Counter()
        self.holdings = Holdings(self._work_on, self.fenced.append, self.failures.append)

    def _work_on(self, role: Role, number: int) -> Work:
        self.started.append(Task(role, number, self.open_now))
        return self.started[-1]

    async def working(self) -> dict[int, Role]:
        """What works once everything has settled."""
        for _ in range(10):
            await asyncio.sleep(0)
        return {number: self._latest(number).role for number, count in self.open_now.items() if count}

    def _latest(self, number: int) -> Task:
        return [each for each in self.started if each.number == number][-1]


async def test_what_is_given_is_worked_on_in_its_role() -> None:
    worker = Worker()
    worker.holdings.take({0, 1}, {2})
    assert await worker.working() == {0: Role.ACTIVE, 1: Role.ACTIVE, 2: Role.STANDBY}
    assert [each.number for each in worker.holdings.by_role(Role.ACTIVE)] == [0, 1]
    await worker.holdings.close()
    assert await worker.working() == {}


async def test_a_revocation_stops_active_tasks_and_leaves_standbys() -> None:
    worker = Worker()
    worker.holdings.take({0}, {2})
    await worker.working()
    await worker.holdings.release()
    assert await worker.working() == {2: Role.STANDBY}
    standby = worker.started[1]
    worker.holdings.take({0}, {2})
    assert await worker.working() == {0: Role.ACTIVE, 2: Role.STANDBY}
    assert worker.started.count(standby) == 1
    assert len(worker.started) == 3
    await worker.holdings.close()


async def test_a_standby_that_becomes_active_is_off_the_folder_first() -> None:
    worker = Worker()
    worker.holdings.take((), {0})
    await worker.working()
    standby = worker.started[0]
    standby.may_end.clear()
    worker.holdings.take({0}, ())
    assert await worker.working() == {0: Role.STANDBY}
    assert len(worker.started) == 1
    standby.may_end.set()
    assert await worker.working() == {0: Role.ACTIVE}
    await worker.holdings.close()


async def test_a_change_of_mind_starts_only_what_is_wanted_last() -> None:
    worker = Worker()
    worker.holdings.take({0}, ())
    await worker.working()
    worker.started[0].may_end.clear()
    worker.holdings.take((), {0})
    worker.holdings.take({0}, ())
    worker.holdings.take((), {0})
    worker.started[0].may_end.set()
    assert await worker.working() == {0: Role.STANDBY}
    assert len(worker.started) == 2
    await worker.holdings.close()


async def test_a_fenced_task_starts_again_only_when_it_is_given_anew() -> None:
    worker = Worker()
    worker.holdings.take({0, 1}, ())
    await worker.working()
    worker.started[0].fails.set_exception(Fenced("partition 0: another worker has taken it over"))
    assert await worker.working() == {1: Role.ACTIVE}
    found = worker.holdings.find(0)
    assert found is not None
    assert found.fenced
    assert not worker.failures
    assert [str(each) for each in worker.fenced] == ["partition 0: another worker has taken it over"]
    worker.holdings.take({0, 1}, ())
    assert await worker.working() == {0: Role.ACTIVE, 1: Role.ACTIVE}
    await worker.holdings.close()


async def test_any_other_failure_is_for_who_runs_the_process() -> None:
    worker = Worker()
    worker.holdings.take({0}, ())
    await worker.working()
    error = AssertionError("an invariant")
    worker.started[0].fails.set_exception(error)
    assert await worker.working() == {}
    assert worker.failures == [error]
    await worker.holdings.close()


async def test_a_task_that_does_not_stop_is_cut_off() -> None:
    worker = Worker()
    worker.holdings.take({0}, ())
    await worker.working()
    worker.started[0].may_end.clear()
    await worker.holdings.close()
    assert await worker.working() == {}


async def test_nothing_starts_after_the_end() -> None:
    worker = Worker()
    worker.holdings.take({0}, ())
    await worker.holdings.close()
    worker.holdings.take({0, 1}, {2})
    assert await worker.working() == {}
