"""The writer of configuration on a real broker: one at a time, every partition or none, and what became of it."""

import asyncio
import json
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from engine.kafka import verdicts
from engine.kafka.configuration import ConfigurationWriter, WriterFenced
from engine.kafka.task import PartitionTask
from engine.kafka.topics import CHANGELOG
from engine.partition import keys
from engine.partition.revisions import decode_decided
from schemas.topics import Topic, partition_of
from tests.integration.kafka.cluster import Cluster, assert_equal_to_replay
from tests.integration.kafka.tasks import options_of
from tests.integration.kafka.test_worker import event
from tests.integration.processes import command, environment

pytestmark = pytest.mark.kafka

PARTITIONS = 3
SECONDS = 120.0
PROFILE = {"type": "profile", "profile": "p", "currency": "USD"}
DELETED = {"type": "profile_deleted", "profile": "p"}
PAUSE_SECONDS_MAX = 30.0  # 10 of the transaction, 10 until the broker looks for those that are over, and a slow machine


@asynccontextmanager
async def working(cluster: Cluster, data: Path) -> AsyncIterator[None]:
    """Tasks over every partition."""
    options = await options_of(cluster, data)
    stop = asyncio.Event()
    tasks = [
        asyncio.create_task(PartitionTask(options, number, lambda _: None).run(stop))
        for number in range(cluster.partitions)
    ]
    try:
        yield
    finally:
        stop.set()
        await asyncio.gather(*tasks)


def revisions(records: list[list[Any]]) -> list[list[int]]:
    """The revisions of the configuration in `events`, by partition, in order."""
    return [
        [int(dict(each.headers)["plimsoll-revision"]) for each in part if "plimsoll-revision" in dict(each.headers)]
        for part in records
    ]


def naming(client: str) -> bytes:
    return event(9, type="client", client=client, currency="USD", profile="p")


async def test_every_partition_answers_and_a_second_run_changes_nothing(
    broker: str, prefix: str, tmp_path: Path
) -> None:
    async with Cluster(broker, prefix, PARTITIONS) as cluster, working(cluster, tmp_path):
        lines = [event(1, type="reseller", reseller="r"), event(2, **PROFILE, reseller="r")]
        async with ConfigurationWriter(cluster.writing(answer_seconds=SECONDS)) as writer:
            assert [(each.status, each.revision) for each in await writer.submit(lines)] == [
                ("accepted", 1),
                ("accepted", 2),
            ]
        async with ConfigurationWriter(cluster.writing(answer_seconds=SECONDS)) as writer:
            assert [each.status for each in await writer.submit(lines)] == ["duplicate", "duplicate"]
            again = [event(1, type="reseller", reseller="r", name="conflicting")]
            (conflict,) = await writer.submit(again)
            assert (conflict.status, conflict.reason) == ("refused", "conflict")
        assert revisions(await cluster.settled())[0][:2] == [1, 2]


async def test_what_is_refused_says_why_and_nothing_of_it_is_applied(broker: str, prefix: str, tmp_path: Path) -> None:
    async with Cluster(broker, prefix, PARTITIONS) as cluster, working(cluster, tmp_path):
        async with ConfigurationWriter(cluster.writing(answer_seconds=SECONDS)) as writer:
            answers = await writer.submit(
                [
                    event(1, **PROFILE),
                    event(2, type="template", template="t", profile="nowhere"),
                    event(3, type="profile", profile="p", surplus=1),
                    event(4, type="charge", client="c", amount="1"),
                    event(5, type="user_deleted", user="nobody"),
                ]
            )
            assert [(each.status, each.reason) for each in answers] == [
                ("accepted", None),
                ("refused", "unknown_reference"),
                ("refused", "bad_field"),
                ("refused", "unknown_type"),
                ("refused", "unknown_reference"),
            ]
            await cluster.produce([naming("c-1")])
            (used,) = await writer.submit([event(6, **DELETED)])
            assert used.reason == "in_use"
            assert used.message == "profile 'p' is in use by client c-1; change them first"
        events = await cluster.settled()
        await assert_equal_to_replay(cluster, events)
        assert not any(await cluster.read(Topic.REJECTIONS.value))


