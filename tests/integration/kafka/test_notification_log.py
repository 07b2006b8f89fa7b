"""The notification log on a real broker: the suite of the port, and what only a cluster can do to it."""

import time
from collections.abc import AsyncIterator
from typing import Any, Final

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaTimeoutError
from aiokafka.protocol.admin import DeleteGroupsRequest

from engine.kafka import ledger
from engine.kafka.clients import Connection, open_admin, open_producer
from engine.kafka.ledger import TakenOver
from engine.kafka.notification_log import KafkaNotificationLog
from engine.kafka.topics import TopicError, create_topics
from engine.log.ports import Unavailable
from tests.contract import test_notification_log as suite
from tests.integration.kafka.notification_bench import KafkaBench

pytestmark = pytest.mark.kafka

MANY: Final = 24
SWEEP_SECONDS_MAX: Final = 3.0  # a quarter of what it would take if each waited for a fetch

# Every promise of the port, with the bench below; one that is added there is run here too.
globals().update({name: test for name, test in vars(suite).items() if name.startswith("test_")})


@pytest.fixture
async def bench(broker: str, prefix: str) -> AsyncIterator[KafkaBench]:
    bench = KafkaBench(broker, prefix)
    await bench.start()
    yield bench
    await bench.end()


async def test_looking_at_many_partitions_takes_no_time_for_each(broker: str, prefix: str) -> None:
    """A fetch that waits for records on the same connection made it half a second each: mail waited, and a stop."""
    connection = Connection(bootstrap=broker)
    admin = open_admin(connection)
    await admin.start()
    await create_topics(admin, prefix, MANY, None)
    await admin.close()
    async with await KafkaNotificationLog.open(connection, prefix) as log:
        await log.read(0, 0, 10)
        for _ in range(2):
            started = time.monotonic()
            assert [list(await log.read(number, 0, 10)) for number in range(MANY)] == [[]] * MANY
            assert time.monotonic() - started < SWEEP_SECONDS_MAX


async def recorded(bench: KafkaBench) -> list[tuple[str, str]]:
    """Notification and consumer of each delivery, in order."""
    return sorted((delivery.notification, consumer) for consumer, delivery in await bench.deliveries())


async def test_a_copy_that_starts_fences_the_one_before(bench: KafkaBench) -> None:
    await bench.log.commit("mailer", {0: 1}, [suite._delivery("n-1")])
    async with await KafkaNotificationLog.open(bench.connection, bench.prefix) as later:
        assert dict(await later.positions("mailer")) == {0: 1}
        with pytest.raises(TakenOver, match="another mailer has started on this cluster"):
            await bench.log.commit("mailer", {0: 2}, [suite._delivery("n-2")])
        with pytest.raises(TakenOver):
            await bench.log.settled("mailer", ["n-2"])
        assert await later.settled("mailer", ["n-1", "n-2"]) == {"n-1"}
        await later.commit("mailer", {0: 2}, [suite._delivery("n-2")])
    assert await recorded(bench) == [("n-1", "mailer"), ("n-2", "mailer")]


async def test_a_copy_that_has_recorded_nothing_yet_has_taken_over_all_the_same(bench: KafkaBench) -> None:
    assert dict(await bench.log.positions("mailer")) == {}
    async with await KafkaNotificationLog.open(bench.connection, bench.prefix) as later:
        assert dict(await later.positions("mailer")) == {}
        with pytest.raises(TakenOver) as caught:
            await bench.log.commit("mailer", {0: 1}, [suite._delivery("n-1")])
        assert caught.value.exit_code == 3
        await later.commit("mailer", {0: 1}, [suite._delivery("n-1")])


async def test_one_whose_transaction_was_ended_by_the_broker_goes_on(bench: KafkaBench) -> None:
    """A broker that ends a transaction after its timeout fences whoever had it, as a copy would that does not sign."""
    await bench.log.commit("mailer", {0: 1}, [suite._delivery("n-1")])
    fencing = open_producer(bench.connection, f"{bench.prefix}plimsoll-mailer")
    await fencing.start()
    await fencing.stop()
    with pytest.raises(Unavailable):
        await bench.log.commit("mailer", {0: 2}, [suite._delivery("n-2")])
    await bench.log.commit("mailer", {0: 2}, [suite._delivery("n-2")])
    assert dict(await bench.log.positions("mailer")) == {0: 2}
    assert await recorded(bench) == [("n-1", "mailer"), ("n-2", "mailer")]


