"""Every command on a broker with ACLs: with what the README's table grants it does its work; lacking some, it says so.

The broker notes what each user asks of it. So it shows too which grant nobody needs: nobody asks for it.
"""

import asyncio
import json
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Final

import httpx
import msgspec
import pytest
from aiokafka.admin import NewTopic

from engine.kafka.clients import open_admin
from engine.kafka.topics import MOVING
from schemas.outputs import encode_output
from tests.fakes.http_peer import HttpPeer
from tests.fakes.notifications import notification
from tests.fakes.smtp_peer import SmtpPeer
from tests.integration.kafka.acls import ADMIN, PASSWORD, Grant, Guarded, guarded_broker, table
from tests.integration.kafka.cluster import Cluster, assert_equal_to_replay
from tests.integration.kafka.notification_bench import SECONDS_MAX, KafkaBench
from tests.integration.kafka.test_move import assert_outputs, decided, replayable, working_at
from tests.integration.kafka.test_worker import event, opening, traffic
from tests.integration.processes import Process, command

pytestmark = pytest.mark.kafka

PARTITIONS: Final = 2
SECRET: Final = "whsec_" + "A" * 43 + "="
TABLE: Final = table()
USERS: Final = {
    "creator": ["topics create"],
    "worker": ["worker"],
    "member": ["worker", "worker of a group, besides"],
    "publisher": ["publish, import", "publish of configuration, besides"],
    "importer": ["publish, import"],
    "operator": ["control"],
    "mailer": ["mailer"],
    "sms": ["sms"],
    "checker": ["check"],
    "mover": ["move, to new topics"],
    "remover": ["move, to new topics", "move --restart, besides"],
    "exporter": ["move kafka, from there"],
    "copier": ["move kafka, from there", "move, to new topics"],
}


class Lacking(msgspec.Struct, frozen=True):
    """A command whose user lacks one grant, or has another in its place, and what it says. ``there``: the topics."""

    rows: Sequence[str]
    without: Grant
    command: str
    sentence: str
    instead: str | None = None
    there: bool = True
    section: str = ""


LACKING: Final = {
    "lacking-create": Lacking(
        USERS["creator"],
        Grant("Topic", "{prefix}journal", "Create"),
        "topics create",
        "Create on Topic {prefix}journal",
        there=False,
    ),
    "lacking-describe": Lacking(
        USERS["creator"],
        Grant("Topic", "{prefix}changes", "Describe"),
        "topics create",
        "what is needed on Topic {prefix}changes",
        there=False,
    ),
    "lacking-settings": Lacking(
        USERS["creator"],
        Grant("Topic", "{prefix}events", "DescribeConfigs"),
        "topics create",
        "DescribeConfigs on Topic {prefix}events",
    ),
    "lacking-events": Lacking(
        USERS["importer"],
        Grant("Topic", "{prefix}events", "Write"),
        "publish {charges}",
        "what is needed on Topic {prefix}events",
        instead="Describe",
    ),
    "lacking-changelog": Lacking(
        USERS["publisher"],
        Grant("Topic", "{prefix}state-changelog", "Read"),
        "publish {file}",
        "what is needed on Topic {prefix}state-changelog",
    ),
    "lacking-config": Lacking(
        USERS["publisher"],
        Grant("TransactionalId", "{prefix}{app}-config", "Write"),
        "publish {file}",
        "Write on TransactionalId {prefix}plimsoll-config",
    ),
    "lacking-control": Lacking(
        USERS["operator"],
        Grant("Topic", "{prefix}control", "Write"),
        "control resume",
        "what is needed on Topic {prefix}control",
        instead="Describe",
    ),
    "lacking-commands": Lacking(
        USERS["member"],
        Grant("Topic", "{prefix}control", "Read"),
        "worker --port 0 --data {data}",
        "Read on Topic {prefix}control",
        instead="Describe",
    ),
    "lacking-group": Lacking(
        USERS["member"],
        Grant("Group", "{prefix}{app}", "Read"),
        "worker --port 0 --data {data}",
        "Read on Group {prefix}plimsoll",
    ),
    "lacking-positions": Lacking(
        USERS["mailer"],
        Grant("Group", "{prefix}plimsoll-mailer", "Read"),
        "mailer",
        "Read on Group {prefix}plimsoll-mailer",
        section='[mail]\nport = 1\ntls = "none"\nsender = "no-reply@acme.example"',
    ),
    "lacking-deliveries": Lacking(
        USERS["mailer"],
        Grant("Topic", "{prefix}deliveries", "Write"),
        "mailer",
        "what is needed on Topic {prefix}deliveries",
        section='[mail]\nport = 1\ntls = "none"\nsender = "no-reply@acme.example"',
    ),
    "lacking-sms": Lacking(
        USERS["sms"],
        Grant("TransactionalId", "{prefix}plimsoll-sms", "Write"),
        "sms",
        "Write on TransactionalId {prefix}plimsoll-sms",
        section=f'[sms]\nurl = "http://127.0.0.1:1/sms"\nsecret = "{SECRET}"',
    ),
    "lacking-delete": Lacking(
        USERS["mover"],
        Grant("Topic", "{prefix}moving", "Delete"),
        "move {file}",
        "Delete on Topic {prefix}moving",
        instead="Describe",
        there=False,
    ),
    "lacking-history": Lacking(
        USERS["exporter"],
        Grant("Topic", "{from-prefix}events", "Read"),
        "move kafka --from-prefix {prefix} --output {data}",
        "what is needed on Topic {prefix}events",
        instead="Describe",
    ),
}
OTHERS: Final = ["lacking-journal", "lacking-reading", "lacking-writing"]


