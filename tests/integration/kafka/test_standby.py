"""A standby: near the end of the changelog while another works, and nothing but a catch-up away from working."""

import asyncio
from pathlib import Path

import pytest

from engine.kafka import standby
from engine.kafka.standby import StandbyTask
from engine.kafka.standing import read_standing
from engine.kafka.task import Fenced, PartitionTask
from engine.store.ports import Batch, StoreDamaged, StoreError
from engine.store.rocks import RocksStore
from tests.integration.kafka.cluster import Cluster, assert_equal_to_replay
from tests.integration.kafka.tasks import Watched, dumped, end_of_changelog, fill_changelog, options_of, running, until
from tests.integration.kafka.test_task import make_events_with_times_of_their_own
from tests.integration.kafka.test_worker import event, opening, traffic

pytestmark = pytest.mark.kafka


async def test_a_standby_follows_and_the_task_on_its_folder_only_catches_up(
    broker: str, prefix: str, tmp_path: Path
) -> None:
    async with Cluster(broker, prefix, 1) as cluster:
        there, here = await options_of(cluster, tmp_path / "there"), await options_of(cluster, tmp_path / "here")
        watched = Watched()
        following = StandbyTask(here, 0, print, metrics=watched.metrics)
        working = asyncio.create_task(PartitionTask(there, 0, print).run(asyncio.Event()))
        async with running(following) as run:
            await cluster.produce([*opening(), *traffic(10, 200)])
            await cluster.settled()
            end = await end_of_changelog(cluster, here, 0)
            await until(lambda: following.position == end, run)
            assert watched.value("plimsoll_standby_lag_records", partition="0") == 0
            followed = watched.value("plimsoll_restored_records_total", partition="0") or 0
            assert followed > 200
        assert following.lag_records is None
        assert watched.value("plimsoll_standby_lag_records", partition="0") is None
        await cluster.produce(traffic(200, 203))
        await cluster.settled()

        promoted = PartitionTask(here, 0, print, metrics=watched.metrics)
        async with running(promoted) as run:
            await until(lambda: promoted.caught_up, run)
            caught = (watched.value("plimsoll_restored_records_total", partition="0") or 0) - followed
            assert 0 < caught < 20
            await cluster.produce(traffic(203, 260))
            with pytest.raises(Fenced):
                await working
            events = await cluster.settled()
        await assert_equal_to_replay(cluster, events)


async def test_a_standbys_store_holds_what_the_workers_holds(broker: str, prefix: str, tmp_path: Path) -> None:
    async with Cluster(broker, prefix, 1) as cluster:
        there, here = await options_of(cluster, tmp_path / "there"), await options_of(cluster, tmp_path / "here")
        async with running(PartitionTask(there, 0, print)), running(following := StandbyTask(here, 0, print)) as run:
            await cluster.produce([*opening(), *traffic(10, 100)])
            await cluster.settled()
            end = await end_of_changelog(cluster, here, 0)
            await until(lambda: following.position == end, run)
        assert dumped(here, 0) == dumped(there, 0)


async def test_a_standby_sets_a_store_aside_that_turns_out_damaged(
    broker: str, prefix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write, writes = RocksStore.write, 0

    def damaged_once(self: RocksStore, batch: Batch) -> None:
        nonlocal writes
        writes += 1
        if writes == 2:
            raise StoreDamaged("damaged, says the test")
        write(self, batch)

    monkeypatch.setattr(RocksStore, "write", damaged_once)
    async with Cluster(broker, prefix, 1) as cluster:
        options = await options_of(cluster, tmp_path)
        await fill_changelog(cluster, options, 0, 500)
        watched = Watched()
        following = StandbyTask(options, 0, print, metrics=watched.metrics)
        async with running(following) as run:
            await until(lambda: following.lag_records == 0, run)
        assert watched.value("plimsoll_stores_set_aside_total", reason="damaged") == 1
        assert watched.value("plimsoll_task_restarts_total", partition="0", error="StoreDamaged") == 1
        assert len(dumped(options, 0)) == 500


async def test_a_store_that_cannot_be_written_ends_a_standby(
    broker: str, prefix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(self: RocksStore, batch: Batch) -> None:
        raise StoreError("the disk is full, says the test")

    monkeypatch.setattr(RocksStore, "write", full)
    async with Cluster(broker, prefix, 1) as cluster:
        options = await options_of(cluster, tmp_path)
        with pytest.raises(StoreError):
            await StandbyTask(options, 0, print).run(asyncio.Event())


async def test_an_idle_standby_keeps_its_store_young(
    broker: str, prefix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(standby, "_RENEW_SECONDS", 0.0)
    now, told = 1_000_000, list[int]()

    def clock() -> int:
        told.append(now)
        return now

    async with Cluster(broker, prefix, 1) as cluster:
        options = await options_of(cluster, tmp_path)
        following = StandbyTask(options, 0, print, clock=clock)
        async with running(following) as run:
            await until(lambda: following.lag_records == 0, run)
            now = 5_000_000
            await until(lambda: told.count(now) > 1, run)
        store = RocksStore(options.folder(0))
        standing = read_standing(store, 0)
        store.close()
        assert standing is not None
        assert standing.at == 5_000_000


async def test_spans_of_identities_that_are_over_leave_a_standbys_store(
    broker: str, prefix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(standby, "_RENEW_SECONDS", 0.0)
    await make_events_with_times_of_their_own(broker, prefix)
    async with Cluster(broker, prefix, 1) as cluster:
        there, here = await options_of(cluster, tmp_path / "there"), await options_of(cluster, tmp_path / "here")
        following = StandbyTask(here, 0, print)
        async with running(PartitionTask(there, 0, print)), running(following) as run:
            for number, days in enumerate((0, 8, 16, 24)):
                line = event(number, type="client", client=f"c-{number}", currency="USD")
                await cluster.produce([line], at_ms=(20_000 + days) * 86_400_000)
                await cluster.progressed(number + 1)
            end = await end_of_changelog(cluster, here, 0)
            await until(lambda: following.position == end, run)
        assert dumped(here, 0) == dumped(there, 0)
        first = 20_000 // 7
        assert {family for family, _ in dumped(here, 0)} >= {f"seen-{first + 2}", f"seen-{first + 3}"}
        assert not any(family in (f"seen-{first}", f"seen-{first + 1}") for family, _ in dumped(here, 0))