async def test_a_deletion_that_races_is_taken_back_everywhere(
    broker: str, prefix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A client comes to name the profile between the question and the deletion."""
    mark, marks = verdicts.Verdicts.mark, 0

    async with Cluster(broker, prefix, PARTITIONS) as cluster, working(cluster, tmp_path):

        async def raced(self: verdicts.Verdicts) -> list[int]:
            nonlocal marks
            marks += 1
            if marks == 2:
                await cluster.produce([naming("c-1")])
            return await mark(self)

        async with ConfigurationWriter(cluster.writing(answer_seconds=SECONDS)) as writer:
            await writer.submit([event(1, **PROFILE)])
            monkeypatch.setattr(verdicts.Verdicts, "mark", raced)
            (answer,) = await writer.submit([event(2, **DELETED)])
            assert (answer.status, answer.reason) == ("refused", "in_use")
            held = writer.definitions.get(("profile", "p"))
            assert (held.settled, json.loads(held.raw or "")["id"]) == (True, "configuration-4")
        assert await decided(cluster) == [("profile\0p", 4, "accepted")] * PARTITIONS
        # Every partition has the profile again: clients of all of them may name it.
        await cluster.produce([naming(f"c-{number}") for number in range(2, 12)])
        events = await cluster.settled()
        await assert_equal_to_replay(cluster, events)
        reasons = [json.loads(each.value)["reason"] for part in await cluster.read("rejections") for each in part]
        assert reasons == ["in_use"]


async def test_what_a_lost_writer_left_is_seen_through_by_the_next(
    broker: str, prefix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The writer is lost after the deletion was committed and before anybody's answer was read."""

    async with Cluster(broker, prefix, PARTITIONS) as cluster, working(cluster, tmp_path):
        async with ConfigurationWriter(cluster.writing(answer_seconds=SECONDS)) as writer:
            await writer.submit([event(1, **PROFILE)])
            wait, waits = verdicts.Verdicts.wait, 0

            async def lost(self: verdicts.Verdicts, *given: Any) -> Any:
                nonlocal waits
                waits += 1
                if waits == 2:
                    raise ConnectionAbortedError
                answers = await wait(self, *given)
                await cluster.produce([naming("c-1")])  # after the question, before the deletion
                return answers

            monkeypatch.setattr(verdicts.Verdicts, "wait", lost)
            with suppress(ConnectionAbortedError):
                await writer.submit([event(2, **DELETED)])
            monkeypatch.setattr(verdicts.Verdicts, "wait", wait)

        async with ConfigurationWriter(cluster.writing(answer_seconds=SECONDS)) as writer:
            held = writer.definitions.get(("profile", "p"))
            assert (held.settled, held.raw is None) == (True, False)
        await cluster.produce([naming(f"c-{number}") for number in range(2, 12)])
        await assert_equal_to_replay(cluster, await cluster.settled())


async def test_the_former_writer_is_fenced(broker: str, prefix: str) -> None:
    async with Cluster(broker, prefix, PARTITIONS) as cluster:
        async with ConfigurationWriter(cluster.writing(answer_seconds=1.0)) as former:
            await former.append([event(1, **PROFILE)])
            async with ConfigurationWriter(cluster.writing(answer_seconds=1.0)) as latter:
                with pytest.raises(WriterFenced):
                    await former.append([event(2, **PROFILE)])
                await latter.append([event(3, **PROFILE)])
        assert revisions(await cluster.read("events")) == [[1, 2]] * PARTITIONS


async def test_without_a_worker_the_answer_is_that_there_is_none(broker: str, prefix: str, tmp_path: Path) -> None:
    async with Cluster(broker, prefix, PARTITIONS) as cluster:
        async with ConfigurationWriter(cluster.writing(answer_seconds=0.5)) as writer:
            written, asked = await writer.submit([event(1, **PROFILE), event(2, **DELETED)])
            assert (written.status, written.revision, asked.status) == ("written", 1, "unanswered")
            assert written.message == (
                "no answer from partition 0, 1, 2 in time (does a worker run?): it is in their logs"
            )
        async with working(cluster, tmp_path):
            async with ConfigurationWriter(cluster.writing(answer_seconds=SECONDS)) as writer:
                assert writer.definitions.get(("profile", "p")).settled
            await assert_equal_to_replay(cluster, await cluster.settled())


async def test_configuration_of_an_ordinary_producer_is_refused(broker: str, prefix: str, tmp_path: Path) -> None:
    async with Cluster(broker, prefix, PARTITIONS) as cluster, working(cluster, tmp_path):
        await cluster.send("c", event(1, **PROFILE))
        events = await cluster.settled()
        await assert_equal_to_replay(cluster, events)
        (rejected,) = (await cluster.read("rejections"))[partition_of("c", PARTITIONS)]
        found = json.loads(rejected.value)
        assert found["reason"] == "unknown_type"
        assert found["message"] == (
            "type: 'profile' comes to this log through the writer of configuration only; send it by `plimsoll publish`"
        )


LOST = """
import asyncio, os, sys
from engine.connection import Connection
from engine.kafka.configuration import ConfigurationWriter, WriterOptions
from engine.kafka.transactions import transact

async def main():
    options = WriterOptions(
        connection=Connection(bootstrap=sys.argv[1]), app=sys.argv[2] + "plimsoll", prefix=sys.argv[2],
        partitions=int(sys.argv[3]),
    )
    async with ConfigurationWriter(options) as writer:
        async def never():
            print("open", flush=True)
            await asyncio.Event().wait()
        writer._producer.commit_transaction = never
        await writer.append([sys.argv[4].encode()])

asyncio.run(main())
"""


async def killed_in_its_transaction(*arguments: str) -> None:
    """A writer of its own process is killed when its records are sent and not committed."""
    lost = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", LOST, *arguments), stdout=asyncio.subprocess.PIPE, env=environment()
    )
    assert lost.stdout is not None
    assert await lost.stdout.readline() == b"open\n"
    lost.kill()
    await lost.wait()