def every_output(client: str) -> list[bytes]:
    """With a warning in `notifications`, a refusal in `rejections`, and a credit in `journal`."""
    number = int(client.removeprefix("k-")) * 1_000_000
    return [
        event(number, type="charge", client=client, amount="18"),
        event(number, type="charge", client=client, amount="19"),  # the same identity, another content
        event(number + 1, type="credit_limit", client=client, limit="1"),
    ]


def grants_of(user: str) -> list[Grant]:
    return [grant for row in USERS[user] for grant in TABLE[row]]


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guarded]:
    with guarded_broker(tmp_path_factory.mktemp("guarded"), [*USERS, *LACKING, *OTHERS]) as broker:
        yield broker


async def plimsoll(guarded: Guarded, user: str, prefix: str, *arguments: str) -> str:
    """A command that does its work as that user; what it writes."""
    code, out, err = await asyncio.to_thread(command, *arguments, "--config", guarded.configuration(user, prefix))
    assert (code, err) == (0, "")
    return out


async def publish_with_a_bad_line(guarded: Guarded, user: str, prefix: str, file: str) -> None:
    """Its refusal is a record too."""
    config = guarded.configuration(user, prefix)
    code, out, _ = await asyncio.to_thread(command, "publish", file, "--config", config, "--json")
    assert (code, json.loads(out)["refused"]) == (1, {"malformed": 1})


def history_is_cut(process: Process, client: str) -> bool:
    """What a worker reads the whole log and the rejections for."""
    url = process.wait_for(r"answers readers at (\S+)")[1]
    answer = httpx.get(f"{url}/v1/clients/{client}/history", timeout=SECONDS_MAX)
    assert answer.status_code == 200, answer.text
    return bool(answer.json()["cut"])


def written(file: Path, lines: Iterable[bytes]) -> str:
    file.write_bytes(b"\n".join(lines))
    return str(file)


async def made(guarded: Guarded, topic: str) -> None:
    """One topic by the administrator."""
    admin = open_admin(guarded.connection(ADMIN))
    await admin.start()
    await admin.create_topics([NewTopic(topic, 1, 1)])
    await admin.close()


def assert_exact(guarded: Guarded, user: str, prefix: str, *, unused: Sequence[str] = ()) -> None:
    """Nothing was denied, and each grant asked for, but for those on the names in ``unused``."""
    allowed, denied = guarded.asked(user)
    assert denied == set()
    granted = {grant.on(prefix) for grant in grants_of(user)}
    idle = {grant.name for grant in granted if not any(grant.covers(asked) for asked in allowed)}
    assert idle == {prefix + name for name in unused}, user


