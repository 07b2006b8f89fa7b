"""Who cannot be a member is told so and ends; who is one goes on."""

from pathlib import Path

import pytest

from tests.integration.kafka.cluster import Cluster, assert_equal_to_replay
from tests.integration.kafka.test_shell import Member, free_port
from tests.integration.kafka.test_worker import opening, traffic
from tests.integration.processes import command

pytestmark = pytest.mark.kafka


async def test_a_second_worker_under_one_instance_is_refused(broker: str, prefix: str, tmp_path: Path) -> None:
    async with Cluster(broker, prefix, 2) as cluster:
        await cluster.produce(opening())
        with Member(cluster, tmp_path / "a", "--instance", "w", "--port", str(free_port())) as first:
            first.given(2)
            await cluster.settled()
            with Member(cluster, tmp_path / "b", "--instance", "w", "--port", str(free_port())) as second:
                assert second.ended() == 1
                told = [line for line in second.errors if line.startswith("plimsoll: ")]
                assert len(told) == 1, second.errors
                assert f"the group knows this instance at {first.url}" in told[0]
            first.given(2, after=1)
            await cluster.produce(traffic(10, 100))
            events = await cluster.settled()
            assert first.stop() == 0, first.errors
        await assert_equal_to_replay(cluster, events)


async def test_commands_for_partitions_that_are_not_there_are_told(broker: str, prefix: str, tmp_path: Path) -> None:
    asked = ("--bootstrap", broker, "--prefix", prefix)
    async with Cluster(broker, prefix, 2) as cluster:
        with Member(cluster, tmp_path / "a") as first:
            first.given(2)
            code, _, errors = command("control", "pause", "--partitions", "2", *asked)
            assert code == 2
            assert "--partitions: expected 0 to 1, found 2" in errors
            assert first.stop() == 0, first.errors
    async with Cluster(broker, prefix + "b-", 2):
        code, _, errors = command("control", "pause", "--bootstrap", broker, "--prefix", prefix + "b-")
        assert code == 1
        assert f"expected the topic {prefix}b-control, found none" in errors
