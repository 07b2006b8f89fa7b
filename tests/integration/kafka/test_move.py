"""A history is moved: what the workers make of it is what its own engine made of it."""

import asyncio
import json
import shutil
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from itertools import takewhile
from pathlib import Path
from typing import Any

import pytest
from aiokafka import TopicPartition
from aiokafka.errors import KafkaError

from engine.cli.histories import file_history, folder_history
from engine.core.fold import Record, fold, new_outcome
from engine.core.outcome import Outcome
from engine.core.state import State
from engine.core.timers import move_clock
from engine.embedded.stored_log import stored_logs
from engine.failures import OperationalError, WrongUse
from engine.kafka import moving
from engine.kafka.clients import Connection, Consumer, open_admin, open_consumer
from engine.kafka.configuration import ConfigurationWriter
from engine.kafka.folding import read_records
from engine.kafka.histories import cluster_history
from engine.kafka.moving import MoveOptions, Totals, move
from engine.kafka.task import PartitionTask, wall_clock
from engine.kafka.topics import TopicError, create_topics
from engine.moving import HistoryError
from engine.replay import fold_whole
from schemas.codec import decode_line
from schemas.outputs import Change, Delivery, Notification, encode_output
from schemas.times import DAY, SECOND, parse_time
from schemas.topics import Topic, partition_of
from tests.integration.kafka.cluster import Cluster, assert_equal_to_replay, replayed
from tests.integration.kafka.tasks import options_of
from tests.integration.kafka.test_worker import event, opening, traffic
from tests.integration.processes import Process, command
from tests.properties.histories import history
from tests.unit.embedded.engines import Clock, running
from tests.unit.test_moving import embedded, sendable

pytestmark = pytest.mark.kafka

PARTITIONS = 5
SECONDS = 60.0
DUE = "2026-03-01T09:00:00Z"


class Decided:
    """Outputs by what they are about, of any number of partitions: no order but a client's own."""

    def __init__(self) -> None:
        self.notifications: dict[str, list[bytes]] = {}
        self.journal: dict[str, list[bytes]] = {}
        self.rejections: Counter[bytes] = Counter()
        self.versions: dict[tuple[str, int], bytes] = {}

    def add(self, outcome: Outcome) -> None:
        for output in outcome.outputs:
            raw = encode_output(output)
            if isinstance(output, Change):
                self.versions[output.client, output.version] = raw
            elif isinstance(output, Notification):
                self.notifications.setdefault(output.client, []).append(raw)
            elif output.__class__.__name__ == "Rejection":
                self.rejections[raw] += 1
            else:
                self.journal.setdefault(json.loads(raw)["client"], []).append(raw)


def decided(logs: Sequence[Sequence[Record]]) -> tuple[Decided, int]:
    """What the logs say, each folded by itself; then what is due by the latest log time, which is given too."""
    found, states = Decided(), []
    for records in logs:
        state, outcome = State(), new_outcome(every_change=True)
        fold(state, records, outcome)
        found.add(outcome)
        states.append(state)
    clock = max(state.clock for state in states)
    for state in states:
        outcome = new_outcome(every_change=True)
        move_clock(state, outcome, clock)
        found.add(outcome)
    return found, clock


@asynccontextmanager
async def working_at(cluster: Cluster, data: Path, clock: int) -> AsyncIterator[None]:
    """Tasks that think it is that instant, so that nothing becomes due that was not."""
    options = await options_of(cluster, data)
    stop = asyncio.Event()
    tasks = [
        asyncio.create_task(PartitionTask(options, number, lambda _: None, clock=lambda: clock).run(stop))
        for number in range(cluster.partitions)
    ]
    try:
        yield
    finally:
        stop.set()
        await asyncio.gather(*tasks)