async def test_a_cluster_whose_users_may_no_more_than_they_need(guarded: Guarded, prefix: str, tmp_path: Path) -> None:
    users = ["creator", "worker", "publisher", "member", "operator", "importer", "checker"]
    await guarded.grant(prefix, [(user, grants_of(user)) for user in users])
    for state in ("created", "exists"):
        out = await plimsoll(guarded, "creator", prefix, "topics", "create", "--partitions", str(PARTITIONS), "--json")
        assert {each["state"] for each in json.loads(out)} == {state}

    first = written(tmp_path / "first.ndjson", [*opening(), *traffic(10, 40), *every_output("k-1")])
    second = written(tmp_path / "second.ndjson", [*traffic(40, 80), b"no json", *every_output("k-2")])
    async with Cluster(guarded.connection(ADMIN), prefix, PARTITIONS) as cluster:
        given = ("--partitions", "0-1", "--port", "0", "--data", str(tmp_path / "given"))
        with Process("worker", *given, "--config", guarded.configuration("worker", prefix)) as process:
            await publish_with_a_bad_line(guarded, "publisher", prefix, first)
            await cluster.settled()
            assert not await asyncio.to_thread(history_is_cut, process, "k-1")
            assert await asyncio.to_thread(process.stop) == 0, process.errors

        group = ("--port", "0", "--data", str(tmp_path / "member"))
        with Process("worker", *group, "--config", guarded.configuration("member", prefix)) as process:
            await publish_with_a_bad_line(guarded, "importer", prefix, second)
            await plimsoll(guarded, "operator", prefix, "control", "log-level", "error")
            process.wait_for("partition 1: logs from level error on")
            events = await cluster.settled()
            assert not await asyncio.to_thread(history_is_cut, process, "k-2")
            assert await asyncio.to_thread(process.stop) == 0, process.errors
        await assert_equal_to_replay(cluster, events)
    out = await plimsoll(guarded, "checker", prefix, "check", "--json")
    assert {finding["what"] for finding in json.loads(out)["findings"] if finding["state"] != "ok"} == {"copies"}

    # An unfinished move is seen by who may not do anything with it.
    await made(guarded, prefix + MOVING)
    for user, arguments in (("creator", ["topics", "create"]), ("checker", ["check"])):
        config = guarded.configuration(user, prefix)
        code, out, err = await asyncio.to_thread(command, *arguments, "--config", config)
        assert (code, "plimsoll move --restart" in out + err) == (1, True)
    for user in users:
        assert_exact(guarded, user, prefix)


async def test_notifiers(guarded: Guarded, prefix: str) -> None:
    await guarded.grant(prefix, [(user, grants_of(user)) for user in ("mailer", "sms")])
    peer, gateway = SmtpPeer(), HttpPeer()
    await peer.start()
    await gateway.start()
    bench = KafkaBench(guarded.connection(ADMIN), prefix)
    await bench.start()
    for one in (notification("c-1"), notification("c-1", channel="sms")):
        await bench.appended([(0, "c-1", encode_output(one))])
    mail = f'[mail]\nport = {peer.port}\ntls = "none"\nsender = "no-reply@acme.example"'
    text = f'[sms]\nurl = "http://127.0.0.1:{gateway.port}/sms"\nsecret = "{SECRET}"'
    with (
        Process("mailer", "--config", guarded.configuration("mailer", prefix, mail)) as mailer,
        Process("sms", "--config", guarded.configuration("sms", prefix, text)) as sms,
    ):
        async with asyncio.timeout(SECONDS_MAX):
            while len(found := await bench.deliveries()) < 2:
                pass  # each reading waits for a moment
        for process in (mailer, sms):
            assert await asyncio.to_thread(process.stop) == 0, process.errors
    await bench.end()
    await peer.stop()
    await gateway.stop()
    assert {(consumer, delivery.outcome) for consumer, delivery in found} == {("mailer", "sent"), ("sms", "sent")}
    for user in ("mailer", "sms"):
        assert_exact(guarded, user, prefix)


async def test_moves(guarded: Guarded, prefix: str, tmp_path: Path) -> None:
    """A cluster to another count and to a file, a file to a cluster, and over what a move has left."""
    source, target, new, left = (f"{prefix}{name}-" for name in "abcd")
    await guarded.grant(source, [(user, TABLE["move kafka, from there"]) for user in ("exporter", "copier")])
    await guarded.grant(target, [("copier", TABLE["move, to new topics"])])
    await guarded.grant(new, [("mover", grants_of("mover"))])
    await guarded.grant(left, [("remover", grants_of("remover"))])
    lines = [line for line in [*opening(), *traffic(10, 60), *every_output("k-1")] if line.startswith(b"{")]
    async with (
        Cluster(guarded.connection(ADMIN), source, PARTITIONS) as cluster,
        working_at(cluster, tmp_path / "source", 0),
    ):
        await cluster.produce(lines)
        events = await cluster.settled()
    expected, clock = decided([replayable(records) for records in events])

    out = await plimsoll(guarded, "copier", target, "move", "kafka", "--from-prefix", source, "--partitions", "3")
    assert "transfers 0" not in out
    async with Cluster(guarded.connection(ADMIN), target, 3) as cluster, working_at(cluster, tmp_path / "data", clock):
        await cluster.settled()
        await assert_outputs(cluster, expected)

    backup = str(tmp_path / "backup.ndjson")
    await plimsoll(guarded, "exporter", target, "move", "kafka", "--from-prefix", source, "--output", backup)
    await plimsoll(guarded, "mover", new, "move", backup, "--partitions", str(PARTITIONS))

    await plimsoll(guarded, ADMIN, left, "topics", "create", "--partitions", "1")
    await made(guarded, left + MOVING)
    await plimsoll(guarded, "remover", left, "move", backup, "--partitions", str(PARTITIONS), "--restart")
    assert_exact(guarded, "exporter", source)
    assert_exact(guarded, "mover", new)
    assert_exact(guarded, "remover", left, unused=[MOVING])  # it was there, and so was not created


