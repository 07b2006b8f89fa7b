"""A worker: what gives it partitions, tasks and door, from start to hand-over."""

import asyncio
import signal
import socket
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Final, Protocol

from prometheus_client import CollectorRegistry

from engine.collector import YOUNG_MAX, spare_collector
from engine.kafka.client_history import LogHistories
from engine.kafka.metrics import TaskMetrics
from engine.kafka.shell.commands import Commands
from engine.kafka.shell.door import create_door
from engine.kafka.shell.holdings import Holdings, Role, Work
from engine.kafka.shell.hooks import Assignment, Hooks
from engine.kafka.shell.leader import Leader
from engine.kafka.shell.metrics import ShellMetrics
from engine.kafka.shell.routing import Others
from engine.kafka.shell.status import WorkerStatus, partitions_of, readiness
from engine.kafka.shell.views import WorkerViews
from engine.kafka.standby import StandbyTask
from engine.kafka.task import Fenced, PartitionTask, TaskOptions
from engine.kafka.transactions import tell_failures_once
from projections.api import ApiOptions, serve

_HAND_OVER_SECONDS_MAX: Final = 4.0  # for tasks and group together; usually half a second
_LEAVE_SECONDS_MIN: Final = 0.3
_CANCEL_SECONDS_MAX: Final = 0.2
_DOOR_SECONDS_MAX: Final = 0.5  # what is in flight has been answered, or is asked of another worker again
_OBJECTS_MAX: Final = 8  # that the collector follows, of an event under way: above 2.5, by measurement, and below this


class Belonging(Protocol):
    """What says which partitions are this worker's: ``Membership`` of a group, or ``GivenPartitions``."""

    is_settled: bool
    is_reached: bool

    @property
    def url(self) -> str: ...

    async def run(self) -> None: ...

    async def stop(self, seconds_max: float) -> bool: ...

    def is_leader(self) -> bool: ...

    def owners(self) -> Mapping[int, str]: ...

    def urls(self) -> list[str]: ...


class Worker:
    """One worker. ``join`` makes what gives it partitions; ``bound``: where its door listens already, if it has one;
    ``history_records_max``: of a partition, read for one history; ``ends_fenced``: whether it ends once others have
    taken over all it has, because nobody gives it anything again."""

    def __init__(
        self,
        options: TaskOptions,
        join: Callable[[Hooks], Belonging],
        api: ApiOptions,
        bound: socket.socket | None,
        tell: Callable[[str], None],
        *,
        history_records_max: int,
        ends_fenced: bool = False,
    ) -> None:
        self._options = options
        self._api = api
        self._bound = bound
        self._tell = tell
        self._stop = asyncio.Event()
        self._failure: Exception | None = None
        registry = CollectorRegistry()
        self._task_metrics, self._metrics = TaskMetrics(registry), ShellMetrics(registry)
        self._ends_fenced = ends_fenced
        self._holdings = Holdings(self._work_on, self._fenced, self._failed)
        self._commands = Commands(self._holdings, tell, self._failed, self._count_command)
        self._membership = join(Hooks(self._revoked, self._assigned, self._commands.take, self._led))
        self._others = Others(self._metrics.forwarded)
        self._histories = LogHistories(options, history_records_max)
        self._leader = Leader(
            options.partitions, self._others, self._metrics, tell, self._membership.urls, self._status
        )
        self._door = None if bound is None else create_door(self._views(), self._status, api, registry)

    async def run(self) -> None:
        """Works on what it is given until SIGTERM or SIGINT, then hands over, in less than 5 s. Raises what ended it:
        MembershipError, Fenced, StoreError, AssertionError, ListenError, KafkaError."""
        closing = asyncio.Event()
        under_way = 2 * self._options.batch_records_max * _OBJECTS_MAX  # one is folded while another one is committed
        spare_collector(max(YOUNG_MAX, under_way))
        tell_failures_once(asyncio.get_running_loop())
        with _signals(self._stop):
            door = asyncio.create_task(self._guarded(self._opened(closing)))
            try:
                await self._work()
            finally:
                closing.set()
                await asyncio.wait({door}, timeout=_DOOR_SECONDS_MAX)
                door.cancel()
                await self._others.close()
        if self._failure is not None:
            raise self._failure
        self._tell("stopped: its partitions are free for others")

    async def _work(self) -> None:
        member = asyncio.create_task(self._guarded(self._membership.run()))
        try:
            await self._stop.wait()
        finally:
            # The tasks end first, while the group still hears from us, and only then is it told.
            self._membership.is_settled = False
            self._histories.close()
            stopping = time.monotonic()
            await self._holdings.close()
            member.cancel()
            await asyncio.wait({member}, timeout=_CANCEL_SECONDS_MAX)
            left = max(_LEAVE_SECONDS_MIN, _HAND_OVER_SECONDS_MAX - (time.monotonic() - stopping))
            if not await self._membership.stop(left):
                self._tell("the group was not told: it finds out when the session of this worker ends")

    async def _opened(self, closing: asyncio.Event) -> None:
        if self._door is not None:
            await serve(self._door, self._api, closing, self._bound)

    async def _guarded(self, part: Awaitable[None]) -> None:
        try:
            await part
        except Exception as error:
            self._failed(error)

    def _failed(self, error: Exception) -> None:
        if self._failure is None:
            self._failure = error
        self._stop.set()

    def _fenced(self, error: Fenced) -> None:
        if not self._ends_fenced:
            self._tell(f"{error}; it begins again when the group gives it to this worker anew")
            return
        self._tell(str(error))
        if all(each.fenced for each in self._holdings.by_role(Role.ACTIVE)):
            self._failed(error)

    def _work_on(self, role: Role, number: int) -> Work:
        task = PartitionTask if role is Role.ACTIVE else StandbyTask
        return task(self._options, number, self._tell, metrics=self._task_metrics)

    async def _revoked(self) -> None:
        started = time.monotonic()
        self._metrics.settled.set(0)
        await self._holdings.release()
        self._metrics.release_seconds.set(time.monotonic() - started)

    def _assigned(self, assignment: Assignment) -> None:
        actives, standbys = assignment.actives, assignment.standbys - assignment.actives
        self._tell(f"works on {_numbers(actives)}, stands by for {_numbers(standbys)}")
        self._holdings.take(actives, standbys)
        self._metrics.shares.inc()
        self._metrics.settled.set(1)
        self._metrics.leader.set(0)
        self._metrics.partitions.labels(Role.ACTIVE.value).set(len(actives))
        self._metrics.partitions.labels(Role.STANDBY.value).set(len(standbys))

    async def _led(self) -> None:
        self._metrics.leader.set(1)
        await self._leader.look()

    def _count_command(self, name: str) -> None:
        self._metrics.commands.labels(name).inc()

    def _views(self) -> WorkerViews:
        return WorkerViews(
            self._options.partitions,
            self._membership.url,
            self._holdings,
            self._others,
            self._histories,
            self._membership.owners,
            lambda: readiness(self._holdings, self._membership),
        )

    def _status(self) -> WorkerStatus:
        membership = self._membership
        return WorkerStatus(
            membership.url, membership.is_leader(), membership.is_settled, partitions_of(self._holdings)
        )


@contextmanager
def _signals(stop: asyncio.Event) -> Iterator[None]:
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    try:
        yield
    finally:
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(number)


def _numbers(given: frozenset[int]) -> str:
    return ",".join(str(number) for number in sorted(given)) or "none"
