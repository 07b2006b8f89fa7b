"""The faults beside kills at a point: each is a phase of a run, under load, with the comparison at its end."""

import asyncio
import shutil
import signal
import time
from collections.abc import Callable
from typing import Final

from schemas.topics import Topic
from tests.integration.torture.brokers import Brokers
from tests.integration.torture.run import PARTITIONS, TortureRun
from tests.integration.torture.workers import Worker

_ZOMBIE_ENDS_SECONDS_MAX: Final = 90.0
_LEFT_OPEN_SECONDS_MAX: Final = 90.0
_LOOK_SECONDS: Final = 0.1
_LEGS_SECONDS_MAX: Final = 90.0
_WORK_SECONDS: Final = 1.0
_DOWN_SECONDS: Final = 3.0
_BACK_SECONDS: Final = 5.0  # for a node to be in sync again
_AGAIN_SECONDS_MAX: Final = 90.0


async def _all_working(run: TortureRun) -> None:
    for slot in run.slots:
        await run.working(slot)


async def zombies(run: TortureRun, count: int) -> None:
    """SIGSTOP until a successor elsewhere has fenced it, then SIGCONT: the zombie ends, and leaves nothing behind."""
    async with run.phase(f"{count} workers frozen until fenced"):
        await _all_working(run)
        for number in range(count):
            slot = run.chance.choice(run.slots)
            zombie = await run.working(slot)
            await zombie.lived(run.chance.uniform(0.0, _WORK_SECONDS))
            zombie.send(signal.SIGSTOP)
            slot.worker, former = None, slot.data
            slot.data = former.with_name(f"{slot.name}-after-{number}-{len(run.report.phases)}")
            try:
                successor = await run.working(slot)
                await successor.lived(run.chance.uniform(0.0, _WORK_SECONDS))
                zombie.send(signal.SIGCONT)
                code = await zombie.ended(_ZOMBIE_ENDS_SECONDS_MAX)
            finally:
                zombie.kill()
            assert code == 3, f"the zombie ended with {code}:\n{zombie.shown()}"
            assert "has taken it over" in zombie.told(), zombie.shown()
            assert successor.lives, successor.shown()
            await run.look(slot, former)
            shutil.rmtree(former)
            run.report.kills["frozen, then fenced"] += 1


async def wiped(run: TortureRun, count: int) -> None:
    """A worker is killed and its disk is lost."""
    async with run.phase(f"{count} disks wiped"):
        await _all_working(run)
        for _ in range(count):
            slot = run.chance.choice(run.slots)
            worker = await run.working(slot)
            await worker.lived(run.chance.uniform(0.0, _WORK_SECONDS))
            worker.kill()
            shutil.rmtree(slot.data)
            await run.working(slot)
            run.report.kills["disk wiped"] += 1


async def moved(run: TortureRun, count: int) -> None:
    """A worker leaves, and another one elsewhere takes its partitions, by SIGTERM and a start: under load."""
    async with run.phase(f"{count} workers replaced by others"):
        await _all_working(run)
        for number in range(count):
            slot = run.chance.choice(run.slots)
            worker = await run.working(slot)
            await worker.lived(run.chance.uniform(0.0, _WORK_SECONDS))
            await run.end(slot)
            shutil.rmtree(slot.data)
            slot.data = slot.data.with_name(f"{slot.name}-moved-{number}-{len(run.report.phases)}")
            await run.working(slot)
            run.report.kills["left, another came"] += 1


async def legs_left_open(run: TortureRun, *, alone: bool) -> None:
    """A writer of legs is killed in its transaction: how long readers of the receivers' partitions wait.

    ``alone``: nobody takes its partitions until the broker has ended the transaction; else the next one comes at once.
    """
    when = "the broker ends it" if alone else "the next one comes"
    async with run.phase(f"legs left open until {when}") as phase:
        for slot in run.slots[1:]:
            await run.working(slot)
        slot = run.slots[0]
        worker = run.start(slot, "legs:3")
        assert not await worker.lived(_LEGS_SECONDS_MAX), "no transfer went to a partition of another worker"
        run.report.kills["legs"] += 1
        assert worker.popen.wait() == -signal.SIGKILL, f"{slot.name} ended by itself:\n{worker.shown()}"
        phase.note = await _released(run, None if alone else lambda: run.start(slot))


async def configuration_left_open(run: TortureRun, *, alone: bool) -> None:
    """A writer of configuration is killed in its transaction; every partition is held up until it is ended."""
    when = "the broker ends it" if alone else "the next one comes"
    async with run.phase(f"configuration left open until {when}") as phase, run.configuring_stopped():
        await _all_working(run)
        writer = run.start_configuring("legs:1")
        assert await writer.ended() == -signal.SIGKILL, f"the writer ended by itself:\n{writer.shown()}"
        run.report.kills["configuration"] += 1
        phase.note = await _released(run, None if alone else lambda: run.start_configuring(None))


async def _released(run: TortureRun, next_one: Callable[[], Worker] | None) -> str:
    """Returns when each partition of `events` that ends with an open transaction can be read further; what to note."""
    began = time.monotonic()
    now = await run.mirror.ends(Topic.EVENTS.value)
    held = {number: stable for number, (stable, end) in enumerate(now) if stable < end}
    assert held, "the kill left no transaction open"
    after = None if next_one is None else next_one()
    while held:
        assert time.monotonic() - began < _LEFT_OPEN_SECONDS_MAX, f"partitions {held} are held up for ever"
        await asyncio.sleep(_LOOK_SECONDS)
        ends = await run.mirror.ends(Topic.EVENTS.value)
        held = {number: stable for number, stable in held.items() if ends[number][0] <= stable}
    seconds = time.monotonic() - began
    if after is not None and after.partitions == ():
        assert await after.ended() == 0, after.shown()
    return f"held up {seconds:.1f} s"


async def broker_restarts(run: TortureRun, brokers: Brokers, number: signal.Signals) -> None:
    """Every node is ended at once, by that signal, and comes back; no worker ends by itself."""
    async with run.phase(f"all brokers down by {number.name} and back"):
        await _all_working(run)
        await asyncio.sleep(run.chance.uniform(0.0, _WORK_SECONDS))
        for node in brokers.nodes:
            await node.end(number)
        await asyncio.sleep(_DOWN_SECONDS)
        for node in brokers.nodes:
            node.start()
        run.report.kills[f"all brokers by {number.name}"] += 1
        await _works_again(run)


async def node_lost(run: TortureRun, brokers: Brokers, number: signal.Signals) -> None:
    """One node of three is ended by that signal; work goes on without it; it comes back."""
    async with run.phase(f"one node of three lost by {number.name} and back"):
        await _all_working(run)
        node = run.chance.choice(brokers.nodes)
        await node.end(number)
        run.report.kills[f"a node of three by {number.name}"] += 1
        await _works_again(run)
        node.start()
        await asyncio.sleep(_BACK_SECONDS)
        await _works_again(run)


async def _works_again(run: TortureRun) -> None:
    """Returns when every partition has committed something since; no worker has ended by then."""
    before = [len(await run.mirror.metas(number)) for number in range(PARTITIONS)]
    end = time.monotonic() + _AGAIN_SECONDS_MAX
    while any([len(await run.mirror.metas(number)) <= before[number] for number in range(PARTITIONS)]):
        run.assert_alive()
        assert time.monotonic() < end, "some partition is not worked on any more"
        await asyncio.sleep(_LOOK_SECONDS)
