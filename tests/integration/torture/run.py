"""One torture run: workers under load, faults drawn from a seed, and after each kind of fault the comparison."""

import asyncio
import random
import secrets
import signal
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Final

from engine.kafka.clients import Connection, open_admin
from engine.kafka.task import TaskOptions
from engine.kafka.topics import CHANGELOG, create_topics
from engine.kafka.worker import cluster_of
from engine.partition import keys
from engine.store.ports import STATE
from tests.integration.torture.load import Load
from tests.integration.torture.mirror import Mirror
from tests.integration.torture.report import Phase, Report
from tests.integration.torture.slow import SlowConsumer
from tests.integration.torture.stores import first_difference, held, meta_of, restore
from tests.integration.torture.watch import Watch
from tests.integration.torture.workers import Worker, free_port

PARTITIONS: Final = 6  # so that a third worker of a group gets some
POINTS: Final = ("committed", "committed", "sent", "legs", "committing", "written", "restoring", "outside", "starting")
"""Where a kill is aimed at: inside of the process (``entry``), or from outside at any moment, or during its start."""
_PASSES_MAX: Final = {"legs": 8, "restoring": 3}
_PASSES_ELSE_MAX: Final = 20
_LIFE_SECONDS_MAX: Final = 12.0  # of a worker whose point does not come; it is killed from outside then
_SEEN_SECONDS_MAX: Final = 30.0  # until what a killed worker has committed is visible
_SEEN_PLANTED_SECONDS_MAX: Final = 3.0  # where a bug is planted, and the store is to be found ahead
_SETTLE_SECONDS: Final = 0.3
_CANCEL_SECONDS_MAX: Final = 30.0
_DRAIN_SECONDS_MAX: Final = 120.0
_SESSION_SECONDS: Final = "6"  # the shortest that brokers allow by default


class Slot:
    """A machine: its partitions (None: as the group says), its disk, its worker, and the chance by which it suffers."""

    def __init__(self, name: str, partitions: list[int] | None, data: Path, seed: int) -> None:
        self.name = name
        self.partitions = partitions
        self.data = data
        self.chance = random.Random(f"{seed}-{name}")
        self.worker: Worker | None = None
        self.port = free_port()

    @property
    def works_on(self) -> set[int]:
        """What its worker, which may have ended, was to work on last."""
        if self.partitions is not None:
            return set(self.partitions)
        shares = [] if self.worker is None else self.worker.shares
        return shares[-1] if shares else set()