async def assert_outputs(cluster: Cluster, expected: Decided) -> None:
    """What is in the output topics: by client the same notifications and journal, and no version says anything else."""
    by_client: dict[Topic, dict[str, list[bytes]]] = {}
    for topic in (Topic.NOTIFICATIONS, Topic.JOURNAL):
        found = by_client.setdefault(topic, {})
        for records in await cluster.read(topic.value):
            for record in records:
                found.setdefault(json.loads(record.value)["client"], []).append(record.value)
    assert by_client[Topic.NOTIFICATIONS] == expected.notifications
    assert by_client[Topic.JOURNAL] == expected.journal
    rejections = [each.value for records in await cluster.read(Topic.REJECTIONS.value) for each in records]
    assert Counter(rejections) == expected.rejections
    last: dict[str, int] = {}
    for records in await cluster.read(Topic.CHANGES.value):
        for record in records:
            change = json.loads(record.value)
            assert record.value == expected.versions[change["client"], change["version"]]
            last[change["client"]] = change["version"]
    wanted: dict[str, int] = {}
    for client, version in expected.versions:
        wanted[client] = max(version, wanted.get(client, 0))
    assert last == wanted


def into(cluster: Cluster, **given: Any) -> MoveOptions:
    return MoveOptions(
        connection=cluster.connection,
        app=f"{cluster.prefix}plimsoll",
        prefix=cluster.prefix,
        partitions=cluster.partitions,
        **given,
    )


def past(seed: int) -> list[bytes]:
    """A random history, as far as it has happened by now: a cluster takes no outputs of a time to come."""
    end = wall_clock()
    return list(takewhile(lambda line: (sendable(line)[1] or 0) < end, history(seed, 400)))


def unmade(broker: str, prefix: str, partitions: int) -> Cluster:
    """A cluster whose topics are not made yet; entering it finds them there."""
    return Cluster(broker, prefix, partitions)


async def move_folder(folder: Path, cluster: Cluster, **given: Any) -> Totals:
    async with folder_history(folder) as (found, delivered):
        return await move(found, delivered, into(cluster, **given), lambda _: None)


@pytest.mark.parametrize("seed", [22, 43])
@pytest.mark.parametrize("partitions", [3, PARTITIONS])
async def test_the_workers_make_of_an_embedded_history_what_the_engine_made_of_it(
    broker: str, prefix: str, tmp_path: Path, seed: int, partitions: int
) -> None:
    """With as many partitions as it had, and with another count."""
    folder = tmp_path / "embedded"
    await embedded(folder, [*past(seed), *opening(), *traffic(10, 120)], Clock())
    with stored_logs(folder) as logs:
        expected, clock = decided([list(log) for log in logs])
    target = unmade(broker, prefix, partitions)
    totals = await move_folder(folder, target)
    assert totals.transfers > 20
    assert totals.configuration > 10
    async with target as cluster, working_at(cluster, tmp_path / "data", clock):
        events = await cluster.settled()
        await assert_equal_to_replay(cluster, events)
        await assert_outputs(cluster, expected)


async def test_a_cluster_is_moved_to_another_count_and_goes_on(broker: str, prefix: str, tmp_path: Path) -> None:
    async with Cluster(broker, prefix, 3) as source:
        async with working_at(source, tmp_path / "source", 0):
            await source.produce([*opening(), *traffic(10, 200)])
            events = await source.settled()
        expected, clock = decided([read_records(records) for records in events])

        target = unmade(broker, f"{prefix}b-", PARTITIONS)
        async with cluster_history(source.connection, source.prefix) as (found, delivered):
            totals = await move(found, delivered, into(target), lambda _: None)
        assert totals.transfers > 10
        async with target as cluster, working_at(cluster, tmp_path / "target", clock):
            await cluster.settled()
            await assert_outputs(cluster, expected)

            # It is an ordinary log from here on: times are the broker's, revisions go on.
            await cluster.produce(traffic(190, 260))
            async with ConfigurationWriter(cluster.writing(answer_seconds=SECONDS)) as writer:
                assert writer.definitions.get(("profile", "kp")).raw == opening()[0].decode()
                (answer,) = await writer.submit([event(77, type="user", user="after")])
                assert answer.status == "accepted"
            await assert_equal_to_replay(cluster, await cluster.settled())

        # And may be moved again: what was moved with its legs has them beside it.
        third = unmade(broker, f"{prefix}c-", 2)
        async with cluster_history(target.connection, target.prefix) as (found, delivered):
            await move(found, delivered, into(third), lambda _: None)
        async with Cluster(broker, target.prefix, PARTITIONS) as again:
            moved, clock = decided([list(replayable(records)) for records in await again.read("events")])
        async with third as cluster, working_at(cluster, tmp_path / "third", clock):
            await cluster.settled()
            await assert_outputs(cluster, moved)


