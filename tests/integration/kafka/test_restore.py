"""A restore: from which stores it goes on, which ones it sets aside, and how it ends when it is told to."""

import asyncio
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from engine.kafka import restore
from engine.kafka.restore import Changelog
from engine.kafka.standing import AGE_MAX, read_standing, write_standing
from engine.kafka.task import PartitionTask, TaskOptions, wall_clock
from engine.store.ports import Batch, StoreDamaged
from engine.store.rocks import RocksStore
from tests.integration.kafka.cluster import Cluster, assert_equal_to_replay
from tests.integration.kafka.tasks import Watched, dumped, fill_changelog, options_of, running, until
from tests.integration.kafka.test_worker import event, opening, traffic

pytestmark = pytest.mark.kafka


async def worked_off(cluster: Cluster, options: TaskOptions, watched: Watched) -> None:
    """A task from its start until nothing is left to do."""
    async with running(task := PartitionTask(options, 0, print, metrics=watched.metrics)) as run:
        await until(lambda: task.caught_up, run)
        await cluster.settled()


def named(folder: Path) -> list[str]:
    """What is in it."""
    return sorted(path.name for path in folder.iterdir())


def standing_changed(options: TaskOptions, **changes: Any) -> None:
    """Another standing in a store that is closed."""
    store = RocksStore(options.folder(0))
    standing = read_standing(store, 0)
    assert standing is not None
    batch = store.batch()
    write_standing(batch, 0, msgspec.structs.replace(standing, **changes))
    store.write(batch)
    store.close()


def garbled(folder: Path, size: int = 256) -> None:
    """The beginning of every data file. What opening a file looks at is at its end, and so is meta in a large one."""
    for path in folder.glob("*.sst"):
        with path.open("r+b") as file:
            file.write(random.Random(size).randbytes(size))


def removed(pattern: str) -> Callable[[TaskOptions], None]:
    def remove(options: TaskOptions) -> None:
        found = sorted(options.folder(0).glob(pattern))
        assert found
        for path in found:
            path.unlink()

    return remove


def changed(**changes: Any) -> Callable[[TaskOptions], None]:
    return lambda options: standing_changed(options, **changes)


def emptied_of_names(options: TaskOptions) -> None:
    """Both files that RocksDB starts from: without them it would make a new store in the place of the old one."""
    removed("CURRENT")(options)
    removed("*.log")(options)


@pytest.mark.parametrize(
    ("ruin", "reason"),
    [
        pytest.param(changed(position=1_000_000), "ahead", id="ahead"),
        pytest.param(changed(cluster="other"), "cluster", id="other cluster"),
        pytest.param(changed(partitions=5), "partitions", id="other partition count"),
        pytest.param(changed(format=0), "format", id="other format"),
        pytest.param(changed(at=wall_clock() - AGE_MAX - 1), "old", id="old"),
        pytest.param(lambda options: garbled(options.folder(0)), "damaged", id="garbled"),
        pytest.param(removed("*.sst"), "damaged", id="data gone"),
        pytest.param(removed("MANIFEST-*"), "damaged", id="manifest gone"),
        pytest.param(removed("*.log"), "damaged", id="write-ahead log gone"),
        pytest.param(emptied_of_names, "damaged", id="current gone"),
    ],
)
async def test_a_store_that_cannot_be_trusted_is_set_aside_and_restored(
    broker: str, prefix: str, tmp_path: Path, ruin: Callable[[TaskOptions], None], reason: str
) -> None:
    async with Cluster(broker, prefix, 1) as cluster:
        options = await options_of(cluster, tmp_path)
        await cluster.produce([*opening(), *traffic(10, 60)])
        await worked_off(cluster, options, Watched())
        held = dumped(options, 0)
        ruin(options)

        watched = Watched()
        async with running(task := PartitionTask(options, 0, print, metrics=watched.metrics)) as run:
            await until(lambda: task.caught_up, run)
        assert dumped(options, 0) == held
        assert watched.value("plimsoll_stores_set_aside_total", reason=reason) == 1
        aside = options.folder(0).with_name(f"{options.folder(0).name}.aside-{reason}-1")
        assert aside.is_dir()

        await cluster.produce(traffic(60, 90))
        await worked_off(cluster, options, Watched())
        await assert_equal_to_replay(cluster, await cluster.settled())


async def test_a_store_that_the_changelog_left_behind_is_wiped(broker: str, prefix: str, tmp_path: Path) -> None:
    async with Cluster(broker, prefix, 1) as cluster:
        options = await options_of(cluster, tmp_path)
        await cluster.produce([*opening(), *traffic(10, 60)])
        await worked_off(cluster, options, Watched())
        held = dumped(options, 0)
        standing_changed(options, position=-1)

        watched = Watched()
        await worked_off(cluster, options, watched)
        assert dumped(options, 0) == held
        assert watched.value("plimsoll_stores_set_aside_total", reason="gap") == 1
        assert named(tmp_path) == [options.folder(0).name]


async def test_only_the_latest_asides_are_kept(broker: str, prefix: str, tmp_path: Path) -> None:
    async with Cluster(broker, prefix, 1) as cluster:
        options = await options_of(cluster, tmp_path, asides_max=2)
        await cluster.produce(opening())
        for ruin in (changed(cluster="other"), changed(format=0), changed(position=1_000_000), changed(cluster="x")):
            await worked_off(cluster, options, Watched())
            ruin(options)
        await worked_off(cluster, options, Watched())
        name = options.folder(0).name
        assert named(tmp_path) == [name, f"{name}.aside-ahead-3", f"{name}.aside-cluster-4"]


