"""TLS with client certificates and SCRAM against a real broker, and one sentence for what it does not let in."""

import asyncio
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import msgspec
import pytest

from engine.kafka.clients import Connection
from engine.kafka.topics import POLICIES, shell_topics
from schemas.outputs import encode_output
from tests.fakes.notifications import notification
from tests.fakes.smtp_peer import SmtpPeer
from tests.integration.certificates import Certificate
from tests.integration.kafka.cluster import Cluster, assert_equal_to_replay
from tests.integration.kafka.conftest import broker_of
from tests.integration.kafka.notification_bench import SECONDS_MAX, KafkaBench
from tests.integration.kafka.test_worker import opening, traffic
from tests.integration.processes import Process, command

pytestmark = pytest.mark.kafka

USER: Final = "plimsoll"
TOPICS: Final = len(POLICIES) + len(shell_topics("", "plimsoll", 1))
PASSWORD: Final = "correct-horse-battery"
PARTITIONS: Final = 2


class Secured(msgspec.Struct, frozen=True):
    """A broker that asks for a certificate and for a password, and how it is reached."""

    connection: Connection
    folder: Path

    def configuration(self, *sections: str, **changed: object) -> str:
        """A configuration file with [kafka]; settings may be changed, None leaves one out."""
        values = {name: value for name, value in msgspec.structs.asdict(self.connection).items()} | changed
        lines = [
            f"{name} = {msgspec.json.encode(value).decode()}" for name, value in values.items() if value is not None
        ]
        path = self.folder / f"{abs(hash((*lines, *sections)))}.toml"
        path.write_text("\n".join(["[kafka]", *lines, *sections, ""]))
        return str(path)


@pytest.fixture(scope="module")
def secured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Secured]:
    """One for the module; PLIMSOLL_TEST_KAFKA names no such broker, so this one is always started here."""
    folder = tmp_path_factory.mktemp("secured")
    for name in ("broker", "client"):
        (folder / name).mkdir()
    server, client = Certificate(folder / "broker"), Certificate(folder / "client")
    (folder / "broker.pem").write_bytes(server.key.read_bytes() + server.certificate.read_bytes())
    jaas = "org.apache.kafka.common.security.%sLoginModule required"
    (folder / "server.properties").write_text(
        f"""
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,SASL_SSL:SASL_SSL
auto.create.topics.enable=true
ssl.keystore.type=PEM
ssl.keystore.location={folder}/broker.pem
ssl.truststore.type=PEM
ssl.truststore.location={client.certificate}
listener.name.sasl_ssl.ssl.client.auth=required
listener.name.sasl_ssl.sasl.enabled.mechanisms=SCRAM-SHA-512,PLAIN
listener.name.sasl_ssl.scram-sha-512.sasl.jaas.config={jaas % "scram.Scram"};
listener.name.sasl_ssl.plain.sasl.jaas.config={jaas % "plain.Plain"} user_{USER}="{PASSWORD}";
"""
    )
    environment = os.environ | {
        "KAFKA_LISTENER": "SASL_SSL",
        "KAFKA_PROPERTIES": str(folder / "server.properties"),
        "KAFKA_SCRAM": f"SCRAM-SHA-512=[name={USER},password={PASSWORD}]",
    }
    with broker_of(folder / "errors", environment) as bootstrap:
        connection = Connection(
            bootstrap=bootstrap,
            tls=True,
            ca_file=str(server.certificate),
            certificate_file=str(client.certificate),
            key_file=str(client.key),
            sasl="scram-sha-512",
            username=USER,
            password=PASSWORD,
        )
        yield Secured(connection, folder)


@pytest.mark.parametrize("membership", [("--partitions", "0-1"), ("--port", "0")], ids=["given", "group"])
async def test_topics_events_and_a_worker_over_tls_and_scram(
    secured: Secured, prefix: str, tmp_path: Path, membership: tuple[str, str]
) -> None:
    config = secured.configuration(prefix=prefix)
    file = tmp_path / "events.ndjson"
    file.write_bytes(b"\n".join(line for line in [*opening(), *traffic(10, 60)] if line.startswith(b"{")))
    async with Cluster(secured.connection, prefix, PARTITIONS) as cluster:
        code, out, err = await asyncio.to_thread(
            command, "topics", "create", "--config", config, "--partitions", str(PARTITIONS), "--json"
        )
        assert (code, err) == (0, "")
        assert out.count('"exists"') == len(POLICIES)

        with Process("worker", "--config", config, *membership, "--data", str(tmp_path / "data")) as process:
            code, out, err = await asyncio.to_thread(command, "publish", str(file), "--config", config, "--json")
            assert (code, err) == (0, ""), process.errors
            events = await cluster.settled()
            assert await asyncio.to_thread(process.stop) == 0, process.errors
        await assert_equal_to_replay(cluster, events)


