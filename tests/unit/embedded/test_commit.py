"""When an event is answered, what one commit takes, and what happens where the store fails."""

import asyncio
from pathlib import Path

import pytest

from engine.log.ports import Overloaded, Unavailable
from engine.store.ports import StoreError
from schemas.outputs import Delivery
from schemas.topics import Topic
from tests.unit.embedded.engines import client, event, running, until

FAILURE = StoreError("the disk is gone: put it back")


def _charge(number: int, name: str = "c-1") -> bytes:
    return event("charge", f"{number}", client=name, amount="0.1")


async def test_an_event_is_answered_only_once_it_is_synced(tmp_path: Path) -> None:
    async with running(tmp_path) as one:
        one.store.gate.clear()
        syncs = one.store.syncs
        sending = asyncio.create_task(one.send(client("c-1")))
        await until(one.store.syncing.is_set)
        assert one.log(Topic.EVENTS), "it is written"
        assert not sending.done(), "and not answered"
        one.store.gate.set()
        assert [answer.status for answer in await sending] == ["accepted"]
        assert one.store.syncs == syncs + 1


async def test_events_that_wait_for_a_sync_share_the_next_one(tmp_path: Path) -> None:
    async with running(tmp_path) as one:
        await one.send(client("c-1"))
        one.store.gate.clear()
        first = asyncio.create_task(one.send(_charge(0)))
        await until(one.store.syncing.is_set)
        others = [asyncio.create_task(one.send(_charge(number))) for number in range(1, 21)]
        await until(lambda: len(one.log(Topic.EVENTS)) == 22)
        syncs = one.store.syncs
        one.store.gate.set()
        await asyncio.gather(first, *others)
        assert one.store.syncs == syncs + 2, "one for the first, one for the twenty that came meanwhile"


async def test_submissions_that_are_queued_together_are_one_write(tmp_path: Path) -> None:
    async with running(tmp_path) as one:
        await one.send(client("c-1"))
        writes = one.store.writes
        await asyncio.gather(*(one.send(_charge(number)) for number in range(50)))
        assert one.store.writes == writes + 1
        assert one.log(Topic.EVENTS, one.engine.route("c-1"))[1:] == [_charge(number) for number in range(50)]


async def test_a_commit_takes_no_more_than_its_bound(tmp_path: Path) -> None:
    async with running(tmp_path, batch_records_max=10) as one:
        await one.send(client("c-1"))
        writes = one.store.writes
        await asyncio.gather(*(one.send(_charge(3 * n), _charge(3 * n + 1), _charge(3 * n + 2)) for n in range(6)))
        assert one.store.writes == writes + 2, "three submissions of three fit into ten"


async def test_what_cannot_even_be_refused_fails_alone(tmp_path: Path) -> None:
    nothing: bytes = None  # type: ignore[assignment]  # what no door gives
    async with running(tmp_path) as one:
        sent = await asyncio.gather(
            one.send(client("c-1")), one.send(_charge(1), nothing), one.send(_charge(2)), return_exceptions=True
        )
        assert [type(each) for each in sent] == [list, AttributeError, list]
        assert one.log(Topic.EVENTS, one.engine.route("c-1")) == [client("c-1"), _charge(2)]
        assert [answer.status for answer in await one.send(_charge(1))] == ["accepted"]


@pytest.mark.parametrize(("reading", "commits"), [(False, 1), (True, 2)])
async def test_a_commit_is_shorter_while_somebody_reads(tmp_path: Path, reading: bool, commits: int) -> None:
    async with running(tmp_path, beside_readers_max=10) as one:
        await one.send(client("c-1"))
        if reading:
            one.engine.note_reader()
        writes = one.store.writes
        await asyncio.gather(*(one.send(_charge(3 * n), _charge(3 * n + 1), _charge(3 * n + 2)) for n in range(6)))
        assert one.store.writes == writes + commits


async def test_a_long_queue_is_worked_off_in_longer_commits(tmp_path: Path) -> None:
    async with running(tmp_path, beside_readers_max=10) as one:
        await one.send(client("c-1"))
        one.engine.note_reader()
        writes = one.store.writes
        await asyncio.gather(*(one.send(_charge(number)) for number in range(80)))
        assert one.store.writes == writes + 7, "20, 15, 11, and then 10 at a time"


async def test_what_came_in_during_a_commit_has_its_turn_before_the_next(tmp_path: Path) -> None:
    async with running(tmp_path, batch_records_max=1) as one:
        await one.send(client("c-1"))
        first = one.store.writes + 1
        sending = [asyncio.create_task(one.send(_charge(number))) for number in range(2)]
        while one.store.writes < first:  # noqa: ASYNC110  # turn by turn: an event would take turns of its own
            await asyncio.sleep(0)
        await asyncio.sleep(0)  # as a request that was read in the turn before this one
        assert one.store.writes == first
        await asyncio.gather(*sending)


