"""An event loop without threads, sockets or a clock of its own: a seed decides what runs next, and time is a number.

Whatever is ready may run first, so that no order of tasks is taken for granted; what is to run later runs when nothing
is ready, and time then jumps to it. ``run_in_executor`` does its work at the start or at the end of a time that the
seed decides: both are what a thread may do.
"""

import asyncio
import heapq
from collections.abc import Callable, Coroutine, Generator
from concurrent.futures import Executor
from contextvars import Context
from random import Random
from typing import Any, Final, TypeVar, TypeVarTuple, Unpack

T = TypeVar("T")
Ts = TypeVarTuple("Ts")
_STEP_SECONDS_MAX: Final = 0.000_2  # what one step takes at most
_ROUNDS_MAX: Final = 20
_STEPS_A_ROUND: Final = 500
_IN_ORDER: Final = 0.5  # how often what was ready first runs first


class ProcessEnded(KeyboardInterrupt):
    """The process ends here. Nothing may catch it, so it is what asyncio lets through."""


class SimulatedLoop(asyncio.BaseEventLoop):
    """One process's loop. ``time`` goes on from where the last process left it."""

    def __init__(self, random: Random, now: float, executor_seconds: Callable[[], float]) -> None:
        super().__init__()
        self._random = random
        self._now = now
        self._executor_seconds = executor_seconds
        self._runnable: list[asyncio.Handle] = []
        self._later: list[tuple[float, int, asyncio.TimerHandle]] = []
        self._count = 0
        self._tasks: list[asyncio.Task[Any]] = []  # Any: tasks of every kind
        self.errors: list[str] = []
        self.steps = 0

    # What the simulator does

    def step(self) -> None:
        """Runs one callback; where none is ready, time jumps to the next timer. There must be one."""
        self._wake()
        while not self._runnable:
            self._now = max(self._now, self._later[0][0])
            self._wake()
        in_order = self._random.random() < _IN_ORDER
        handle = self._runnable.pop(0 if in_order else self._random.randrange(len(self._runnable)))
        self._now += self._random.random() * _STEP_SECONDS_MAX
        self.steps += 1
        if not handle.cancelled():
            asyncio._set_running_loop(self)
            try:
                handle._run()
            finally:
                asyncio._set_running_loop(None)

    def _wake(self) -> None:
        while self._later and self._later[0][0] <= self._now:
            self._runnable.append(heapq.heappop(self._later)[2])

    def run_until(self, done: Callable[[], bool], seconds_max: float) -> bool:
        """Runs until ``done``; False where that takes longer than allowed."""
        until = self._now + seconds_max
        while not done():
            if self._now > until:
                return False
            self.step()
        return True

    def clear(self) -> None:
        """Ends every task of a process that is over, so that nothing of it is left to be collected."""
        for _ in range(_ROUNDS_MAX):  # a cancelled wait_for may return all the same: then it takes another
            left = [task for task in self._tasks if not task.done()]
            if not left:
                break
            for task in left:
                task.cancel()
            for _ in range(_STEPS_A_ROUND):
                if not (self._runnable or self._later):
                    break
                self.step()
        for task in self._tasks:
            if task.done() and not task.cancelled():
                task.exception()
        # A future whose waiter was cancelled in the same step is never freed by CPython 3.11; it shall keep little.
        self._tasks.clear()
        self._runnable.clear()
        self._later.clear()
        self._executor_seconds = float
        self._closed = True

    # What asyncio asks of a loop

    def time(self) -> float:
        return self._now

    def call_soon(
        self, callback: Callable[[Unpack[Ts]], object], *args: *Ts, context: Context | None = None
    ) -> asyncio.Handle:
        handle = asyncio.Handle(callback, args, self, context)
        self._runnable.append(handle)
        return handle

    def call_later(
        self, delay: float, callback: Callable[[Unpack[Ts]], object], *args: *Ts, context: Context | None = None
    ) -> asyncio.TimerHandle:
        return self.call_at(self._now + delay, callback, *args, context=context)

    def call_at(
        self, when: float, callback: Callable[[Unpack[Ts]], object], *args: *Ts, context: Context | None = None
    ) -> asyncio.TimerHandle:
        handle = asyncio.TimerHandle(when, callback, args, self, context)
        self._count += 1
        heapq.heappush(self._later, (when, self._count, handle))
        return handle

    def _timer_handle_cancelled(self, handle: asyncio.TimerHandle) -> None:
        """It is skipped when its time comes."""

    def create_future(self) -> asyncio.Future[Any]:
        return asyncio.Future(loop=self)

    def create_task(
        self,
        coro: Coroutine[Any, Any, T] | Generator[Any, None, T],
        *,
        name: object = None,
        context: Context | None = None,
    ) -> asyncio.Task[T]:
        task: asyncio.Task[T] = asyncio.Task(coro, loop=self, name=None if name is None else str(name), context=context)
        self._tasks.append(task)
        return task

    def run_in_executor(
        self, executor: Executor | None, func: Callable[[Unpack[Ts]], T], *args: *Ts
    ) -> asyncio.Future[T]:
        """Only the default executor; the result comes after ``executor_seconds``."""
        assert executor is None
        done: asyncio.Future[T] = asyncio.Future(loop=self)
        outcome: list[tuple[T | None, Exception | None]] = []

        def work() -> None:
            try:
                outcome.append((func(*args), None))
            except Exception as error:
                outcome.append((None, error))

        def finish() -> None:
            if not outcome:
                work()
            result, error = outcome[0]
            if done.done():
                return
            if error is not None:
                done.set_exception(error)
            else:
                done.set_result(result)  # type: ignore[arg-type]  # None where T is None

        if self._random.random() < 0.5:
            work()
        self.call_later(self._executor_seconds(), finish)
        return done

    def get_debug(self) -> bool:
        return False

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        self.errors.append(f"{context.get('message')}: {context.get('exception')!r}")
