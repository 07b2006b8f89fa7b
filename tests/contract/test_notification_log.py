"""What every adapter of NotificationLog promises its consumers."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from schemas.outputs import Delivery, Notification
from schemas.topics import Topic
from tests.contract.notification_logs import BENCHES, Bench

VALUES = [b'{"output":"notification","n":%d}' % number for number in range(5)]
ODD_BYTES = b'{"name":"\xd1\x8f \\u0000","x":[1, 2]}'
LONG_WAIT_SECONDS = 30.0


@pytest.fixture(params=sorted(BENCHES))
async def bench(request: pytest.FixtureRequest) -> AsyncIterator[Bench]:
    """An empty log behind each adapter."""
    async with BENCHES[request.param]() as bench:
        yield bench


def _delivery(notification: str, event: Notification | None = None) -> Delivery:
    return Delivery(
        notification=notification,
        client="c-1",
        channel="email",
        outcome="sent" if event is None else "failed",
        at="2026-01-31T10:00:00Z",
        attempts=1,
        detail="250 ok",
        to=("a…@example.net",),
        event=event,
    )


def _notification() -> Notification:
    return Notification(
        "c-1/low_balance/r/1/1/email", "c-1", "low_balance", "r", 1, 1, 3, "email", ("ops@example.net",),
        "2026-01-31T10:00:00Z", "5", "4.99", "4.99", "0", "EUR", 1, None, None, "EUR",
    )  # fmt: skip


async def _fill(bench: Bench, partition: int = 0) -> None:
    for value in VALUES:
        await bench.append(partition, "c-1", value)


async def test_an_empty_log_has_partitions_and_nothing_in_them(bench: Bench) -> None:
    assert bench.log.partitions >= 2
    for partition in range(bench.log.partitions):
        assert list(await bench.log.read(partition, 0, 10)) == []


async def test_records_come_in_order_with_their_bytes(bench: Bench) -> None:
    await _fill(bench)
    await bench.append(0, "c-я", ODD_BYTES)
    records = await bench.log.read(0, 0, 10)
    assert [record.value for record in records] == [*VALUES, ODD_BYTES]
    assert [record.key for record in records] == ["c-1"] * 5 + ["c-я"]
    offsets = [record.offset for record in records]
    assert offsets == sorted(set(offsets))
    assert {(record.topic, record.partition) for record in records} == {(Topic.NOTIFICATIONS, 0)}
    assert all(record.at > 0 for record in records)


async def test_a_read_goes_on_where_the_last_one_ended(bench: Bench) -> None:
    await _fill(bench)
    values: list[bytes] = []
    offset = 0
    while records := await bench.log.read(0, offset, 2):
        assert len(records) <= 2
        values += [record.value for record in records]
        offset = records[-1].offset + 1
    assert values == VALUES


async def test_a_read_again_gives_the_same(bench: Bench) -> None:
    await _fill(bench)
    assert list(await bench.log.read(0, 0, 3)) == list(await bench.log.read(0, 0, 3))


async def test_a_read_past_the_end_is_empty(bench: Bench) -> None:
    await _fill(bench)
    end = (await bench.log.read(0, 0, 10))[-1].offset + 1
    assert list(await bench.log.read(0, end, 10)) == []
    assert list(await bench.log.read(0, end + 1_000_000, 10)) == []


async def test_partitions_are_separate(bench: Bench) -> None:
    await _fill(bench, partition=1)
    assert list(await bench.log.read(0, 0, 10)) == []
    assert {record.partition for record in await bench.log.read(1, 0, 10)} == {1}


async def test_a_new_consumer_stands_at_the_start(bench: Bench) -> None:
    assert dict(await bench.log.positions("mailer")) == {}


async def test_positions_are_kept_per_consumer(bench: Bench) -> None:
    await _fill(bench)
    await bench.log.commit("mailer", {0: 3, 1: 0}, [])
    await bench.log.commit("sms", {0: 1}, [])
    assert (await bench.log.positions("mailer"))[0] == 3
    assert dict(await bench.log.positions("sms")) == {0: 1}


async def test_a_commit_leaves_other_partitions_where_they_are(bench: Bench) -> None:
    await bench.log.commit("mailer", {0: 3}, [])
    await bench.log.commit("mailer", {1: 2}, [])
    assert dict(await bench.log.positions("mailer")) == {0: 3, 1: 2}


async def test_a_position_never_goes_back(bench: Bench) -> None:
    await bench.log.commit("mailer", {0: 3}, [])
    await bench.log.commit("mailer", {0: 2}, [_delivery("late")])
    assert dict(await bench.log.positions("mailer")) == {0: 3}
    assert await bench.log.settled("mailer", ["late"]) == {"late"}


async def test_deliveries_settle_their_notifications_for_their_consumer(bench: Bench) -> None:
    await bench.log.commit("mailer", {0: 1}, [_delivery("n-1"), _delivery("n-2", event=_notification())])
    assert await bench.log.settled("mailer", ["n-1", "n-2", "n-3"]) == {"n-1", "n-2"}
    assert await bench.log.settled("sms", ["n-1", "n-2", "n-3"]) == frozenset()


async def test_nothing_asked_is_nothing_settled(bench: Bench) -> None:
    await bench.log.commit("mailer", {}, [_delivery("n-1")])
    assert await bench.log.settled("mailer", []) == frozenset()


async def test_a_commit_made_twice_changes_nothing_more(bench: Bench) -> None:
    for _ in range(2):
        await bench.log.commit("mailer", {0: 2}, [_delivery("n-1")])
    assert dict(await bench.log.positions("mailer")) == {0: 2}
    assert await bench.log.settled("mailer", ["n-1"]) == {"n-1"}


async def test_ids_may_hold_any_character(bench: Bench) -> None:
    odd = 'c/я?%2F"#&/low_balance/r 1/1/1/email'
    await bench.log.commit("mailer", {}, [_delivery(odd)])
    assert await bench.log.settled("mailer", [odd]) == {odd}


async def test_what_was_committed_is_there_after_opening_again(bench: Bench) -> None:
    await _fill(bench)
    await bench.log.commit("mailer", {0: 4}, [_delivery("n-1")])
    partitions = bench.log.partitions
    await bench.reopen()
    assert bench.log.partitions == partitions
    assert [record.value for record in await bench.log.read(0, 0, 10)] == VALUES
    assert dict(await bench.log.positions("mailer")) == {0: 4}
    assert await bench.log.settled("mailer", ["n-1"]) == {"n-1"}


async def test_a_wait_ends_at_its_timeout(bench: Bench) -> None:
    await bench.log.wait(0.05)


async def test_a_wait_ends_when_something_comes(bench: Bench) -> None:
    assert list(await bench.log.read(1, 0, 10)) == []
    waiting = asyncio.create_task(bench.log.wait(LONG_WAIT_SECONDS))
    await asyncio.sleep(0)
    await bench.append(1, "c-1", VALUES[0])
    async with asyncio.timeout(LONG_WAIT_SECONDS / 3):
        await waiting
    assert [record.value for record in await bench.log.read(1, 0, 10)] == VALUES[:1]