async def test_a_cluster_whose_configuration_changed_on_the_way_is_moved_as_it_was(
    broker: str, prefix: str, tmp_path: Path
) -> None:
    """To the same count each partition keeps its own log times, so that every output is the same to the last byte."""
    async with Cluster(broker, prefix, 3) as source:
        async with working_at(source, tmp_path / "source", 0):
            await source.produce([*opening(), *past(43), *traffic(10, 100)])
            # A second way in: it is refused there, and must not become configuration by being moved.
            await source.send("k-1", event(5, type="profile", profile="forged", currency="USD"))
            async with ConfigurationWriter(source.writing(answer_seconds=SECONDS)) as writer:
                kept = event(6, type="profile_deleted", profile="kp")  # in use: asked, and not written
                assert [each.status for each in await writer.submit([kept])] == ["refused"]
            events = await source.settled()
        outcomes = [replayed(records) for records in events]
        expected = Decided()
        for outcome in outcomes:
            expected.add(outcome)
        clock = max(each.timestamp for records in events for each in records) * 1000

        target = unmade(broker, f"{prefix}b-", 3)
        async with cluster_history(source.connection, source.prefix) as (found, delivered):
            await move(found, delivered, into(target), lambda _: None)
        async with target as cluster, working_at(cluster, tmp_path / "target", clock):
            await assert_equal_to_replay(cluster, await cluster.settled())
            await assert_outputs(cluster, expected)


def test_the_command_killed_and_begun_anew(broker: str, prefix: str, tmp_path: Path) -> None:
    file = tmp_path / "backup.ndjson"
    lines = [*opening(), *traffic(10, 15_000)]
    file.write_bytes(b"\n".join(lines))
    arguments = ("move", str(file), "--bootstrap", broker, "--prefix", prefix, "--partitions", "4")
    with Process(*arguments) as process:
        asyncio.run(first_of_events(broker, prefix))
        process.kill()
    code, _, err = command(*arguments)
    assert (code, err) == (
        2,
        "plimsoll: a move into these topics was begun and has not finished: let it finish, or, if it runs no more, "
        "say --restart to delete what it wrote and begin anew\n",
    )
    code, out, err = command(*arguments, "--restart", "--json")
    assert code == 0, err
    totals = json.loads(out)
    assert (totals["configuration"], totals["transfers"] > 100) == (1, True)
    assert totals["events"] == len(lines) + 2 * totals["transfers"]
    code, out, _ = command("topics", "create", "--bootstrap", broker, "--prefix", prefix, "--partitions", "4", "--json")
    assert (code, {each["state"] for each in json.loads(out)}) == (0, {"exists"})


async def first_of_events(broker: str, prefix: str) -> None:
    """Returns when something was moved."""
    consumer = open_consumer(Connection(bootstrap=broker), "test")
    await consumer.start()
    place = TopicPartition(prefix + Topic.EVENTS.value, 0)
    async with asyncio.timeout(SECONDS):
        while not await ends_of(consumer, place):  # each time a question to the broker
            pass
    await consumer.stop()


async def ends_of(consumer: Consumer, place: TopicPartition) -> int:
    try:
        return (await consumer.end_offsets([place]))[place]
    except KafkaError:  # it is not made yet
        return 0


def replayable(records: Sequence[Any]) -> list[Record]:
    return read_records(records)