async def test_damage_that_an_event_runs_into_is_not_the_events_fault(broker: str, prefix: str, tmp_path: Path) -> None:
    clients = [event(1, type="client", client=f"c-{each}", currency="USD") for each in range(500)]
    payments = [event(2, type="payment", client=f"c-{each}", amount="5") for each in range(500)]
    async with Cluster(broker, prefix, 1) as cluster:
        options = await options_of(cluster, tmp_path)
        await cluster.produce(clients)
        await worked_off(cluster, options, Watched())
        garbled(options.folder(0), 10_000)
        task = PartitionTask(options, 0, print)
        run = asyncio.create_task(task.run(asyncio.Event()))
        await until(lambda: task.caught_up, run)
        await cluster.produce(payments)
        with pytest.raises(StoreDamaged):
            await run
        del run

        watched = Watched()
        await worked_off(cluster, options, watched)
        assert watched.value("plimsoll_stores_set_aside_total", reason="damaged") == 1
        await assert_equal_to_replay(cluster, await cluster.settled())


async def test_damage_found_while_working_ends_the_task_and_the_next_one_sets_the_store_aside(
    broker: str, prefix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def damaged(self: RocksStore, batch: Batch) -> None:
        raise StoreDamaged("damaged, says the test")

    async with Cluster(broker, prefix, 1) as cluster:
        options = await options_of(cluster, tmp_path)
        stop = asyncio.Event()
        task = PartitionTask(options, 0, print)
        run = asyncio.create_task(task.run(stop))
        await until(lambda: task.caught_up, run)
        with monkeypatch.context() as patch:
            patch.setattr(RocksStore, "write", damaged)
            await cluster.produce(opening())
            with pytest.raises(StoreDamaged):
                await run
        del run

        watched = Watched()
        await worked_off(cluster, options, watched)
        assert watched.value("plimsoll_stores_set_aside_total", reason="damaged") == 1
        await assert_equal_to_replay(cluster, await cluster.settled())


async def test_damage_found_while_restoring_is_set_aside_by_the_same_task(
    broker: str, prefix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write, writes = RocksStore.write, 0

    def damaged_once(self: RocksStore, batch: Batch) -> None:
        nonlocal writes
        writes += 1
        if writes == 2:
            raise StoreDamaged("damaged, says the test")
        write(self, batch)

    async with Cluster(broker, prefix, 1) as cluster:
        await cluster.produce([*opening(), *traffic(10, 60)])
        await worked_off(cluster, await options_of(cluster, tmp_path / "first"), Watched())
        monkeypatch.setattr(RocksStore, "write", damaged_once)
        watched = Watched()
        options = await options_of(cluster, tmp_path / "second")
        await worked_off(cluster, options, watched)
        assert watched.value("plimsoll_stores_set_aside_total", reason="damaged") == 1
        assert watched.value("plimsoll_task_restarts_total", partition="0", error="StoreDamaged") == 1
        monkeypatch.undo()
        assert dumped(options, 0) == dumped(await options_of(cluster, tmp_path / "first"), 0)


async def test_a_restore_that_is_stopped_goes_on_where_it_was(
    broker: str, prefix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(restore, "_BATCH_RECORDS_MAX", 20)
    async with Cluster(broker, prefix, 1) as cluster:
        options = await options_of(cluster, tmp_path)
        await fill_changelog(cluster, options, 0, 20_000)
        former, latter = Watched(), Watched()
        async with running(PartitionTask(options, 0, print, metrics=former.metrics)) as run:
            await until(lambda: (former.value("plimsoll_restored_records_total", partition="0") or 0) > 1_000, run)
            assert 0 < (former.value("plimsoll_restore_remaining_records", partition="0") or 0) < 19_500
        first = former.value("plimsoll_restored_records_total", partition="0")
        assert first is not None
        assert first < 20_000

        monkeypatch.undo()
        async with running(task := PartitionTask(options, 0, print, metrics=latter.metrics)) as run:
            await until(lambda: task.caught_up, run)
            assert latter.value("plimsoll_restore_remaining_records", partition="0") == 0
        signatures = 2
        assert latter.value("plimsoll_restored_records_total", partition="0") == 20_000 - first + signatures
        assert len(dumped(options, 0)) == 20_000


async def test_no_more_restores_go_side_by_side_than_are_allowed(
    broker: str, prefix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read, order = Changelog.read, list[int]()

    async def noted(self: Changelog, now: Callable[[], int]) -> int:
        order.append(self.number)
        return await read(self, now)

    monkeypatch.setattr(Changelog, "read", noted)
    monkeypatch.setattr(restore, "_SMALL_RECORDS_MAX", 1_000)
    monkeypatch.setattr(restore, "_BATCH_RECORDS_MAX", 500)
    async with Cluster(broker, prefix, 3) as cluster:
        options = await options_of(cluster, tmp_path, restores_max=1)
        for number in range(3):
            await fill_changelog(cluster, options, number, 5_000)
        tasks = [PartitionTask(options, number, print) for number in range(3)]
        async with running(tasks[0]) as a, running(tasks[1]) as b, running(tasks[2]) as c:
            for task, run in zip(tasks, (a, b, c), strict=True):
                await until(lambda task=task: task.caught_up, run)  # type: ignore[misc]  # a default that is bound
    turns = [number for place, number in enumerate(order) if place == 0 or order[place - 1] != number]
    assert sorted(turns) == [0, 1, 2], order
    assert len(order) >= 30