async def test_durability_os_answers_before_the_sync(tmp_path: Path) -> None:
    async with running(tmp_path, durability="os") as one:
        one.store.gate.clear()
        syncs = one.store.syncs
        assert await one.statuses(client("c-1")) == ["accepted"]
        assert one.store.syncs == syncs


async def test_notifications_are_read_only_once_they_are_synced(tmp_path: Path) -> None:
    warned = client("c-1", warning_thresholds=["5"])
    async with running(tmp_path) as one:
        await one.send(warned, event("payment", "p", client="c-1", amount="6"))
        one.store.gate.clear()
        sending = asyncio.create_task(one.send(event("charge", "1", client="c-1", amount="2")))
        await until(one.store.syncing.is_set)
        log, partition = one.engine.notifications, one.engine.route("c-1")
        assert len(one.log(Topic.NOTIFICATIONS)) == 1
        assert await log.read(partition, 0, 10) == []
        one.store.gate.set()
        await sending
        assert [record.offset for record in await log.read(partition, 0, 10)] == [0]


async def test_a_full_queue_takes_nothing_of_a_submission_and_says_when_to_come_back(tmp_path: Path) -> None:
    async with running(tmp_path, queue_records_max=10) as one:
        await one.send(client("c-1"))
        # Nothing is folded before this task pauses, so the queue fills.
        waiting = [asyncio.ensure_future(one.send(*(_charge(10 * n + k) for k in range(5)))) for n in range(2)]
        await asyncio.sleep(0)
        with pytest.raises(Overloaded) as refused:
            await one.engine.submit([_charge(100)])
        assert refused.value.retry_after_seconds >= 1
        await asyncio.gather(*waiting)
        assert await one.statuses(_charge(100)) == ["accepted"]
        assert len(one.log(Topic.EVENTS)) == 12


async def test_one_submission_larger_than_the_queue_is_taken_when_nothing_waits(tmp_path: Path) -> None:
    async with running(tmp_path, queue_records_max=10) as one:
        assert await one.statuses(client("c-1"), *(_charge(n) for n in range(50))) == ["accepted"] * 51


async def test_a_failed_write_ends_the_engine_and_promises_nothing(tmp_path: Path) -> None:
    async with running(tmp_path) as one:
        await one.send(client("c-1"))
        one.store.failure = FAILURE
        with pytest.raises(Unavailable, match="the disk is gone"):
            await one.send(_charge(1))
        with pytest.raises(StoreError, match="the disk is gone"):
            await one.ended()
        with pytest.raises(Unavailable, match="the disk is gone"):
            await one.send(_charge(2))
        assert one.engine.ready() == (False, str(FAILURE))


async def test_a_failed_sync_ends_the_engine_and_promises_nothing(tmp_path: Path) -> None:
    async with running(tmp_path) as one:
        await one.send(client("c-1"))
        one.store.gate.clear()
        synced = asyncio.create_task(one.send(_charge(1)))
        await until(one.store.syncing.is_set)
        queued = asyncio.create_task(one.send(_charge(2)))
        await until(lambda: len(one.log(Topic.EVENTS)) == 3)
        one.store.failure = FAILURE
        one.store.gate.set()
        for sending in (synced, queued):
            with pytest.raises(Unavailable, match="the disk is gone"):
                await sending
        with pytest.raises(StoreError):
            await one.ended()


async def test_a_delivery_that_cannot_be_written_ends_the_engine(tmp_path: Path) -> None:
    delivery = Delivery("c-1/x/y/1/1/email", "c-1", "email", "sent", "2026-03-01T10:00:00Z", 1, "250 ok")
    async with running(tmp_path) as one:
        await one.send(client("c-1"))
        one.store.failure = FAILURE
        with pytest.raises(Unavailable, match="the disk is gone"):
            await one.engine.notifications.commit("mailer", {0: 1}, [delivery])
        with pytest.raises(StoreError):
            await one.ended()


async def test_a_stop_finishes_what_is_queued_and_takes_nothing_more(tmp_path: Path) -> None:
    async with running(tmp_path) as one:
        one.store.gate.clear()
        queued = [asyncio.create_task(one.send(client(f"c-{number}"))) for number in range(5)]
        await until(one.store.syncing.is_set)
        one.stop.set()
        await until(lambda: not one.engine.ready()[0])
        with pytest.raises(Unavailable, match="stopping"):
            await one.send(client("late"))
        one.store.gate.set()
        assert [answers[0].status for answers in await asyncio.gather(*queued)] == ["accepted"] * 5
        await one.ended()


async def test_a_sender_that_left_does_not_stop_what_it_sent(tmp_path: Path) -> None:
    async with running(tmp_path) as one:
        one.store.gate.clear()
        leaving = asyncio.create_task(one.send(client("c-1")))
        await until(one.store.syncing.is_set)
        leaving.cancel()
        one.store.gate.set()
        assert await one.statuses(client("c-1")) == ["duplicate"]
