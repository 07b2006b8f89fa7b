"""The partition task at the places where a process can be lost, and at the place where two meet."""

import asyncio
import json
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import KafkaTimeoutError

from engine.kafka.task import Fenced, PartitionTask, wall_clock
from engine.kafka.topics import CHANGELOG
from engine.partition import keys
from engine.store.ports import Batch, StoreError
from engine.store.rocks import RocksStore
from schemas.times import format_time
from schemas.topics import Topic
from tests.integration.kafka.cluster import Cluster, assert_equal_to_replay
from tests.integration.kafka.tasks import options_of
from tests.integration.kafka.test_worker import event, opening, traffic

pytestmark = pytest.mark.kafka


def told_until(word: str, reached: asyncio.Event) -> Callable[[str], None]:
    def tell(sentence: str) -> None:
        if word in sentence:
            reached.set()

    return tell


async def test_what_was_committed_and_not_stored_is_restored(
    broker: str, prefix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The process is lost between the commit and the store's write, again and again."""
    write, writes = RocksStore.write, 0

    def lost_now_and_then(self: RocksStore, batch: Batch) -> None:
        nonlocal writes
        writes += 1
        if writes % 4 == 0:
            raise StoreError("lost")
        write(self, batch)

    monkeypatch.setattr(RocksStore, "write", lost_now_and_then)
    async with Cluster(broker, prefix, 1) as cluster:
        await cluster.produce([*opening(), *traffic(10, 200)])
        options = await options_of(cluster, tmp_path)
        stop = asyncio.Event()

        async def started_again_and_again() -> None:
            while not stop.is_set():
                with suppress(StoreError):
                    await PartitionTask(options, 0, lambda _: None).run(stop)

        running = asyncio.create_task(started_again_and_again())
        events = await cluster.settled()
        stop.set()
        await running
        assert writes > 10
        await assert_equal_to_replay(cluster, events)


async def test_a_commit_that_fails_or_whose_answer_is_lost_counts_once_or_not_at_all(
    broker: str, prefix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    commit, commits = AIOKafkaProducer.commit_transaction, 0

    async def broken_now_and_then(self: AIOKafkaProducer) -> None:
        nonlocal commits
        commits += 1
        if commits % 7 == 4:
            raise KafkaTimeoutError("not sent")
        await commit(self)  # type: ignore[no-untyped-call]  # it has no annotations
        if commits % 7 == 1:
            raise KafkaTimeoutError("the answer is lost")

    async with Cluster(broker, prefix, 1) as cluster:
        await cluster.produce([*opening(), *traffic(10, 200)])
        monkeypatch.setattr(AIOKafkaProducer, "commit_transaction", broken_now_and_then)
        stop = asyncio.Event()
        running = asyncio.create_task(PartitionTask(await options_of(cluster, tmp_path), 0, print).run(stop))
        events = await cluster.settled()
        stop.set()
        await running
        assert commits > 10
        await assert_equal_to_replay(cluster, events)


async def test_the_former_owner_is_fenced_and_leaves_nothing_behind(broker: str, prefix: str, tmp_path: Path) -> None:
    async with Cluster(broker, prefix, 1) as cluster:
        await cluster.produce([*opening(), *traffic(10, 50)])
        stop = asyncio.Event()
        working, taken = asyncio.Event(), asyncio.Event()
        former = PartitionTask(await options_of(cluster, tmp_path / "a"), 0, told_until("works from", working))
        running = asyncio.create_task(former.run(stop))
        await working.wait()
        await cluster.settled()

        latter = PartitionTask(await options_of(cluster, tmp_path / "b"), 0, told_until("works from", taken))
        beside = asyncio.create_task(latter.run(stop))
        await taken.wait()
        await cluster.produce(traffic(50, 100))
        with pytest.raises(Fenced):
            await running
        events = await cluster.settled()
        stop.set()
        await beside
        await assert_equal_to_replay(cluster, events)


async def test_an_engine_that_is_due_and_has_no_traffic_asks_the_log_for_its_time(
    broker: str, prefix: str, tmp_path: Path
) -> None:
    soon = format_time(wall_clock() + 1_500_000)
    async with Cluster(broker, prefix, 1) as cluster:
        stop = asyncio.Event()
        running = asyncio.create_task(PartitionTask(await options_of(cluster, tmp_path), 0, print).run(stop))
        await cluster.produce(
            [
                event(1, type="client", client="c", currency="USD", model="postpaid"),
                event(2, type="temporary_credit", client="c", amount="5", valid_until=soon),
            ]
        )
        await cluster.written(Topic.JOURNAL, b'"reason":"expired"')
        stop.set()
        await running
        events = await cluster.settled()
        assert [json.loads(record.value)["type"] for record in events[0]][2] == "tick"
        await assert_equal_to_replay(cluster, events)


async def test_identities_that_are_out_of_the_window_leave_store_and_changelog(
    broker: str, prefix: str, tmp_path: Path
) -> None:
    await make_events_with_times_of_their_own(broker, prefix)
    async with Cluster(broker, prefix, 1) as cluster:
        held = []
        for folder in ("running", "restored"):
            stop = asyncio.Event()
            working = asyncio.Event()
            task = PartitionTask(await options_of(cluster, tmp_path / folder), 0, told_until("works from", working))
            running = asyncio.create_task(task.run(stop))
            if folder == "running":
                for number, days in enumerate((0, 8, 16, 24)):
                    line = event(number, type="client", client=f"c-{number}", currency="USD")
                    await cluster.produce([line], at_ms=(20_000 + days) * 86_400_000)
                    await cluster.progressed(number + 1)
            await working.wait()
            stop.set()
            await running
            store = RocksStore(tmp_path / folder / f"{prefix}partition-0")
            held.append([name for name in store.families() if name.startswith("seen-")])
            store.close()

        first = 20_000 // 7
        assert held == [[f"seen-{first + 2}", f"seen-{first + 3}"]] * 2
        chunks = [
            (int.from_bytes(record.key[3:7], "big") - first, record.value is None)
            for record in (await cluster.read(CHANGELOG))[0]
            if record.key.startswith(keys.prefix(0, keys.SEEN))
        ]
        assert chunks == [(0, False), (1, False), (2, False), (0, True), (3, False), (1, True)]


async def make_events_with_times_of_their_own(broker: str, prefix: str) -> None:
    """`events` with CreateTime, as for moving a history: a test can then be in other weeks."""
    admin = AIOKafkaAdminClient(bootstrap_servers=broker)
    await admin.start()
    events = NewTopic(prefix + Topic.EVENTS.value, 1, 1)
    await admin.create_topics([events])
    await admin.close()
