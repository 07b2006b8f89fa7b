"""Readers and operators of a group of workers: any worker answers for all clients, and commands reach the owner."""

import asyncio
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest

from engine.kafka.client_history import LogHistories
from engine.kafka.shell.routing import HOP_HEADER
from engine.log.ports import Unavailable
from projections.api import new_key
from schemas.money import format_money, parse_money
from schemas.topics import partition_of
from tests.integration.kafka.cluster import Cluster, assert_equal_to_replay
from tests.integration.kafka.tasks import options_of
from tests.integration.kafka.test_shell import PARTITIONS, Member
from tests.integration.kafka.test_worker import CLIENTS, opening, traffic
from tests.integration.processes import command

pytestmark = pytest.mark.kafka

SECONDS_MAX = 120.0


async def until(satisfied: Callable[[], bool]) -> None:
    async with asyncio.timeout(SECONDS_MAX):
        while not satisfied():  # noqa: ASYNC110  # another process's state, which gives no event
            await asyncio.sleep(0.1)


def asked(member: Member, path: str, headers: dict[str, str] | None = None) -> httpx.Response:
    return httpx.get(member.url + path, headers=headers, timeout=60)


def answers(member: Member, path: str, status: int) -> bool:
    return asked(member, path).status_code == status


def authorized(member: Member, client: str) -> dict[str, Any]:  # Any: JSON
    answer = httpx.post(member.url + "/v1/authorize", json={"client": client, "amount": "1"}, timeout=60)
    found: dict[str, Any] = answer.json()
    return found


def held(member: Member, role: str = "active") -> dict[int, dict[str, Any]]:
    """What a worker says of its partitions in that role, by number. Any: JSON."""
    told = asked(member, "/v1/worker").json()["partitions"]
    return {each["partition"]: each for each in told if each["role"] == role}


def all_ready(*members: Member) -> bool:
    return all(asked(each, "/readyz").status_code == 200 for each in members)


async def test_any_worker_answers_for_every_client_in_one_hop(broker: str, prefix: str, tmp_path: Path) -> None:
    async with Cluster(broker, prefix, PARTITIONS) as cluster:
        await cluster.produce([*opening(), *traffic(10, 100)])
        with Member(cluster, tmp_path / "a") as first, Member(cluster, tmp_path / "b") as second:
            first.given(2)
            second.given(2)
            await cluster.settled()
            await until(lambda: all_ready(first, second))
            for number in range(CLIENTS):
                client = f"k-{number}"
                answers = [asked(each, f"/v1/clients/{client}") for each in (first, second)]
                assert [answer.status_code for answer in answers] == [200, 200]
                assert answers[0].json() == answers[1].json()
                assert answers[0].json()["client"] == client
                reasons = [asked(each, f"/v1/clients/{client}/why").json() for each in (first, second)]
                assert reasons[0] == reasons[1]
                histories = [asked(each, f"/v1/clients/{client}/history?limit=1000").json() for each in (first, second)]
                assert histories[0] == histories[1]
                moved = sum(parse_money(entry["amount"]) for entry in histories[0]["entries"])
                assert format_money(moved) == answers[0].json()["live"]
                allowed = [authorized(each, client) for each in (first, second)]
                assert allowed[0] == allowed[1]
                assert allowed[0]["allowed"]

            other = next(
                f"k-{each}" for each in range(CLIENTS) if partition_of(f"k-{each}", PARTITIONS) in held(second)
            )
            hopped = asked(first, f"/v1/clients/{other}", {HOP_HEADER: "1"})
            assert hopped.status_code == 503
            assert int(hopped.headers["retry-after"]) > 0
            assert asked(first, "/v1/clients/nobody").status_code == 404
            assert asked(second, "/v1/clients/nobody").status_code == 404
            assert asked(second, "/v1/clients/nobody/history").status_code == 404

            assert asked(first, "/v1/events").status_code == 404, "events have another way in"

            code, output, errors = command("balance", other, "--url", first.url, "--json")
            assert code == 0, errors
            assert f'"client": "{other}"' in output
            code, output, errors = command("why", other, "--url", first.url)
            assert code == 0, errors
            code, output, errors = command("history", other, "--limit", "1", "--url", first.url)
            assert code == 0, errors
            assert len(output.splitlines()) == 2

            second.kill()
            gone = asked(first, f"/v1/clients/{other}")
            assert gone.status_code == 503
            assert int(gone.headers["retry-after"]) > 0
            first.given(4)
            await until(lambda: asked(first, f"/v1/clients/{other}").status_code == 200)
            assert first.stop() == 0, first.errors


async def test_a_history_that_is_too_long_is_said_to_be(broker: str, prefix: str, tmp_path: Path) -> None:
    async with Cluster(broker, prefix, PARTITIONS) as cluster:
        await cluster.produce([*opening(), *traffic(10, 20)])
        options = await options_of(cluster, tmp_path)
        number = partition_of("k-0", PARTITIONS)
        end = (await cluster.read("events"))[number][-1].offset + 1
        long = await LogHistories(options, end - 1).read("k-0", number, end, 0, limit=9, before=None)
        assert (long.cut, long.entries) == (True, [])
        assert long.sentence is not None
        assert f"has {end} records, and at most {end - 1} are read for an answer" in long.sentence
        histories = LogHistories(options, end)
        whole = await histories.read("k-0", number, end, 0, limit=9, before=None)
        assert not whole.cut
        assert whole.entries[-1].type == "client"
        histories.close()
        with pytest.raises(Unavailable, match="this worker is handing over"):
            await histories.read("k-0", number, end, 0, limit=9, before=None)


