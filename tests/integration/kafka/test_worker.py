"""``plimsoll worker`` on a real broker: killed, wiped, and still equal to a replay of the log."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from engine.partition import keys
from engine.store.ports import LOG, STATE
from engine.store.rocks import RocksStore
from tests.integration.kafka.cluster import Cluster, assert_equal_to_replay
from tests.integration.processes import Process
from tests.properties.histories import history

pytestmark = pytest.mark.kafka

PARTITIONS = 3
CLIENTS = 12


def worker(cluster: Cluster, data: Path) -> Process:
    return Process(
        *("worker", "--bootstrap", cluster.bootstrap, "--prefix", cluster.prefix),
        *("--partitions", f"0-{PARTITIONS - 1}", "--data", str(data)),
    )


def event(number: int, **body: Any) -> bytes:
    return json.dumps({"id": f"k{number}", "source": "test", "time": "2026-01-01T00:00:00Z", **body}).encode()


def opening() -> list[bytes]:
    """Clients with money who may transfer, a rule that fires, and a line that is no event."""
    rule = {"audience": "client", "rule": "c", "threshold": "5", "emails": ["ops@operator.example"]}
    profile = {"type": "profile", "profile": "kp", "currency": "USD", "max_qty": 3, "rules": [rule]}
    lines = [event(1, **profile), b"no json"]
    for each in range(CLIENTS):
        name = f"k-{each}"
        lines.append(event(2, type="client", client=name, currency="USD", transfers="yes", profile="kp"))
        lines.append(event(3, type="payment", client=name, amount="20"))
    return lines


def traffic(begin: int, end: int) -> list[bytes]:
    """Charges, repeats of them, and transfers to the next client, most of them to another partition."""
    lines = []
    for number in range(begin, end):
        name, other = f"k-{number % CLIENTS}", f"k-{(number + 1) % CLIENTS}"
        charge = event(number, type="charge", client=name, amount="0.25")
        lines += [charge, charge] if number % 7 == 0 else [charge]
        if number % 5 == 0:
            lines.append(event(number + 100_000, type="transfer", client=name, to=other, amount="0.5"))
    return lines


def dumped(data: Path, prefix: str) -> dict[tuple[int, str, bytes], bytes]:
    """What the stores hold, but for how far they are in the changelog."""
    found = {}
    for number in range(PARTITIONS):
        store = RocksStore(data / f"{prefix}partition-{number}")
        for family in store.families():
            if family != LOG:
                for key, value in store.scan(family, b"", b"\xff" * 32):
                    if family != STATE or key != keys.prefix(number, keys.STANDING):
                        found[number, family, key] = value
        store.close()
    return found


async def test_outputs_equal_a_replay_through_kills_and_a_lost_store(broker: str, prefix: str, tmp_path: Path) -> None:
    data = tmp_path / "data"
    async with Cluster(broker, prefix, PARTITIONS) as cluster:
        await cluster.produce(opening())
        with worker(cluster, data) as process:
            await cluster.produce(traffic(10, 200))
            await cluster.progressed(100)
            await cluster.produce(traffic(200, 400))
            process.kill()
        await cluster.produce(history(7, 300))
        with worker(cluster, data) as process:
            await cluster.progressed(500)
            await cluster.produce(traffic(400, 600))
            process.kill()
        shutil.rmtree(data)
        await cluster.produce(traffic(600, 800))
        with worker(cluster, data) as process:
            events = await cluster.settled()
            assert process.stop() == 0, process.errors

        assert sum(len(records) for records in events) > 1_000
        await assert_equal_to_replay(cluster, events)


async def test_a_restored_store_holds_what_the_running_one_held(broker: str, prefix: str, tmp_path: Path) -> None:
    running, restored = tmp_path / "running", tmp_path / "restored"
    async with Cluster(broker, prefix, PARTITIONS) as cluster:
        await cluster.produce([*opening(), *traffic(10, 100), *history(11, 100)])
        with worker(cluster, running) as process:
            await cluster.settled()
            assert process.stop() == 0, process.errors
        with worker(cluster, restored) as process:
            for number in range(PARTITIONS):
                process.wait_for(f"partition {number}: works from")
            assert process.stop() == 0, process.errors

    held = dumped(running, prefix)
    assert any(family.startswith("seen-") for _, family, _ in held)
    assert dumped(restored, prefix) == held