async def test_a_writer_killed_in_its_transaction_leaves_nothing_and_holds_nobody_up_for_long(
    broker: str, prefix: str, tmp_path: Path
) -> None:
    """SIGKILL with the records sent and not committed: events behind them wait until the transaction times out."""
    async with Cluster(broker, prefix, PARTITIONS) as cluster, working(cluster, tmp_path):
        async with ConfigurationWriter(cluster.writing(answer_seconds=SECONDS)) as writer:
            await writer.submit([event(1, **PROFILE)])
        arguments = (broker, prefix, str(PARTITIONS), event(2, **PROFILE, name="never").decode())
        await killed_in_its_transaction(*arguments)
        began = time.monotonic()
        await cluster.produce([naming("c-1")])
        await cluster.written(Topic.CHANGES, b'"c-1"')
        paused = time.monotonic() - began
        print(f"paused {paused:.1f} s")
        assert 1.0 < paused < PAUSE_SECONDS_MAX
        assert revisions(await cluster.settled()) == [[1]] * PARTITIONS
        async with ConfigurationWriter(cluster.writing(answer_seconds=SECONDS)) as writer:
            (answer,) = await writer.submit([event(3, **PROFILE, name="after")])
            assert (answer.status, answer.revision) == ("accepted", 2)


async def test_the_next_writer_ends_the_pause_at_once(broker: str, prefix: str, tmp_path: Path) -> None:
    async with Cluster(broker, prefix, PARTITIONS) as cluster, working(cluster, tmp_path):
        arguments = (broker, prefix, str(PARTITIONS), event(2, **PROFILE).decode())
        await killed_in_its_transaction(*arguments)
        began = time.monotonic()
        async with ConfigurationWriter(cluster.writing(answer_seconds=SECONDS)) as writer:
            (answer,) = await writer.submit([event(3, **PROFILE)])
        print(f"paused {time.monotonic() - began:.1f} s")
        assert (answer.status, answer.revision) == ("accepted", 1)


