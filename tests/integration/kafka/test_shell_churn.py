"""Workers that come and go at random while events come in: whoever is left works, and nothing comes out wrong."""

import asyncio
import os
import random
import signal
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from tests.integration.kafka.cluster import Cluster, assert_equal_to_replay
from tests.integration.kafka.test_shell import PARTITIONS, Member
from tests.integration.kafka.test_shell_load import load
from tests.integration.kafka.test_worker import opening

pytestmark = pytest.mark.kafka

SLOTS = 3
STEPS = int(os.environ.get("PLIMSOLL_TEST_CHURN_STEPS", "6"))
STEP_SECONDS = (0.5, 5.0)


class Slots:
    """Three places for workers, each with a folder of its own."""

    def __init__(self, cluster: Cluster, folder: Path, dice: random.Random, stack: AsyncExitStack) -> None:
        self.done: list[str] = []
        self._cluster = cluster
        self._folder = folder
        self._dice = dice
        self._stack = stack
        self._live: dict[int, Member] = {}

    def start(self, slot: int) -> Member:
        member = Member(self._cluster, self._folder / str(slot))
        self._stack.callback(member.kill)
        self._live[slot] = member
        return member

    async def step(self) -> None:
        """One thing that happens to one worker; a frozen one wakes up after longer than its session, or shorter."""
        free = [slot for slot in range(SLOTS) if slot not in self._live]
        if free and (not self._live or self._dice.random() < 0.5):
            slot = self._dice.choice(free)
            self.done.append(f"start {slot}")
            self.start(slot)
            return
        slot = self._dice.choice(sorted(self._live))
        member = self._live[slot]
        what = self._dice.choice(("stop", "kill", "freeze"))
        self.done.append(f"{what} {slot}")
        if what == "freeze":
            os.kill(member.popen.pid, signal.SIGSTOP)
            await asyncio.sleep(self._dice.uniform(1, 12))
            os.kill(member.popen.pid, signal.SIGCONT)
            return
        del self._live[slot]
        if what == "kill":
            member.kill()
        else:
            await self._stopped(member)

    async def end(self) -> None:
        for member in self._live.values():
            assert member.popen.poll() is None, (self.done, member.lines, member.errors)
            await self._stopped(member)

    def told(self, *others: Member) -> str:
        """What was done, and what every worker said."""
        members = [*others, *self._live.values()]
        return "\n".join([str(self.done), *("\n".join(["--", *each.lines, *each.errors]) for each in members)])

    async def _stopped(self, member: Member) -> None:
        begun = bool(member.shares())
        code = await asyncio.to_thread(member.stop)
        # Before it has begun the signal may come before the handler of it.
        assert code == 0 or (code == -signal.SIGTERM and not begun), (self.done, member.lines, member.errors)


@pytest.mark.parametrize("seed", [int(os.environ.get("PLIMSOLL_TEST_CHURN_SEED", "7"))])
async def test_whoever_is_left_does_the_work(broker: str, prefix: str, tmp_path: Path, seed: int) -> None:
    dice = random.Random(seed)
    async with Cluster(broker, prefix, PARTITIONS) as cluster, AsyncExitStack() as stack:
        await cluster.produce(opening())
        # This one stays, so that there is somebody to be asked; nothing is done to it but by the group.
        asked = stack.enter_context(Member(cluster, tmp_path / "stays"))
        await asyncio.to_thread(asked.given, PARTITIONS)
        slots = Slots(cluster, tmp_path, dice, stack)
        async with load(cluster, asked.url) as under:
            for _ in range(STEPS):
                await slots.step()
                await asyncio.sleep(dice.uniform(*STEP_SECONDS))
            await under.flows()
        events = await cluster.settled()
        await slots.end()
        assert await asyncio.to_thread(asked.stop) == 0, (slots.done, asked.lines, asked.errors)
        await assert_equal_to_replay(cluster, events)
