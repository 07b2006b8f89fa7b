"""Workers of one group on a real broker: they share the partitions, and hand them over whichever way one goes."""

import os
import re
import signal
import socket
import time
from pathlib import Path

import pytest

from tests.integration.kafka.cluster import Cluster, assert_equal_to_replay
from tests.integration.kafka.test_worker import opening, traffic
from tests.integration.processes import Process

pytestmark = pytest.mark.kafka

PARTITIONS = 4
SESSION_SECONDS = 6
HAND_OVER_SECONDS_MAX = 5.0


class Member(Process):
    """``plimsoll worker`` in a group."""

    def __init__(self, cluster: Cluster, data: Path, *arguments: str) -> None:
        super().__init__(
            *("worker", "--bootstrap", cluster.bootstrap, "--prefix", cluster.prefix, "--data", str(data)),
            *("--session-seconds", str(SESSION_SECONDS), "--port", "0", *arguments),
        )

    @property
    def url(self) -> str:
        """Where its door is."""
        return self.wait_for(r"answers readers at (\S+)")[1]

    def shares(self) -> list[str]:
        """What the group has given to it so far, in order: the partitions that it works on."""
        return [found[1] for line in self.lines if (found := re.match(r"works on (\S+), ", line))]

    def given(self, count: int | None = None, *, after: int = 0) -> str:
        """Waits until its latest share, later than the first ``after`` ones, has that many partitions; the share."""
        while not self._has(count, after):
            assert self.told_more(), (self.lines, self.errors)
        return self.shares()[-1]

    def _has(self, count: int | None, after: int) -> bool:
        shares = self.shares()
        return len(shares) > after and (count is None or len(all_of(shares[-1])) == count)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as held:
        return int(held.getsockname()[1])


def all_of(*shares: str) -> list[int]:
    return sorted(int(number) for share in shares if share != "none" for number in share.split(","))


async def test_two_workers_share_the_partitions_and_the_one_that_stays_takes_over(
    broker: str, prefix: str, tmp_path: Path
) -> None:
    async with Cluster(broker, prefix, PARTITIONS) as cluster:
        await cluster.produce(opening())
        with Member(cluster, tmp_path / "a") as first:
            first.given(4)
            await cluster.produce(traffic(10, 200))
            await cluster.progressed(50)
            with Member(cluster, tmp_path / "b") as second:
                assert all_of(first.given(2), second.given(2)) == [0, 1, 2, 3]
                await cluster.produce(traffic(200, 400))
                await cluster.settled()
                began = time.monotonic()
                assert second.stop() == 0, second.errors
                assert time.monotonic() - began < HAND_OVER_SECONDS_MAX
            await cluster.produce(traffic(400, 600))
            events = await cluster.settled()
            assert first.shares() == ["0,1,2,3", first.shares()[1], "0,1,2,3"]
            began = time.monotonic()
            assert first.stop() == 0, first.errors
            assert time.monotonic() - began < HAND_OVER_SECONDS_MAX
        await assert_equal_to_replay(cluster, events)


async def test_a_killed_worker_s_partitions_are_taken_over_when_its_session_ends(
    broker: str, prefix: str, tmp_path: Path
) -> None:
    async with Cluster(broker, prefix, PARTITIONS) as cluster:
        await cluster.produce(opening())
        with Member(cluster, tmp_path / "a") as first, Member(cluster, tmp_path / "b") as second:
            first.given(2)
            second.given(2)
            await cluster.produce(traffic(10, 300))
            await cluster.progressed(100)
            second.kill()
            await cluster.produce(traffic(300, 500))
            first.given(4)
            events = await cluster.settled()
            assert first.stop() == 0, first.errors
        await assert_equal_to_replay(cluster, events)


async def test_a_frozen_worker_comes_back_as_a_member_without_having_written_anything(
    broker: str, prefix: str, tmp_path: Path
) -> None:
    async with Cluster(broker, prefix, PARTITIONS) as cluster:
        await cluster.produce(opening())
        with Member(cluster, tmp_path / "a") as first, Member(cluster, tmp_path / "b") as second:
            first.given(2)
            second.given(2)
            await cluster.produce(traffic(10, 300))
            await cluster.progressed(100)
            os.kill(second.popen.pid, signal.SIGSTOP)
            first.given(4)
            await cluster.produce(traffic(300, 500))
            await cluster.settled()
            shares = len(first.shares()), len(second.shares())
            os.kill(second.popen.pid, signal.SIGCONT)
            await cluster.produce(traffic(500, 600))
            assert all_of(first.given(2, after=shares[0]), second.given(2, after=shares[1])) == [0, 1, 2, 3]
            events = await cluster.settled()
            assert second.stop() == 0, second.errors
            assert first.stop() == 0, first.errors
        await assert_equal_to_replay(cluster, events)


@pytest.mark.parametrize("killed", [False, True], ids=["stopped", "killed"])
async def test_a_static_member_restarts_without_the_others_noticing(
    broker: str, prefix: str, tmp_path: Path, killed: bool
) -> None:
    """Within its session, and even after a kill: the group is not shared out anew, and nobody else stops a task."""
    port = str(free_port())
    async with Cluster(broker, prefix, PARTITIONS) as cluster:
        await cluster.produce(opening())
        static = ("--instance", "b", "--port", port, "--session-seconds", "30")
        with Member(cluster, tmp_path / "a") as first:
            with Member(cluster, tmp_path / "b", *static) as second:
                first.given(2)
                share = second.given(2)
                before = first.shares()
                await cluster.produce(traffic(10, 300))
                await cluster.progressed(100)
                if killed:
                    second.kill()
                else:
                    assert second.stop() == 0, second.errors
            with Member(cluster, tmp_path / "b", *static) as second:
                assert second.given(2) == share
                await cluster.produce(traffic(300, 400))
                events = await cluster.settled()
                assert first.shares() == before
                assert second.stop() == 0, second.errors
            assert first.stop() == 0, first.errors
        await assert_equal_to_replay(cluster, events)
