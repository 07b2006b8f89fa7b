"""Faults of workers that share the partitions by membership: joining, leaving, and being frozen out of the group."""

import shutil
import signal
from typing import Final

from tests.integration.torture.run import PARTITIONS, Slot, TortureRun
from tests.integration.torture.workers import Worker

_SHARED_SECONDS_MAX: Final = 120.0
_WORK_SECONDS: Final = 3.0


async def joined_and_left(run: TortureRun, count: int) -> None:
    """One more worker joins under load, takes its share, and leaves by SIGTERM or is killed and never comes back."""
    async with run.phase(f"{count} workers join and leave"):
        for slot in run.slots:
            await run.working(slot)
        for number in range(count):
            more = run.slot(f"more-{number}-{len(run.report.phases)}", [])
            run.slots.append(more)  # it is looked after like the others, while it is there
            try:
                worker = await run.working(more)
                await _has_partitions(worker)
                await worker.lived(run.chance.uniform(0.0, _WORK_SECONDS))
                run.assert_alive()
                if run.chance.random() < 0.5:
                    await run.end(more)
                    run.report.kills["joined, then left"] += 1
                else:
                    worker.kill()
                    await run.look(more)
                    run.report.kills["joined, then killed for good"] += 1
            finally:
                run.slots.remove(more)
                if more.worker is not None:
                    more.worker.kill()
            shutil.rmtree(more.data)
            await _shared_by_the_others(run, more)


async def frozen_out(run: TortureRun, count: int) -> None:
    """SIGSTOP until the group has given its partitions to others, then SIGCONT: it lets go, and comes back or ends."""
    async with run.phase(f"{count} workers frozen out of the group"):
        for slot in run.slots:
            await run.working(slot)
        for _ in range(count):
            slot = run.chance.choice(run.slots)
            zombie = await run.working(slot)
            await zombie.lived(run.chance.uniform(0.0, _WORK_SECONDS))
            shares = len(zombie.shares)
            zombie.send(signal.SIGSTOP)
            try:
                await _shared_by_the_others(run, slot)
            finally:
                zombie.send(signal.SIGCONT)
            await _is_back(zombie, shares)
            if not zombie.lives:
                run.report.landed["ended when it woke"] += 1
                await run.look(slot)
            run.report.kills["frozen out of the group"] += 1


async def _has_partitions(worker: Worker) -> None:
    await worker.until(lambda: any(worker.shares[-1:]), _SHARED_SECONDS_MAX)


async def _is_back(zombie: Worker, shares: int) -> None:
    """Returns when it has a share anew, or has ended."""
    await zombie.until(lambda: len(zombie.shares) > shares, _SHARED_SECONDS_MAX)


async def _shared_by_the_others(run: TortureRun, gone: Slot) -> None:
    """Returns when the workers beside that one have all partitions among them."""
    others = [slot for slot in run.slots if slot is not gone]
    first = others[0].worker
    assert first is not None
    every = set(range(PARTITIONS))
    await first.until(lambda: set[int]().union(*(slot.works_on for slot in others)) == every, _SHARED_SECONDS_MAX)