class TortureRun:
    """Topics of its own on a broker. ``group``: workers share the partitions by membership; ``planted``: a bug of
    ``entry`` for all workers; ``looking``: into the stores of workers that were killed; ``tell``: a line of progress.

    Phases are called one after another; each ends with ``audit``.
    """

    def __init__(
        self,
        bootstrap: str,
        folder: Path,
        seed: int,
        *,
        workers: int = 2,
        group: bool = False,
        rate: float = 120.0,
        planted: str | None = None,
        looking: bool = True,
        tell: Callable[[str], None] = lambda line: None,
    ) -> None:
        self._folder = folder
        self.report = Report(seed)
        self.prefix = f"torture-{secrets.token_hex(3)}-"
        self.connection = Connection(bootstrap=bootstrap)
        self.load = Load(self.connection, self.prefix, PARTITIONS, seed, rate)
        self.mirror = Mirror(self.connection, self.prefix, PARTITIONS)
        self.group = group
        self.slots = [self.slot(f"w{number}", list(range(number, PARTITIONS, workers))) for number in range(workers)]
        self.tell = tell
        self.chance = random.Random(seed)
        self._planted = planted
        self._looks = looking
        self._watch = Watch(self.connection, self.prefix, PARTITIONS)
        self._slow = SlowConsumer(self.connection, self.prefix, PARTITIONS)
        self._looking = asyncio.Lock()
        self._beside: list[asyncio.Task[None]] = []
        self._cluster = ""

    @asynccontextmanager
    async def running(self) -> AsyncIterator["TortureRun"]:
        """Topics, load and readers, up; all processes are ended at the end."""
        async with AsyncExitStack() as stack:
            admin = open_admin(self.connection)
            await admin.start()
            await create_topics(admin, self.prefix, PARTITIONS, None)
            await admin.close()
            self._cluster, _ = await cluster_of(self.connection, self.prefix)
            stack.callback(self._kill_all)
            for part in (self.load, self.mirror):
                await part.start()
                stack.push_async_callback(part.stop)
            await self.load.set_up()
            for each in (self.load.run(), self._watch.run(), self._slow.run()):
                task = asyncio.create_task(each)
                self._beside.append(task)
                stack.push_async_callback(_cancelled, task)
            self._configuring = asyncio.create_task(self.load.configure())
            try:
                yield self
                self.report.counts["seen by a slow consumer"] = await self._slow.check(self.mirror.notifications)
            finally:
                await _cancelled(self._configuring)

    def _kill_all(self) -> None:
        for slot in self.slots:
            if slot.worker is not None:
                slot.worker.kill()

    # Processes

    def slot(self, name: str, partitions: list[int]) -> Slot:
        """A machine, with those partitions where no group shares them out."""
        return Slot(name, None if self.group else partitions, self._folder / name, self.report.seed)

    def start(self, slot: Slot, kill: str | None = None) -> Worker:
        """A worker of that slot, beside nobody."""
        assert slot.worker is None or not slot.worker.lives
        slot.data.mkdir(parents=True, exist_ok=True)
        share = ["--instance", slot.name, "--port", str(slot.port), "--session-seconds", _SESSION_SECONDS]
        if slot.partitions is not None:
            share = ["--partitions", ",".join(map(str, slot.partitions))]
        to = ["--bootstrap", self.connection.bootstrap, "--prefix", self.prefix, "--data", str(slot.data)]
        slot.worker = Worker(
            self._folder / f"{slot.name}.told",
            ["worker", *to, *share],
            partitions=slot.partitions,
            kill=kill,
            planted=self._planted,
        )
        return slot.worker

    async def working(self, slot: Slot) -> Worker:
        """The worker of that slot, started where there is none, once it works on what it was given."""
        worker = slot.worker if slot.worker is not None and slot.worker.lives else self.start(slot)
        await worker.ready()
        assert worker.lives, f"{slot.name} ended by itself:\n{worker.shown()}"
        return worker

    async def end(self, slot: Slot) -> None:
        """SIGTERM, after which it ends well and soon."""
        assert slot.worker is not None
        began = time.monotonic()
        slot.worker.send(signal.SIGTERM)
        code = await slot.worker.ended()
        assert code == 0, f"{slot.name} ended with {code} after SIGTERM:\n{slot.worker.shown()}"
        self.report.stop_seconds_max = max(self.report.stop_seconds_max, time.monotonic() - began)

    def start_configuring(self, kill: str | None) -> Worker:
        """A process that writes one piece of configuration."""
        place = (self.connection.bootstrap, self.prefix, str(PARTITIONS))
        return Worker(self._folder / "configure.told", ["configure", *place], partitions=(), kill=kill)

    @asynccontextmanager
    async def configuring_stopped(self) -> AsyncIterator[None]:
        """The load writes no configuration meanwhile: there is one writer at a time."""
        await _cancelled(self._configuring)
        try:
            yield
        finally:
            self._configuring = asyncio.create_task(self.load.configure())

    # Kills

    async def kills(self, count: int, points: Sequence[str] = POINTS) -> None:
        """SIGKILL so often in all at those points, under load, each followed by a look at what it left.

        The first of them is where every worker is killed first.
        """
        async with self.phase(f"{count} kills under load"):
            await _all(self._killed(slot, -(-count // len(self.slots)), points) for slot in self.slots)

    async def _killed(self, slot: Slot, count: int, points: Sequence[str]) -> None:
        left = [points[0]]
        for _ in range(count):
            point = left.pop()
            left = left or slot.chance.sample(points, len(points))
            inside = point not in ("outside", "starting")
            passes = slot.chance.randint(1, _PASSES_MAX.get(point, _PASSES_ELSE_MAX))
            worker = self.start(slot, f"{point}:{passes}" if inside else None)
            if not inside:
                if point == "outside":
                    await worker.ready()
                await worker.lived(slot.chance.uniform(0.0, 1.5))
            else:
                await worker.ready()
                if await worker.lived(_LIFE_SECONDS_MAX):
                    point = "outside"
            worker.kill()
            assert worker.popen.wait() == -signal.SIGKILL, f"{slot.name} ended by itself:\n{worker.shown()}"
            self.report.kills[point] += 1
            if self._looks:
                await self.look(slot)

    async def look(self, slot: Slot, data: Path | None = None) -> None:
        """Where a kill landed: each store must be at something that was committed, the last of it or one before.

        ``data``: the folder of a former worker of that slot, which may be any time behind.
        """
        async with self._looking:
            found = set()
            await asyncio.sleep(_SETTLE_SECONDS)
            for number in range(PARTITIONS) if slot.partitions is None else slot.partitions:
                meta = await asyncio.to_thread(meta_of, data or slot.data, self.prefix, number)
                end = time.monotonic() + (_SEEN_SECONDS_MAX if self._planted is None else _SEEN_PLANTED_SECONDS_MAX)
                while meta is not None and meta not in await self.mirror.metas(number):
                    assert time.monotonic() < end, f"the store of partition {number} is ahead of what was committed"
                    await asyncio.sleep(_SETTLE_SECONDS)
                is_behind = meta is not None and meta != (await self.mirror.metas(number))[-1]
                if (
                    is_behind
                    and number in slot.works_on
                    and number not in {each for other in self.slots if other is not slot for each in other.works_on}
                ):
                    found.add("store behind the changelog")
            ends = await self.mirror.ends(CHANGELOG)
            if any(stable < end for stable, end in (ends[number] for number in slot.works_on)):
                found.add("transaction left open")
            if data is None:
                self.report.landed.update(found or {"nothing under way"})

    def check_landed(self) -> None:
        """Fails where no kill was between a commit and the store's write: it has shown less than it should."""
        found = self.report.landed["store behind the changelog"]
        assert found, f"no kill landed between a commit and the store's write: {self.report.landed}"

    # Comparing

    @asynccontextmanager
    async def phase(self, name: str) -> AsyncIterator[Phase]:
        """A phase under load, then its audit."""
        began = time.monotonic()
        self.load.go()
        self._watch.begin()
        phase = Phase(name)
        yield phase
        for slot in self.slots:
            await self.working(slot)
        phase.held_up_seconds, phase.gap_seconds = self._watch.end()
        await self.audit()
        phase.seconds = time.monotonic() - began
        self.report.phases.append(phase)
        self.tell(f"{phase.name}: {phase.seconds:.0f} s, {self.load.lines:,} lines so far")

    async def audit(self) -> None:
        """Lets all be worked off, ends the workers, and compares. Raises AssertionError."""
        for task in (*self._beside, self._configuring):
            if task.done():  # a phase without its load, or without its readers, shows nothing
                task.result()
        await self.load.pause()
        async with asyncio.timeout(_DRAIN_SECONDS_MAX):
            while not await self.mirror.is_settled():
                self.assert_alive()
                await asyncio.sleep(_SETTLE_SECONDS)
        await _all(self.end(slot) for slot in self.slots)
        await self._compare_stores()
        await self.mirror.compare()
        self.mirror.check_names(self.load.acknowledged, self.load.sent)
        await asyncio.to_thread(self.mirror.check_money)
        counts = self.report.counts
        counts.update(self.mirror.counts)
        self.mirror.counts.clear()
        for status, count in self.load.configured.items():
            counts[f"configuration {status}"] = count
        counts["acknowledged events"] = self.load.acknowledged.total()

    def assert_alive(self) -> None:
        """Fails where a worker has ended by itself."""
        for slot in self.slots:
            assert slot.worker is not None
            assert slot.worker.lives, f"{slot.name} ended:\n{slot.worker.shown()}"

    async def _compare_stores(self) -> None:
        """What each store holds against a restore of its partition from the changelog into an empty folder."""
        empty = self._folder / f"restored-{len(self.report.phases)}"
        options = TaskOptions(
            connection=self.connection,
            cluster=self._cluster,
            app=f"{self.prefix}plimsoll",
            prefix=self.prefix,
            partitions=PARTITIONS,
            data=empty,
        )
        for number in range(PARTITIONS):
            await restore(options, number)
            restored = held(empty, self.prefix, number)
            last = restored.get((STATE, keys.prefix(number, keys.META)))
            compared = 0
            for slot in self.slots:
                # In a group a store may be of one who had the partition before: it is as far as it was then.
                if self.group and meta_of(slot.data, self.prefix, number) != last:
                    continue
                if slot.partitions is None or number in slot.partitions:
                    running = held(slot.data, self.prefix, number)
                    assert running == restored, f"partition {number}: {first_difference(running, restored)}"
                    self.report.counts["keys of restored stores"] += len(running)
                    compared += 1
            assert compared, f"partition {number}: no store is as far as the changelog"


async def _all(parts: Iterable[Coroutine[None, None, None]]) -> None:
    """Side by side; the first failure ends the others and is raised as it is, with a line for each of the others."""
    failures: Sequence[Exception] = ()
    try:
        async with asyncio.TaskGroup() as group:
            for part in parts:
                group.create_task(part)
    except ExceptionGroup as failed:
        failures = failed.exceptions
    if failures:  # outside of the handler: raised in it, the failure would lose its own cause
        first, *others = failures
        for other in others:
            first.add_note(f"besides {type(other).__name__}: {other}")
        raise first


async def _cancelled(task: "asyncio.Task[None]") -> None:
    """Ends what runs beside the phases. Raises what it had ended by itself with, which nobody else looks at."""
    while not task.done():
        task.cancel()  # a client of the cluster that fails while it is closed takes one for its own
        await asyncio.wait([task], timeout=_CANCEL_SECONDS_MAX)
    if not task.cancelled():
        task.result()
