"""What a worker holds: one task a partition, active or standby, and never two tasks on one folder.

The group says which partitions; here tasks are started and stopped as it says. Starting never waits, because a member
that waits inside of an assignment sends no heartbeats; stopping does, so that a partition that goes to another worker
is closed before the group goes on.
"""

import asyncio
from collections.abc import Callable, Iterable
from enum import Enum
from typing import Final, Protocol

from engine.kafka.task import Fenced, PartitionTask

_STOP_SECONDS_MAX: Final = 3.0  # a commit takes milliseconds; what is cut off is what a kill would cut off
_CUT_SECONDS_MAX: Final = 1.0  # for a cut task to close its store; the folder's next task waits for it without bound


class Role(Enum):
    """Which work on a partition."""

    ACTIVE = "active"
    STANDBY = "standby"


class Work(Protocol):
    """A task on one partition."""

    async def run(self, stop: asyncio.Event) -> None:
        """Works until ``stop``. Raises Fenced; whatever else it raises ends the process."""
        ...


class Holding:
    """One partition's tasks, one after the other. ``work`` is None between two of them."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.role: Role | None = None
        self.work: Work | None = None
        self.fenced = False
        self._stop = asyncio.Event()
        self._folder = asyncio.Lock()
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def is_over(self) -> bool:
        """Whether its last task has ended, by itself or because it was asked to."""
        return not self._tasks or self._stop.is_set()

    def start(self, role: Role, work_on: Callable[[Role, int], Work], ended: Callable[[Exception], None]) -> None:
        """Starts a task once the former one is off the folder. Waits for nothing."""
        self._stop.set()
        self._stop = stop = asyncio.Event()
        self.role, self.fenced = role, False
        task = asyncio.create_task(self._run(role, stop, work_on, ended))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _run(
        self,
        role: Role,
        stop: asyncio.Event,
        work_on: Callable[[Role, int], Work],
        ended: Callable[[Exception], None],
    ) -> None:
        async with self._folder:
            if stop.is_set():
                return
            self.work = work_on(role, self.number)
            try:
                await self.work.run(stop)
            except Fenced as error:
                self.fenced = True
                ended(error)
            except Exception as error:
                ended(error)
            finally:
                self.work = None

    def tell_to_stop(self) -> None:
        """Asks the task to end after what it is doing."""
        self._stop.set()
        self.role = None

    async def stopped(self) -> None:
        """Returns when nothing works here any more; what takes too long is cut off."""
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=_STOP_SECONDS_MAX)
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=_CUT_SECONDS_MAX)


class Holdings:
    """The partitions of a worker. ``work_on`` makes a task; ``fenced`` hears of partitions that others have taken
    over, ``failed`` of what ends the process."""

    def __init__(
        self,
        work_on: Callable[[Role, int], Work],
        fenced: Callable[[Fenced], None],
        failed: Callable[[Exception], None],
    ) -> None:
        self._work_on = work_on
        self._fenced = fenced
        self._failed = failed
        self._all: dict[int, Holding] = {}
        self._paused: set[int] = set()
        self._closed = False

    def find(self, number: int) -> Holding | None:
        """The holding of a partition, whatever it does; None where this worker has had nothing to do with it."""
        return self._all.get(number)

    def by_role(self, role: Role) -> list[Holding]:
        """What is held in that role now, by number."""
        return [each for _, each in sorted(self._all.items()) if each.role is role]

    def take(self, actives: Iterable[int], standbys: Iterable[int]) -> None:
        """From now on these and no others. What is held in the same role goes on; a fenced task starts again."""
        if self._closed:
            return
        wanted = dict.fromkeys(standbys, Role.STANDBY) | dict.fromkeys(actives, Role.ACTIVE)
        for number, holding in self._all.items():
            if number not in wanted:
                holding.tell_to_stop()
        self._paused &= {number for number, role in wanted.items() if role is Role.ACTIVE}
        for number, role in wanted.items():
            holding = self._all.setdefault(number, Holding(number))
            if holding.role is not role or holding.is_over:
                holding.start(role, self._worked_on, self._ended)

    def pause(self, number: int, *, paused: bool) -> None:
        """Lets the partition rest, or go on, for as long as this worker has it."""
        holding = self._all.get(number)
        if holding is None or holding.role is not Role.ACTIVE:
            return
        if paused:
            self._paused.add(number)
        else:
            self._paused.discard(number)
        if isinstance(holding.work, PartitionTask):
            holding.work.paused = paused

    async def release(self) -> None:
        """Stops every active task, and returns when all have closed their stores. Standbys disturb nobody."""
        await self._stop(self.by_role(Role.ACTIVE))

    async def close(self) -> None:
        """Stops everything for good."""
        self._closed = True
        await self._stop(list(self._all.values()))

    def _worked_on(self, role: Role, number: int) -> Work:
        work = self._work_on(role, number)
        if isinstance(work, PartitionTask):
            work.paused = number in self._paused
        return work

    async def _stop(self, holdings: list[Holding]) -> None:
        for each in holdings:
            each.tell_to_stop()
        await asyncio.gather(*(each.stopped() for each in holdings))

    def _ended(self, error: Exception) -> None:
        if isinstance(error, Fenced):
            self._fenced(error)
        else:
            self._failed(error)