async def test_mail_over_tls_and_scram(secured: Secured, prefix: str) -> None:
    peer = SmtpPeer()
    await peer.start()
    bench = KafkaBench(secured.connection, prefix)
    await bench.start()
    await bench.appended([(0, "c-1", encode_output(notification("c-1")))])
    mail = f'[mail]\nport = {peer.port}\ntls = "none"\nsender = "no-reply@acme.example"'
    with Process("mailer", "--config", secured.configuration(mail, prefix=prefix)) as process:
        async with asyncio.timeout(SECONDS_MAX):
            while not (found := await bench.deliveries()):
                pass  # each reading waits for a moment
        assert await asyncio.to_thread(process.stop) == 0, process.errors
    await bench.end()
    await peer.stop()
    assert [(consumer, delivery.outcome) for consumer, delivery in found] == [("mailer", "sent")]
    assert len(peer.mails) == 1


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        ({"password": "hunter2"}, "does not take kafka.username 'plimsoll' with this kafka.password by scram-sha-512"),
        ({"username": "mallory"}, "does not take kafka.username 'mallory' with this kafka.password by scram-sha-512"),
        ({"sasl": "scram-sha-256"}, "does not offer scram-sha-256: set kafka.sasl to what it does"),
        (
            {"sasl": "plain", "password": "hunter2"},
            "does not take kafka.username 'plimsoll' with this kafka.password by",
        ),
        ({"ca_file": None}, "the certificate of 127.0.0.1"),
        ({"ca_file": "client"}, "the certificate of 127.0.0.1"),
        ({"certificate_file": None, "key_file": None}, "see kafka.tls and kafka.certificate_file"),
        ({"certificate_file": "broker", "key_file": "broker"}, "see kafka.tls and kafka.certificate_file"),
        ({"sasl": "none", "username": None, "password": None}, "see kafka.tls and kafka.sasl (now SSL)"),
        (
            {"tls": False, "ca_file": None, "certificate_file": None, "key_file": None},
            "see kafka.tls and kafka.sasl (now SASL_PLAINTEXT)",
        ),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, dict) else None,
)
def test_what_is_not_let_in_is_one_sentence(secured: Secured, changed: dict[str, object], sentence: str) -> None:
    files = {"ca_file": "certificate.pem", "certificate_file": "certificate.pem", "key_file": "key.pem"}
    paths: dict[str, object] = {
        name: str(secured.folder / str(changed[name]) / file) for name, file in files.items() if changed.get(name)
    }
    code, out, err = command("topics", "create", "--config", secured.configuration(**(changed | paths)))
    assert (code, out) == (1, "")
    assert err.startswith(f"plimsoll: the Kafka cluster at {secured.connection.bootstrap} could not be reached: ")
    assert sentence in err
    assert err.count("\n") == 1
    assert PASSWORD not in err
    assert "hunter2" not in err


def test_plain_inside_of_tls(secured: Secured, prefix: str) -> None:
    config = secured.configuration(sasl="plain", prefix=prefix)
    code, _, err = command("topics", "create", "--config", config, "--partitions", "1")
    assert (code, err) == (0, "")


def test_a_broker_that_makes_whatever_is_asked_for_is_not_asked(secured: Secured, prefix: str) -> None:
    """`auto.create.topics.enable`, which is on by default: topics with other policies would come of looking."""
    config = secured.configuration(prefix=prefix)
    code, out, err = command("check", "--config", config, "--json")
    assert (code, err) == (1, "")
    assert f"found none with the prefix '{prefix}': run `plimsoll topics create`" in out
    assert "auto.create.topics.enable: expected false, found true" in out
    code, out, err = command("topics", "create", "--config", config, "--partitions", "1", "--json")
    assert (code, err) == (0, "")
    assert out.count('"created"') == TOPICS


def test_a_certificate_for_another_host_is_taken_only_where_that_is_said(secured: Secured, prefix: str) -> None:
    bootstrap = secured.connection.bootstrap.replace("127.0.0.1", "localhost")
    code, _, err = command("topics", "create", "--config", secured.configuration(bootstrap=bootstrap))
    assert code == 1
    assert "certificate is not valid for 'localhost'" in err
    unchecked = secured.configuration(bootstrap=bootstrap, hostname_check=False, prefix=prefix)
    code, _, err = command("topics", "create", "--partitions", "1", "--config", unchecked)
    assert (code, err) == (0, "")


def test_a_file_that_is_no_certificate_is_one_sentence(secured: Secured) -> None:
    other = secured.folder / "other.pem"
    other.write_text("nothing")
    code, _, err = command("topics", "create", "--config", secured.configuration(ca_file=str(other)))
    assert (code, err) == (
        2,
        f"plimsoll: kafka.ca_file: expected certificates in PEM, found something else in {str(other)!r}\n",
    )
