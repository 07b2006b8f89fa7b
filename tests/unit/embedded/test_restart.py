"""What is there after the engine was opened again, and folders that it does not open."""

from pathlib import Path

import msgspec
import pytest
from prometheus_client import CollectorRegistry

from engine.embedded.engine import FORMAT, EmbeddedEngine, EmbeddedOptions, stored_partitions
from engine.metrics import EngineMetrics
from engine.store.ports import STATE, StoreError
from engine.store.rocks import RocksStore
from schemas.times import DAY
from schemas.topics import Topic
from tests.integration.crash.audit import audit
from tests.unit.embedded.engines import PARTITIONS, START, Clock, client, event, outputs, running, until

CHARGE = event("charge", "1", client="c-1", amount="1")
USER = event("user", "u", user="u-1", name="U", email="u@example.net")


async def test_a_repeat_is_a_duplicate_after_a_restart(tmp_path: Path) -> None:
    async with running(tmp_path) as one:
        await one.send(USER, client("c-1"), CHARGE)
    async with running(tmp_path) as one:
        assert await one.statuses(USER, client("c-1"), CHARGE) == ["duplicate"] * 3
        assert await one.statuses(event("charge", "1", client="c-1", amount="2")) == ["conflict"]
        assert outputs(one.log(Topic.CHANGES), "live") == ["-1"]


async def test_what_was_seen_before_a_restart_is_learnt_without_more_traffic(tmp_path: Path) -> None:
    many = [event("charge", str(number), client="c-1", amount="1") for number in range(1, 3_000)]
    async with running(tmp_path) as one:
        await one.send(USER, client("c-1"), *many)
    async with running(tmp_path) as one:
        await one.send(event("charge", "new", client="c-1", amount="1"))
        await until(lambda: any(family.startswith("seen-") for family in one.store.scanned))
        assert set(await one.statuses(*many)) == {"duplicate"}


@pytest.mark.parametrize(("days", "status"), [(7 * DAY - 1, "duplicate"), (7 * DAY, "accepted")])
async def test_the_window_of_identities_ends_at_exactly_seven_days(tmp_path: Path, days: int, status: str) -> None:
    clock = Clock()
    async with running(tmp_path, clock) as one:
        await one.send(client("c-1"), CHARGE)
    clock.now = START + days
    async with running(tmp_path, clock) as one:
        assert await one.statuses(CHARGE) == [status]


async def test_what_comes_after_a_restart_goes_on_from_what_was_before(tmp_path: Path) -> None:
    async with running(tmp_path) as one:
        await one.send(USER, client("c-1", manager="u-1", warning_thresholds=["5"]))
        await one.send(event("payment", "p", client="c-1", amount="6"))
    async with running(tmp_path) as one:
        assert await one.statuses(event("user_deleted", "d", user="u-1")) == ["in_use"]
        # Offsets 0 to 3: the user, the client, the payment, and what was refused just now.
        (answer,) = await one.send(event("charge", "2", client="c-1", amount="2"))
        assert (answer.partition, answer.offset) == (one.engine.route("c-1"), 4)
        assert outputs(one.log(Topic.CHANGES), "version") == [1, 2, 3]
        assert outputs(one.log(Topic.NOTIFICATIONS), "kind") == ["credit_warning"]


async def test_what_is_kept_is_what_the_log_says(tmp_path: Path) -> None:
    async with running(tmp_path) as one:
        await one.send(USER, client("c-1", transfers="yes", manager="u-1"), client("c-2"))
        await one.send(event("payment", "p", client="c-1", amount="6"))
    async with running(tmp_path) as one:
        await one.send(event("transfer", "t", client="c-1", to="c-2", amount="2"), CHARGE, CHARGE, b"{")
        found = audit(one.store, PARTITIONS)
        found.check()
        assert found.accepted["s", "1"] == 1
        assert found.accepted["s", "u"] == PARTITIONS


def _open(store: RocksStore, folder: Path, partitions: int) -> None:
    options = EmbeddedOptions(data=folder, partitions=partitions)
    EmbeddedEngine(store, options, EngineMetrics(CollectorRegistry()))


def test_another_partition_count_is_refused(tmp_path: Path) -> None:
    store = RocksStore(tmp_path)
    _open(store, tmp_path, 4)
    with pytest.raises(StoreError, match=r"was made with 4 partitions, found 8 .* fixed for life; set it back"):
        _open(store, tmp_path, 8)
    store.close()


def test_another_format_is_refused(tmp_path: Path) -> None:
    store = RocksStore(tmp_path)
    _open(store, tmp_path, 4)
    batch = store.batch()
    batch.use(STATE)
    batch.put(b"\xff\xffm", msgspec.msgpack.encode([FORMAT + 1, 4]))
    store.write(batch)
    with pytest.raises(StoreError, match=f"has format {FORMAT + 1}, this version reads {FORMAT}: use the version"):
        _open(store, tmp_path, 4)
    store.close()


def test_a_folder_of_the_format_before_is_read_and_is_of_this_one_then(tmp_path: Path) -> None:
    store = RocksStore(tmp_path)
    _open(store, tmp_path, 4)
    batch = store.batch()
    batch.use(STATE)
    batch.put(b"\xff\xffm", msgspec.msgpack.encode([1, 4]))
    store.write(batch)
    assert stored_partitions(store) == 4
    _open(store, tmp_path, 4)
    assert msgspec.msgpack.decode(store.get(STATE, b"\xff\xffm") or b"") == [FORMAT, 4]
    store.close()