async def test_a_file_is_moved_and_its_transfers_are_settled_at_once(broker: str, prefix: str, tmp_path: Path) -> None:
    file = tmp_path / "backup.ndjson"
    lines = past(13)
    file.write_bytes(b"\n".join(lines))
    state, expected = State(), Decided()
    for line in lines:
        decoded = decode_line(line)
        expected.add(fold_whole(state, Record(decoded.at, decoded.event, line)))
    target = unmade(broker, prefix, PARTITIONS)
    async with file_history(str(file)) as (found, delivered):
        await move(found, delivered, into(target), lambda _: None)
    async with target as cluster, working_at(cluster, tmp_path / "data", state.clock):
        await cluster.settled()
        await assert_outputs(cluster, expected)


async def test_a_move_that_was_killed_is_never_taken_for_a_whole_one(
    broker: str, prefix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "embedded"
    await embedded(folder, past(3), Clock())
    with stored_logs(folder) as logs:
        expected, clock = decided([list(log) for log in logs])
    target = unmade(broker, prefix, PARTITIONS)
    monkeypatch.setattr(moving, "_RECORDS_MAX", 40)

    def killed(_: Totals) -> None:
        raise KeyboardInterrupt

    half = shutil.copytree(folder, tmp_path / "half")  # what is killed here keeps its store open
    with pytest.raises(KeyboardInterrupt):
        async with folder_history(half) as (found, delivered):
            await move(found, delivered, into(target), killed)

    admin = open_admin(target.connection)
    await admin.start()
    with pytest.raises(TopicError, match="has not finished"):
        await create_topics(admin, prefix, PARTITIONS, None)
    await admin.close()
    with pytest.raises(OperationalError, match="found none"):
        await options_of(target, tmp_path)
    with pytest.raises(WrongUse, match="--restart"):
        await move_folder(folder, target)

    await move_folder(folder, target, restart=True)
    async with target as cluster, working_at(cluster, tmp_path / "data", clock):
        await cluster.settled()
        await assert_outputs(cluster, expected)
    with pytest.raises(WrongUse, match="expected no topic"):
        await move_folder(folder, target, restart=True)


async def test_what_was_delivered_or_is_long_past_is_not_sent_again(broker: str, prefix: str, tmp_path: Path) -> None:
    folder, clock = tmp_path / "embedded", Clock()
    await embedded(folder, past(43), clock)
    async with running(folder, clock, partitions=3) as product:
        sent = [json.loads(each) for each in product.log(Topic.NOTIFICATIONS)][::-1]
        last = next(each for each in sent if each["channel"] == "email")
        done = Delivery(last["notification"], last["client"], "email", "sent", DUE, 1, "250 ok")
        await product.engine.notifications.commit("mailer", {}, [done])
    target = unmade(broker, prefix, PARTITIONS)
    async with folder_history(folder) as (found, delivered):
        recent = clock.now + SECOND
        await move(found, delivered, into(target), lambda _: None, now=lambda: recent)
    old = {each["notification"] for each in sent if parse_time(each["at"]) < clock.now - 30 * DAY}
    async with target as cluster:
        kept = {each.key.decode(): each for part in await cluster.read(Topic.DELIVERIES.value) for each in part}
        assert set(kept) == old | {done.notification} != {each["notification"] for each in sent}
        mine = kept[done.notification]
        assert (mine.value, mine.headers) == (encode_output(done), (("plimsoll-consumer", b"mailer"),))
        assert mine.partition == partition_of(done.client, PARTITIONS)

    later = unmade(broker, f"{prefix}later-", PARTITIONS)
    await move_folder(folder, later)
    async with later as cluster:
        names = {each.key.decode() for records in await cluster.read(Topic.DELIVERIES.value) for each in records}
        assert names == {each["notification"] for each in sent}


async def test_a_source_that_still_works_is_not_moved(broker: str, prefix: str, tmp_path: Path) -> None:
    async with Cluster(broker, prefix, 3) as source:
        await source.produce([*opening(), *traffic(10, 40)])
        target = unmade(broker, f"{prefix}b-", PARTITIONS)
        with pytest.raises(HistoryError, match="transfers are on their way"):
            async with cluster_history(source.connection, source.prefix) as (found, delivered):
                await move(found, delivered, into(target), lambda _: None)
