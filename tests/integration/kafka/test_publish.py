"""``plimsoll publish`` and ``plimsoll import`` to a real cluster."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from engine.kafka.folding import read_record
from schemas.events import Charge
from schemas.outputs import Change
from schemas.topics import Topic, partition_of
from tests.integration.kafka.cluster import Cluster, assert_equal_to_replay, replayed
from tests.integration.kafka.test_configuration import PARTITIONS, working
from tests.integration.kafka.test_worker import event, opening, traffic
from tests.integration.processes import command
from tests.unit.importers.samples import sample

pytestmark = pytest.mark.kafka

TICK = b'{"type":"tick","time":"2026-01-01T00:00:00Z"}'


async def plimsoll(*arguments: str) -> tuple[int, str, str]:
    return await asyncio.to_thread(command, *arguments)


async def test_a_file_is_in_the_log_once_whatever_is_sent_again(broker: str, prefix: str, tmp_path: Path) -> None:
    first, second, rejected = tmp_path / "a.ndjson", tmp_path / "b.ndjson", tmp_path / "rejected"
    profile, bad, *clients = opening()
    first.write_bytes(b"\n".join([profile, bad, *clients]))
    second.write_bytes(b"\n".join([*traffic(10, 30), TICK, event(2, type="profile_deleted", profile="kp")]))
    arguments = ("publish", str(first), str(second), "--bootstrap", broker, "--prefix", prefix, "--json")
    async with Cluster(broker, prefix, PARTITIONS) as cluster, working(cluster, tmp_path / "data"):
        code, out, err = await plimsoll(*arguments, "--rejected", str(rejected))
        sent = 2 + len(clients) + len(traffic(10, 30)) + 2
        reasons = {"malformed": 1, "unknown_type": 1, "in_use": 1}
        assert (code, json.loads(out)) == (1, {"sent": sent, "accepted": sent - 3, "duplicate": 0, "refused": reasons})
        assert "in_use: profile 'kp' is in use by client" in err
        assert len(rejected.read_text().splitlines()) == 3
        before = await cluster.settled()

        code, out, _ = await plimsoll(*arguments)
        assert json.loads(out) == {"sent": sent, "accepted": sent - 4, "duplicate": 1, "refused": reasons}
        events = await cluster.settled()
        await assert_equal_to_replay(cluster, events)
        assert await last_versions(cluster) == versions(before)

        charge = next(each for each in events[partition_of("k-10", PARTITIONS)] if b'"charge"' in each.value)
        assert charge.key == json.loads(charge.value)["client"].encode()
        assert dict(charge.headers) == {
            "ce_specversion": b"1.0",
            "ce_type": b"charge",
            "ce_source": b"test",
            "ce_id": json.loads(charge.value)["id"].encode(),
            "ce_time": b"2026-01-01T00:00:00Z",
            "content-type": b"application/json",
        }


async def last_versions(cluster: Cluster) -> dict[str, int]:
    found = {}
    for records in await cluster.read(Topic.CHANGES.value):
        for record in records:
            change = json.loads(record.value)
            found[change["client"]] = change["version"]
    return found


def versions(events: list[list[Any]]) -> dict[str, int]:
    """How often each client changed: by a replay of the log."""
    found = {}
    for records in events:
        for output in replayed(records).outputs:
            if isinstance(output, Change):
                found[output.client] = output.version
    return found


async def test_call_records_go_to_the_log_too(broker: str, prefix: str) -> None:
    async with Cluster(broker, prefix, PARTITIONS) as cluster:
        _, out, err = await plimsoll(
            *("import", "asterisk", sample("Master.csv"), "--rates", sample("rates.csv")),
            *("--time-zone", "Europe/Kyiv", "--source", "pbx1", "--bootstrap", broker, "--prefix", prefix, "--json"),
        )
        totals = json.loads(out)
        read = [read_record(each).event for records in await cluster.read("events") for each in records]
        assert totals["sent"] == totals["accepted"] == len(read) > 0, err
        assert {type(each) for each in read} == {Charge}


async def test_without_a_worker_configuration_is_in_the_log_and_that_is_said(
    broker: str, prefix: str, tmp_path: Path
) -> None:
    file = tmp_path / "a.ndjson"
    file.write_bytes(opening()[0])
    async with Cluster(broker, prefix, PARTITIONS):
        code, out, err = await plimsoll("publish", str(file), "--bootstrap", broker, "--prefix", prefix)
    assert (code, out) == (0, "sent 1, accepted 1, duplicate 0, refused 0\n")
    assert err == f"{file}:1: no answer from partition 0, 1, 2 in time (does a worker run?): it is in their logs\n"


async def test_two_places_are_one_too_many_and_missing_topics_are_told(
    broker: str, prefix: str, tmp_path: Path
) -> None:
    file = tmp_path / "a.ndjson"
    file.write_bytes(event(1, type="charge", client="c", amount="1"))
    given = ("publish", str(file), "--bootstrap", broker, "--prefix", prefix)
    code, _, err = await plimsoll(*given, "--url", "http://127.0.0.1:1")
    assert (code, err) == (2, "plimsoll: expected --url or --bootstrap, found both: events go to one place\n")
    code, _, err = await plimsoll(*given)
    assert code == 1
    assert err == f"plimsoll: expected the topic {prefix}events, found none: run `plimsoll topics create` first\n"