async def test_commands_reach_the_worker_that_has_the_partition(broker: str, prefix: str, tmp_path: Path) -> None:
    def control(cluster: Cluster, *arguments: str) -> None:
        given = ("--bootstrap", cluster.bootstrap, "--prefix", cluster.prefix)
        code, _, errors = command("control", *arguments, *given)
        assert code == 0, errors

    async with Cluster(broker, prefix, PARTITIONS) as cluster:
        await cluster.produce(opening())
        with Member(cluster, tmp_path / "a") as first, Member(cluster, tmp_path / "b") as second:
            first.given(2)
            second.given(2)
            await until(lambda: all_ready(first, second))
            paused = min(held(second))
            control(cluster, "pause", "--partitions", str(paused))
            await until(lambda: held(second)[paused]["state"] == "paused")
            assert {each["state"] for each in held(first).values()} == {"works"}
            before = held(second)[paused]["position"]
            await cluster.produce(traffic(10, 200))
            ends = [records[-1].offset + 1 for records in await cluster.read("events")]
            await until(lambda: all(each["position"] >= ends[number] for number, each in held(first).items()))
            assert held(second)[paused]["position"] == before

            control(cluster, "resume")
            events = await cluster.settled()
            assert held(second)[paused]["state"] == "works"

            control(cluster, "checkpoint")
            for member in (first, second):
                for number in held(member):
                    member.wait_for(f"partition {number}: its store is on the disk")
            control(cluster, "log-level", "info")
            first.wait_for("logs from level info on")
            second.wait_for("logs from level info on")
            assert second.stop() == 0, second.errors
            assert first.stop() == 0, first.errors
        await assert_equal_to_replay(cluster, events)


async def test_the_leader_says_which_partitions_nobody_works_on(broker: str, prefix: str, tmp_path: Path) -> None:
    """A partition is taken away by a worker that is in no group: the group has it given to somebody, who is fenced."""

    def measured(member: Member, name: str) -> float:
        lines = asked(member, "/metrics").text.splitlines()
        return float(next(line for line in lines if line.startswith(name + " ")).partition(" ")[2])

    async with Cluster(broker, prefix, PARTITIONS) as cluster:
        await cluster.produce(opening())
        with Member(cluster, tmp_path / "a") as first, Member(cluster, tmp_path / "b") as second:
            first.given(2)
            second.given(2)
            await until(lambda: all_ready(first, second))
            await until(lambda: sum(measured(each, "plimsoll_group_leader") for each in (first, second)) == 1)
            leader = first if measured(first, "plimsoll_group_leader") else second
            await until(lambda: measured(leader, "plimsoll_group_workers") == 2)
            assert measured(leader, "plimsoll_group_unworked_partitions") == 0
            assert measured(leader, "plimsoll_group_partitions_without_standby") == 0
            taken = min(held(second))
            with Member(cluster, tmp_path / "c", "--partitions", str(taken)) as thief:
                thief.wait_for(f"partition {taken}: works from")
                await cluster.produce(traffic(10, 100))
                second.wait_for(f"partition {taken}: another worker has taken it over")
                assert thief.stop() == 0, thief.errors
            assert held(second)[taken]["state"] == "fenced"
            assert asked(second, "/readyz").status_code == 503
            leader.wait_for(f"nobody has worked on partition {taken} for")
            assert measured(leader, "plimsoll_group_unworked_partitions") == 1
            assert second.stop() == 0, second.errors
            first.given(4)
            events = await cluster.settled()
            assert first.stop() == 0, first.errors
        await assert_equal_to_replay(cluster, events)


async def test_a_key_goes_with_the_question_to_the_worker_that_has_the_client(
    broker: str, prefix: str, tmp_path: Path
) -> None:
    key, digest = new_key()
    config = tmp_path / "plimsoll.toml"
    config.write_text(f'[api]\nauth = "keys"\nkeys = [{{name = "reader", sha256 = "{digest}", scopes = ["read"]}}]\n')
    async with Cluster(broker, prefix, PARTITIONS) as cluster:
        await cluster.produce(opening())
        keyed = ("--config", str(config))
        with Member(cluster, tmp_path / "a", *keyed) as first, Member(cluster, tmp_path / "b", *keyed) as second:
            first.given(2)
            second.given(2)
            await cluster.settled()
            await until(lambda: all_ready(first, second))
            for member in (first, second):
                for number in range(CLIENTS):
                    path = f"/v1/clients/k-{number}"
                    assert asked(member, path, {"authorization": f"Bearer {key}"}).status_code == 200
                    assert asked(member, path).status_code == 401
            assert second.stop() == 0, second.errors
            assert first.stop() == 0, first.errors


async def test_partitions_given_by_hand_have_a_door_where_one_is_asked_for(
    broker: str, prefix: str, tmp_path: Path
) -> None:
    async with Cluster(broker, prefix, PARTITIONS) as cluster:
        await cluster.produce(opening())
        with Member(cluster, tmp_path / "a", "--partitions", "0,1") as member:
            member.given(2)
            await until(lambda: all_ready(member))
            assert sorted(held(member)) == [0, 1]
            for number in range(CLIENTS):
                there = partition_of(f"k-{number}", PARTITIONS) in (0, 1)
                path, expected = f"/v1/clients/k-{number}", 200 if there else 503
                await until(partial(answers, member, path, expected))
            assert member.stop() == 0, member.errors
