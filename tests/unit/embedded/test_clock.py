"""Timers fire with no traffic: ticks in the log move the clock of a partition to what is due."""

import asyncio
from pathlib import Path

import msgspec

from schemas.times import DAY, SECOND
from schemas.topics import Topic
from tests.unit.embedded.engines import START, Clock, client, event, names_on, outputs, records, running, until

PROFILE = event(
    "profile", "p", profile="p", name="P", currency="EUR", max_qty=3, period_seconds=3600,
    rules=[{"rule": "low", "audience": "client", "threshold": "5", "notify": True}],
)  # fmt: skip
TIMER_SECONDS_MAX = 1.0
HOUR = 3600 * SECOND


async def test_a_reminder_is_decided_within_a_second_of_its_due_instant_with_no_traffic(tmp_path: Path) -> None:
    async with running(tmp_path) as one:
        await one.send(PROFILE, client("c-1", profile="p"), event("payment", "1", client="c-1", amount="4"))
        assert len(one.log(Topic.NOTIFICATIONS)) == 1
        one.clock.now = START + HOUR - 1
        await asyncio.sleep(2 * TIMER_SECONDS_MAX / 5)  # two looks at the clock: nothing may come of them
        assert len(one.log(Topic.NOTIFICATIONS)) == 1
        one.clock.now = START + HOUR
        async with asyncio.timeout(TIMER_SECONDS_MAX):
            await until(lambda: len(one.log(Topic.NOTIFICATIONS)) == 2)
        reminder = msgspec.json.decode(one.log(Topic.NOTIFICATIONS)[1])
        assert reminder["sequence"] == 2
        assert reminder["at"] == "2026-03-01T11:00:00Z"
        assert reminder["cause"] is None


async def test_a_tick_is_in_the_log_of_its_partition_alone(tmp_path: Path) -> None:
    async with running(tmp_path) as one:
        await one.send(PROFILE, client("c-1", profile="p"), event("payment", "1", client="c-1", amount="4"))
        before = [len(one.log(Topic.EVENTS, number)) for number in range(4)]
        one.clock.now = START + HOUR
        await until(lambda: len(one.log(Topic.NOTIFICATIONS)) == 2)
        after = [len(one.log(Topic.EVENTS, number)) for number in range(4)]
        mine = one.engine.route("c-1")
        assert [count - was for count, was in zip(after, before, strict=True)] == [int(n == mine) for n in range(4)]
        assert one.log(Topic.EVENTS, mine)[-1] == b'{"type":"tick","time":"2026-03-01T11:00:00Z"}'


async def test_no_tick_is_written_while_nothing_is_due(tmp_path: Path) -> None:
    async with running(tmp_path) as one:
        await one.send(client("c-1"))
        one.clock.now = START + 30 * DAY
        await asyncio.sleep(0.5)  # two looks at the clock
        assert outputs(one.log(Topic.EVENTS), "type") == ["client"]


async def test_what_was_due_while_the_engine_was_down_fires_at_its_own_instants(tmp_path: Path) -> None:
    clock = Clock()
    async with running(tmp_path, clock) as one:
        await one.send(PROFILE, client("c-1", profile="p"), event("payment", "1", client="c-1", amount="4"))
    clock.now = START + 30 * DAY
    async with running(tmp_path, clock) as one:
        await until(lambda: len(one.log(Topic.NOTIFICATIONS)) == 3)
        times = outputs(one.log(Topic.NOTIFICATIONS), "at")
    assert times == ["2026-03-01T10:00:00Z", "2026-03-01T11:00:00Z", "2026-03-01T12:00:00Z"]


async def test_log_time_never_goes_back(tmp_path: Path) -> None:
    async with running(tmp_path) as one:
        await one.send(client("c-1"), event("payment", "1", client="c-1", amount="4"))
        one.clock.now = START - DAY  # the machine's clock was set back
        await one.send(event("charge", "2", client="c-1", amount="1"))
        changes = records(one.store, one.engine.route("c-1"), Topic.CHANGES)
        assert outputs(changes, "at")[-1] == "2026-03-01T10:00:00Z"


async def test_partitions_share_one_log_time_after_the_clock_was_set_back(tmp_path: Path) -> None:
    """An identity of configuration is kept once for all of them, so its first log time must be the same in each."""
    ahead, other = names_on(0, 1)[0], names_on(1, 1)[0]
    async with running(tmp_path) as one:
        one.clock.now = START + DAY
        await one.send(client(ahead))
        one.clock.now = START  # the machine's clock was set back
        await one.send(event("user", "u", user="u-1"), client(other))
        assert {partition.state.clock for partition in one.engine.partitions} == {START + DAY}


async def test_a_temporary_credit_ends_with_no_traffic(tmp_path: Path) -> None:
    async with running(tmp_path) as one:
        await one.send(
            client("c-1", model="postpaid"),
            event("temporary_credit", "1", client="c-1", amount="10", valid_until="2026-03-01T10:05:00Z"),
        )
        one.clock.now = START + 300 * SECOND
        async with asyncio.timeout(TIMER_SECONDS_MAX):
            await until(lambda: outputs(one.log(Topic.CHANGES), "available")[-1] == "0")