async def test_consumers_of_one_cluster_do_not_fence_each_other(bench: KafkaBench) -> None:
    await bench.log.commit("mailer", {0: 1}, [suite._delivery("n-1")])
    async with await KafkaNotificationLog.open(bench.connection, bench.prefix) as later:
        await later.commit("sms", {0: 1}, [suite._delivery("n-1")])
        await bench.log.commit("mailer", {0: 2}, [])
    assert await recorded(bench) == [("n-1", "mailer"), ("n-1", "sms")]


@pytest.mark.parametrize("done", [False, True], ids=["not-done", "done"])
async def test_a_commit_whose_answer_is_lost_is_recorded_once(
    bench: KafkaBench, monkeypatch: pytest.MonkeyPatch, done: bool
) -> None:
    commit, lost = AIOKafkaProducer.commit_transaction, False

    async def losing(self: AIOKafkaProducer) -> None:
        nonlocal lost
        if not lost:
            lost = True
            if done:
                await commit(self)  # type: ignore[no-untyped-call]  # it has no annotations
            raise KafkaTimeoutError("the answer is lost")
        await commit(self)  # type: ignore[no-untyped-call]  # nor has this

    monkeypatch.setattr(AIOKafkaProducer, "commit_transaction", losing)
    with pytest.raises(Unavailable, match="the answer is lost"):
        await bench.log.commit("mailer", {0: 1}, [suite._delivery("n-1")])
    await bench.log.commit("mailer", {0: 1}, [suite._delivery("n-1"), suite._delivery("n-2")])
    assert dict(await bench.log.positions("mailer")) == {0: 1}
    assert await recorded(bench) == [("n-1", "mailer"), ("n-2", "mailer")]


async def forget_group(bench: KafkaBench) -> None:
    """What brokers do with a group that wrote nothing for offsets.retention.minutes."""
    admin = open_admin(bench.connection)
    await admin.start()
    group = f"{bench.prefix}plimsoll-mailer"
    coordinator = await admin.find_coordinator(group)
    # Any: an answer's fields are made at run time.
    answer: Any = await admin._send_request(DeleteGroupsRequest([group]), coordinator)
    assert [code for _, code in answer.results] == [0]
    await admin.close()


async def test_a_group_that_was_forgotten_begins_at_the_start_and_repeats_nothing(bench: KafkaBench) -> None:
    await bench.log.commit("mailer", {0: 3}, [suite._delivery("n-1")])
    await forget_group(bench)
    await bench.reopen()
    assert dict(await bench.log.positions("mailer")) == {}
    assert await bench.log.settled("mailer", ["n-1"]) == {"n-1"}


async def test_positions_are_written_again_before_they_would_be_forgotten(
    bench: KafkaBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    await bench.log.commit("mailer", {0: 3, 1: 1}, [])
    await bench.log.wait(0.05)
    await forget_group(bench)
    await bench.log.wait(0.05)
    monkeypatch.setattr(ledger, "REFRESH_SECONDS", 0.0)
    await bench.log.wait(0.05)
    await bench.reopen()
    assert dict(await bench.log.positions("mailer")) == {0: 3, 1: 1}


async def test_what_is_not_committed_is_not_read(bench: KafkaBench) -> None:
    await bench.append(0, "c-1", b"1")
    open_one = open_producer(bench.connection, f"{bench.prefix}open")
    await open_one.start()
    await open_one.begin_transaction()
    await (await open_one.send(bench.topic, b"2", key=b"c-1", partition=0, timestamp_ms=1, headers=[]))
    assert [record.value for record in await bench.log.read(0, 0, 10)] == [b"1"]
    await open_one.stop()


async def test_topics_that_are_not_there_are_one_sentence(broker: str, prefix: str) -> None:
    with pytest.raises(TopicError, match=f"expected the topic {prefix}notifications, found none: run `plimsoll topics"):
        await KafkaNotificationLog.open(Connection(bootstrap=broker), prefix)


async def test_a_cluster_that_is_not_up_may_be_later() -> None:
    with pytest.raises(Unavailable, match=r"the Kafka cluster at 127\.0\.0\.1:1 could not be reached"):
        await KafkaNotificationLog.open(Connection(bootstrap="127.0.0.1:1"), "")