async def test_two_senders_of_configuration_take_turns(broker: str, prefix: str, tmp_path: Path) -> None:
    async with Cluster(broker, prefix, PARTITIONS) as cluster, working(cluster, tmp_path / "data"):

        async def sends(who: str, begin: int) -> None:
            file = tmp_path / who
            users = [event(number, type="user", user=f"{who}-{number}") for number in range(begin, begin + 20)]
            file.write_bytes(b"\n".join(users))
            for _ in range(2):
                code, out, err = await asyncio.to_thread(
                    command, "publish", str(file), "--bootstrap", broker, "--prefix", prefix, "--batch", "5", "--json"
                )
                assert code == 0, err
                assert json.loads(out)["sent"] == 20
                assert "Traceback" not in err

        await asyncio.gather(sends("a", 0), sends("b", 100))
        events = await cluster.settled()
        first, *others = revisions(events)
        assert others == [first] * (PARTITIONS - 1)
        assert first == sorted(set(first))
        await assert_equal_to_replay(cluster, events)
        async with ConfigurationWriter(cluster.writing(answer_seconds=SECONDS)) as writer:
            assert len(writer.definitions.config().users) == 40


LOOP = """
import asyncio, sys
from engine.connection import Connection
from engine.kafka.configuration import ConfigurationWriter, WriterOptions

async def main():
    options = WriterOptions(
        connection=Connection(bootstrap=sys.argv[1]), app=sys.argv[2] + "plimsoll", prefix=sys.argv[2],
        partitions=int(sys.argv[3]),
    )
    async with ConfigurationWriter(options) as writer:
        number = int(sys.argv[4]) * 1000
        while True:
            number += 1
            print("next", flush=True)
            body = '"id":"%d","source":"loop","time":"2026-01-01T00:00:00Z"' % number
            await writer.submit([('{"type":"user","user":"u",%s}' % body).encode()])
            await writer.submit([('{"type":"user_deleted","user":"u",%s}' % body.replace("loop", "end")).encode()])

asyncio.run(main())
"""


async def test_writers_killed_at_any_instant(broker: str, prefix: str, tmp_path: Path) -> None:
    """A writer in a loop is killed a moment after it began, each time a little later; the next one goes on."""
    async with Cluster(broker, prefix, PARTITIONS) as cluster, working(cluster, tmp_path):
        for each in range(6):
            arguments = ("-c", LOOP, broker, prefix, str(PARTITIONS), str(each))
            lost = await asyncio.create_subprocess_exec(
                *(sys.executable, *arguments), stdout=asyncio.subprocess.PIPE, env=environment()
            )
            assert lost.stdout is not None
            for _ in range(1 + each % 3):
                assert await lost.stdout.readline() == b"next\n"
            with suppress(TimeoutError):
                await asyncio.wait_for(lost.wait(), 0.02 * each)  # somewhere in a question, a write, or the wait for it
            lost.kill()
            await lost.wait()
        async with ConfigurationWriter(cluster.writing(answer_seconds=SECONDS)) as writer:
            assert not writer.definitions.unsettled()
            known = "u" in writer.definitions.config().users
            last = writer.definitions.last
        events = await cluster.settled()
        await assert_one_order(cluster, events)
        assert revisions(events)[0][-1] == last > 3
        assert {verdict for _, _, verdict in await decided(cluster)} == {"accepted"}
        await cluster.produce([event(1, type="client", client="c", currency="USD", manager="u")])
        await cluster.settled()
        rejected = [each for records in await cluster.read("rejections") for each in records]
        assert bool(rejected) is not known


async def assert_one_order(cluster: Cluster, events: list[list[Any]]) -> None:
    """Every partition has the same revisions, each above the one before, and nothing was refused for its revision."""
    first, *others = revisions(events)
    assert others == [first] * (cluster.partitions - 1)
    assert first == sorted(set(first))
    await assert_equal_to_replay(cluster, events)
    assert not [each for records in await cluster.read("rejections") for each in records]


async def decided(cluster: Cluster) -> list[tuple[str, int, str]]:
    """The last decision about configuration of each partition."""
    found = []
    for number, records in enumerate(await cluster.read(CHANGELOG)):
        begin = keys.prefix(number, keys.REVISION)
        record = [each for each in records if each.key.startswith(begin)][-1]
        last = decode_decided(record.value)
        found.append((record.key[len(begin) :].decode(), last.revision, last.verdict))
    return found
