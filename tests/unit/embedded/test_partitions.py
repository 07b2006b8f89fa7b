"""What reaches beyond one partition: configuration, which all take or none, and transfers with their legs."""

from pathlib import Path

import msgspec

from schemas.topics import Topic
from tests.unit.embedded.engines import PARTITIONS, client, event, names_on, outputs, running

USER = event("user", "u", user="u-1", name="U", email="u@example.net")
GIVER, TAKER = names_on(0, 1)[0], names_on(1, 1)[0]


def _transfer(id_: str, amount: str) -> bytes:
    return event("transfer", id_, client=GIVER, to=TAKER, amount=amount)


async def test_configuration_is_in_the_log_of_every_partition(tmp_path: Path) -> None:
    async with running(tmp_path) as one:
        assert await one.statuses(USER) == ["accepted"]
        assert [one.log(Topic.EVENTS, number) for number in range(PARTITIONS)] == [[USER]] * PARTITIONS


async def test_configuration_that_is_repeated_is_a_duplicate_and_recorded_once(tmp_path: Path) -> None:
    async with running(tmp_path) as one:
        assert await one.statuses(USER, USER) == ["accepted", "duplicate"]
        assert [len(one.log(Topic.EVENTS, number)) for number in range(PARTITIONS)] == [2, 1, 1, 1]


async def test_configuration_that_one_partition_refuses_is_taken_by_none(tmp_path: Path) -> None:
    gone = event("user_deleted", "d", user="u-1")
    async with running(tmp_path) as one:
        await one.send(USER, client(TAKER, manager="u-1"))
        answer = (await one.send(gone))[0]
        assert answer.reason == "in_use"
        assert TAKER in (answer.message or "")
        assert [gone in one.log(Topic.EVENTS, number) for number in range(PARTITIONS)] == [False, True, False, False]
        assert outputs(one.log(Topic.REJECTIONS), "reason") == ["in_use"]
        for number, name in enumerate(names_on(n, 2)[1] for n in range(PARTITIONS)):
            assert await one.statuses(client(name, manager="u-1")) == ["accepted"], f"partition {number} knows it"


async def test_clients_may_name_configuration_of_the_same_submission(tmp_path: Path) -> None:
    async with running(tmp_path) as one:
        clients = [client(names_on(number, 1)[0], manager="u-1") for number in range(PARTITIONS)]
        assert await one.statuses(USER, *clients) == ["accepted"] * (1 + PARTITIONS)


async def test_a_transfer_across_partitions_moves_its_amount_once(tmp_path: Path) -> None:
    money = event("payment", "p", client=GIVER, amount="10")
    async with running(tmp_path) as one:
        await one.send(client(GIVER, transfers="yes"), client(TAKER), money)
        assert await one.statuses(_transfer("t", "4"), _transfer("t", "4")) == ["accepted", "duplicate"]
        giver, taker = (one.log(Topic.CHANGES, number)[-1] for number in (0, 1))
        assert [msgspec.json.decode(view)["live"] for view in (giver, taker)] == ["6", "4"]
        assert {msgspec.json.decode(view)["cause"]["id"] for view in (giver, taker)} == {"t"}
        assert outputs(one.log(Topic.EVENTS, 1), "type") == ["client", "transfer_leg"]
        assert outputs(one.log(Topic.EVENTS, 0), "type")[-3:] == ["transfer", "transfer_outcome", "transfer"]


async def test_a_transfer_that_is_refused_moves_nothing(tmp_path: Path) -> None:
    async with running(tmp_path) as one:
        await one.send(client(GIVER, transfers="yes"), client(TAKER))
        assert await one.statuses(_transfer("t", "4")) == ["insufficient"]
        assert outputs(one.log(Topic.EVENTS, 1), "type") == ["client"]


async def test_money_that_a_transfer_needs_may_come_in_the_same_submission(tmp_path: Path) -> None:
    money = event("payment", "p", client=GIVER, amount="10")
    back = event("transfer", "b", client=TAKER, to=GIVER, amount="3")
    async with running(tmp_path) as one:
        await one.send(client(GIVER, transfers="yes"), client(TAKER, transfers="yes"))
        assert await one.statuses(_transfer("1", "4"), money, _transfer("2", "4"), back) == [
            "insufficient",
            "accepted",
            "accepted",
            "accepted",
        ]


async def test_what_no_partition_may_see_is_a_rejection_without_an_event(tmp_path: Path) -> None:
    bad = [b"{", event("charge", "1", client="c-1", amount=0.1), b'{"type":"tick","time":"2026-03-01T10:00:00Z"}']
    bad.append(event("transfer_leg", "1"))
    async with running(tmp_path) as one:
        assert await one.statuses(*bad) == ["malformed", "bad_amount", "unknown_type", "unknown_type"]
        assert outputs(one.log(Topic.REJECTIONS), "reason") == [
            "malformed",
            "bad_amount",
            "unknown_type",
            "unknown_type",
        ]
        assert one.log(Topic.EVENTS) == []
        assert await one.statuses(client("c-1")) == ["accepted"]
