"""What a task does beside its batches: pausing, being looked at, failing, ending in time, staying young."""

import asyncio
import time
from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaConnectionError, KafkaTimeoutError

from engine.connection import Connection
from engine.kafka import task as task_module
from engine.kafka.clients import open_producer
from engine.kafka.signature import Signature
from engine.kafka.standby import StandbyTask
from engine.kafka.standing import read_standing
from engine.kafka.task import Fenced, PartitionTask, TaskOptions, wall_clock
from engine.kafka.topics import CHANGELOG
from engine.kafka.work import Work
from engine.partition import keys
from engine.store.ports import Batch, StoreError
from engine.store.rocks import RocksStore
from tests.integration.kafka.cluster import Cluster, assert_equal_to_replay
from tests.integration.kafka.tasks import STOP_SECONDS_MAX, Watched, end_of_changelog, options_of, running, until
from tests.integration.kafka.test_worker import event, opening, traffic

pytestmark = pytest.mark.kafka


async def test_a_paused_task_reads_nothing_and_says_how_far_it_is_behind(
    broker: str, prefix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(task_module, "_MEASURE_SECONDS", 0.0)
    async with Cluster(broker, prefix, 1) as cluster:
        watched = Watched()
        options = await options_of(cluster, tmp_path, caught_up_records_max=50)
        task = PartitionTask(options, 0, print, metrics=watched.metrics)
        assert not task.caught_up
        async with running(task) as run:
            await until(lambda: task.caught_up, run)
            task.paused = True
            await cluster.produce([*opening(), *traffic(10, 200)])
            await until(lambda: (watched.value("plimsoll_lag_records", partition="0") or 0) > 200, run)
            await until(lambda: not task.caught_up, run)
            assert watched.value("plimsoll_caught_up", partition="0") == 0
            assert (await cluster.positions())[0] <= 40  # the read that was under way
            task.paused = False
            await cluster.settled()
            await until(lambda: task.caught_up and watched.value("plimsoll_lag_records", partition="0") == 0, run)
        assert not task.caught_up
        assert watched.value("plimsoll_lag_records", partition="0") is None


async def test_a_view_sees_what_is_committed_while_a_batch_is_not(
    broker: str, prefix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    commit, seen = AIOKafkaProducer.commit_transaction, list[tuple[int, int]]()

    async def looked_at(self: AIOKafkaProducer) -> None:
        view = task.state
        if view is not None:  # None: this is the task's signature
            balance = view.state.balances["c"]  # None: there is no such client yet
            seen.append((getattr(balance, "live", 0) // 1_000_000, view.next_offset_of_events))
        await commit(self)  # type: ignore[no-untyped-call]  # it has no annotations

    async with Cluster(broker, prefix, 1) as cluster:
        task = PartitionTask(await options_of(cluster, tmp_path, batch_records_max=1), 0, print)
        assert not task.checkpoint()
        await cluster.produce(
            [
                event(1, type="client", client="c", currency="USD"),
                event(2, type="payment", client="c", amount="7"),
                event(3, type="payment", client="c", amount="4"),
            ]
        )
        monkeypatch.setattr(AIOKafkaProducer, "commit_transaction", looked_at)
        async with running(task):
            await cluster.settled()
            view = task.state
            assert view is not None
            assert view.state.balances["c"].live == 11_000_000
            assert task.checkpoint()
        assert task.state is None
        assert seen == [(0, 0), (0, 1), (7, 2)]


async def test_what_is_measured(broker: str, prefix: str, tmp_path: Path) -> None:
    async with Cluster(broker, prefix, 1) as cluster:
        watched = Watched()
        lines = [*opening(), *traffic(10, 100)]
        await cluster.produce(lines)
        task = PartitionTask(await options_of(cluster, tmp_path), 0, print, metrics=watched.metrics)
        async with running(task) as run:
            events = await cluster.settled()
            await until(lambda: watched.value("plimsoll_lag_records", partition="0") == 0, run)
            commits = watched.value("plimsoll_transaction_seconds_count")
            assert commits is not None
            assert commits >= len(lines) // 40
            assert watched.value("plimsoll_batch_records_sum") == len(events[0])
            assert (watched.value("plimsoll_transaction_records_sum") or 0) > len(lines)
            assert abs(time.time() - (watched.value("plimsoll_last_commit_timestamp_seconds", partition="0") or 0)) < 60
            assert watched.value("plimsoll_caught_up", partition="0") == 1
            charges = sum(b'"charge"' in line for line in lines)
            assert accepted_and_repeated(watched, "charge") == (90, charges - 90)
            assert accepted_and_repeated(watched, "profile") == (1, 0)
            assert watched.value("plimsoll_events_total", type="unreadable", outcome="refused") == 1
            assert watched.value("plimsoll_rejections_total", reason="malformed") == 1
            assert watched.value("plimsoll_events_total", type="transfer_leg", outcome="accepted") is None
        assert watched.value("plimsoll_fences_total", partition="0") is None


def accepted_and_repeated(watched: Watched, name: str) -> tuple[float, float]:
    accepted = watched.value("plimsoll_events_total", type=name, outcome="accepted") or 0
    return accepted, watched.value("plimsoll_events_total", type=name, outcome="duplicate") or 0


async def test_any_other_failure_drops_the_batch_and_it_is_done_again(
    broker: str, prefix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begin, failures = AIOKafkaProducer.begin_transaction, [KafkaTimeoutError(), ValueError("what nobody thought of")]

    async def failing(self: AIOKafkaProducer) -> None:
        if failures:
            raise failures.pop()
        await begin(self)  # type: ignore[no-untyped-call]  # it has no annotations

    async with Cluster(broker, prefix, 1) as cluster:
        await cluster.produce([*opening(), *traffic(10, 60)])
        monkeypatch.setattr(AIOKafkaProducer, "begin_transaction", failing)
        watched = Watched()
        async with running(PartitionTask(await options_of(cluster, tmp_path), 0, print, metrics=watched.metrics)):
            events = await cluster.settled()
        for kind in ("KafkaTimeoutError", "ValueError"):
            assert watched.value("plimsoll_task_restarts_total", partition="0", error=kind) == 1
        await assert_equal_to_replay(cluster, events)


async def test_a_task_that_another_owner_fenced_ends_and_says_so(broker: str, prefix: str, tmp_path: Path) -> None:
    async with Cluster(broker, prefix, 1) as cluster:
        watched = Watched()
        options = await options_of(cluster, tmp_path)
        task = PartitionTask(options, 0, print, metrics=watched.metrics)
        run = asyncio.create_task(task.run(asyncio.Event()))
        await until(lambda: task.caught_up, run)
        owner = open_producer(cluster.connection, f"{options.app}-0")
        await owner.start()
        await Signature(options, 0).sign(owner, wall_clock())
        await cluster.produce(opening())
        with pytest.raises(Fenced):
            await run
        await owner.stop()
        assert watched.value("plimsoll_fences_total", partition="0") == 1
        assert not task.caught_up
        assert task.state is None
        RocksStore(options.folder(0)).close()  # it is closed


async def test_a_task_that_the_broker_fenced_goes_on(broker: str, prefix: str, tmp_path: Path) -> None:
    """A transaction was open for too long: its epoch is raised as by another producer, but there is no other owner."""
    async with Cluster(broker, prefix, 1) as cluster:
        watched = Watched()
        options = await options_of(cluster, tmp_path)
        task = PartitionTask(options, 0, print, metrics=watched.metrics)
        async with running(task) as run:
            await cluster.produce([*opening(), *traffic(10, 60)])
            await cluster.settled()
            raising = open_producer(cluster.connection, f"{options.app}-0")
            await raising.start()
            await raising.stop()
            await cluster.produce(traffic(60, 120))
            events = await cluster.settled()
            await until(lambda: task.caught_up, run)
        assert watched.value("plimsoll_task_restarts_total", partition="0", error="ProducerFenced") == 1
        assert watched.value("plimsoll_fences_total", partition="0") is None
        await assert_equal_to_replay(cluster, events)


async def test_a_task_that_failed_ends_where_another_owner_came_meanwhile(
    broker: str, prefix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with Cluster(broker, prefix, 1) as cluster:
        options = await options_of(cluster, tmp_path)
        task = PartitionTask(options, 0, print)
        run = asyncio.create_task(task.run(asyncio.Event()))
        await until(lambda: task.caught_up, run)
        owner = open_producer(cluster.connection, f"{options.app}-0")
        await owner.start()
        await Signature(options, 0).sign(owner, wall_clock())

        async def failing(self: AIOKafkaProducer) -> None:
            raise KafkaTimeoutError

        monkeypatch.setattr(AIOKafkaProducer, "begin_transaction", failing)
        await cluster.send("k-1", event(1, type="client", client="k-1", currency="USD"))
        with pytest.raises(Fenced):
            await run
        monkeypatch.undo()
        await Signature(options, 0).sign(owner, wall_clock())  # nobody fenced it
        await owner.stop()


@pytest.mark.parametrize("error", [StoreError("the disk is full, says the test"), AssertionError("broken")])
async def test_a_failed_store_and_a_broken_invariant_end_the_task(
    broker: str, prefix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def failing(self: RocksStore, batch: Batch) -> None:
        raise error

    async with Cluster(broker, prefix, 1) as cluster:
        task = PartitionTask(await options_of(cluster, tmp_path), 0, print)
        run = asyncio.create_task(task.run(asyncio.Event()))
        await until(lambda: task.caught_up, run)
        monkeypatch.setattr(RocksStore, "write", failing)
        await cluster.produce(opening())
        with pytest.raises(type(error), match=str(error)):
            await run


async def test_a_partition_without_traffic_renews_its_claim_and_its_store(
    broker: str, prefix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    renew, renewals = Work.renew, 0

    async def counted(self: Work) -> None:
        nonlocal renewals
        await renew(self)
        renewals += 1

    async with Cluster(broker, prefix, 1) as cluster:
        await cluster.produce([*opening(), *traffic(10, 40)])
        options = await options_of(cluster, tmp_path)
        async with running(PartitionTask(options, 0, print)):
            events = await cluster.settled()
        before = await end_of_changelog(cluster, options, 0)

        monkeypatch.setattr(task_module, "_RENEW_SECONDS", 0.0)
        monkeypatch.setattr(Work, "renew", counted)
        async with running(PartitionTask(options, 0, print)) as run:
            await until(lambda: renewals > 1, run)
        later = [record for record in (await cluster.read(CHANGELOG))[0] if record.offset >= before]
        assert {record.key[:3] for record in later} == {keys.prefix(0, keys.META), keys.prefix(0, keys.OWNER)}
        store = RocksStore(options.folder(0))
        standing = read_standing(store, 0)
        store.close()
        assert standing is not None
        assert standing.position > before
        assert await cluster.settled() == events


class Mute:
    """A broker that takes connections and never says a word; ``asked`` once somebody has said something to it."""

    def __init__(self) -> None:
        self.asked = asyncio.Event()
        self._server: asyncio.Server | None = None

    @property
    def connection(self) -> Connection:
        assert self._server is not None
        return Connection(bootstrap=f"127.0.0.1:{self._server.sockets[0].getsockname()[1]}")

    async def __aenter__(self) -> "Mute":
        self._server = await asyncio.start_server(self._listen, "127.0.0.1", 0)
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()

    async def _listen(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await reader.read(1024):
            self.asked.set()
        writer.close()


@pytest.mark.parametrize("kind", [PartitionTask, StandbyTask])
async def test_a_task_whose_broker_says_nothing_ends_in_time(
    tmp_path: Path, kind: type[PartitionTask] | type[StandbyTask]
) -> None:
    async with Mute() as mute:
        options = TaskOptions(
            connection=mute.connection, cluster="c", app="a", prefix="p-", partitions=1, data=tmp_path
        )
        async with running(kind(options, 0, print)):
            await mute.asked.wait()


async def test_a_task_whose_broker_goes_away_while_it_works_ends_in_time(
    broker: str, prefix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    committing = asyncio.Event()

    async def hangs(self: AIOKafkaProducer) -> None:
        committing.set()
        await asyncio.Event().wait()

    async def does_not_stop(self: Any) -> None:
        await asyncio.Event().wait()

    async with Cluster(broker, prefix, 1) as cluster:
        await cluster.produce(opening())
        options = await options_of(cluster, tmp_path)
        stop = asyncio.Event()
        with monkeypatch.context() as patch:
            patch.setattr(AIOKafkaProducer, "commit_transaction", hangs)
            run = asyncio.create_task(PartitionTask(options, 0, print).run(stop))
            await committing.wait()
            patch.setattr(AIOKafkaProducer, "stop", does_not_stop)
            stop.set()
            began = time.monotonic()
            await run
            assert time.monotonic() - began < STOP_SECONDS_MAX
        async with running(PartitionTask(options, 0, print)):
            events = await cluster.settled()
        await assert_equal_to_replay(cluster, events)


async def test_a_broker_that_refuses_is_tried_again(tmp_path: Path) -> None:
    async with Mute() as gone:
        connection = gone.connection
    watched = Watched()
    options = TaskOptions(connection=connection, cluster="c", app="a", prefix="p-", partitions=1, data=tmp_path)
    async with running(PartitionTask(options, 0, print, metrics=watched.metrics)) as run:
        name = KafkaConnectionError.__name__
        await until(lambda: (watched.value("plimsoll_task_restarts_total", partition="0", error=name) or 0) > 1, run)