@pytest.mark.parametrize("user", LACKING)
async def test_a_command_that_lacks_a_grant_says_which(
    guarded: Guarded, prefix: str, tmp_path: Path, user: str
) -> None:
    case = LACKING[user]
    granted = [grant for row in case.rows for grant in TABLE[row]]
    assert case.without in granted
    granted = [grant for grant in granted if grant != case.without]
    if case.instead is not None:
        granted.append(msgspec.structs.replace(case.without, operation=case.instead))
    await guarded.grant(prefix, [(user, granted)])
    if case.there:
        async with Cluster(guarded.connection(ADMIN), prefix, PARTITIONS) as cluster:
            await cluster.produce(traffic(10, 20))
            await plimsoll(guarded, ADMIN, prefix, "topics", "create", "--partitions", str(PARTITIONS))
    names = {"data": str(tmp_path / "data"), "prefix": prefix}
    names["file"] = written(tmp_path / "file.ndjson", [line for line in opening() if line != b"no json"])
    names["charges"] = written(tmp_path / "charges.ndjson", traffic(10, 30))
    arguments = case.command.format_map(names).split()
    config = guarded.configuration(user, prefix, case.section)
    code, _, err = await asyncio.to_thread(command, *arguments, "--config", config)
    told = [line for line in err.splitlines() if line.startswith("plimsoll: ")]
    denied = case.sentence.format_map(names)
    sentence = f"plimsoll: the Kafka cluster at {guarded.bootstrap} does not allow '{user}' {denied}: grant what"
    assert (code, len(told)) == (1, 1), err
    assert told[0].startswith(sentence)
    assert "Traceback" not in err
    assert PASSWORD not in err


async def test_check_says_what_it_may_not_see(guarded: Guarded, prefix: str) -> None:
    hidden = Grant("Topic", "{prefix}journal", "Describe")
    unread = Grant("Topic", "{prefix}events", "DescribeConfigs")
    granted = [grant for grant in TABLE["check"] if grant not in (hidden, unread)]
    await guarded.grant(prefix, [("lacking-journal", granted)])
    async with Cluster(guarded.connection(ADMIN), prefix, PARTITIONS):
        config = guarded.configuration("lacking-journal", prefix)
        code, out, err = await asyncio.to_thread(command, "check", "--config", config)
    assert (code, err) == (1, "")
    assert f"problem  topics: 'lacking-journal' may not see {prefix}journal: grant Describe on Topic" in out
    assert f"warning  {prefix}events: its settings cannot be seen: " in out
    assert out.endswith("1 problem\n")


@pytest.mark.parametrize(
    ("user", "topic", "operation"),
    [
        ("lacking-reading", "events", "Read"),
        ("lacking-writing", "changes", "Write"),
    ],
)
async def test_a_worker_that_lacks_a_grant_says_so_less_and_less_often(
    guarded: Guarded, prefix: str, tmp_path: Path, user: str, topic: str, operation: str
) -> None:
    """It goes on as soon as it may, without being started again."""
    lacking = Grant("Topic", f"{{prefix}}{topic}", operation)
    granted = [grant for grant in TABLE["worker"] if grant != lacking]
    seen = msgspec.structs.replace(lacking, operation="Describe")
    await guarded.grant(prefix, [(user, [*granted, seen])])
    async with Cluster(guarded.connection(ADMIN), prefix, PARTITIONS) as cluster:
        await cluster.produce([*opening(), *traffic(10, 30)])
        given = ("--partitions", "0-1", "--data", str(tmp_path / "data"))
        with Process("worker", *given, "--config", guarded.configuration(user, prefix)) as process:
            for pause in ("0.2", "0.4"):
                process.wait_for(
                    rf"partition 0: .* does not allow '{user}' .* on Topic {prefix}{topic}: .*; again in {pause} s"
                )
            await guarded.grant(prefix, [(user, [lacking])])
            events = await cluster.settled()
            assert await asyncio.to_thread(process.stop) == 0, process.errors
        await assert_equal_to_replay(cluster, events)
