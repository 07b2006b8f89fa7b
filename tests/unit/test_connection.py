"""How a cluster is reached: what fits together, the sentence for what does not, and no secret anywhere."""

from pathlib import Path

import pytest

from engine.cli.kafka_options import kafka_of
from engine.config import Config, ConfigError, Override, load_config
from engine.connection import Connection, addresses
from engine.failures import WrongUse

BOOTSTRAP = "kafka-1.example.net:9093,kafka-2.example.net:9093"


def load(tmp_path: Path, text: str, environment: dict[str, str] | None = None, *overrides: Override) -> Config:
    path = tmp_path / "p.toml"
    path.write_text(text)
    return load_config(str(path), environment or {}, overrides)


def test_environment_is_over_the_file_and_flags_are_over_both(tmp_path: Path) -> None:
    config = load(
        tmp_path,
        '[kafka]\nbootstrap = "a:1"\nprefix = "x-"\nsasl = "scram-sha-256"\nusername = "u"\n',
        {"PLIMSOLL_KAFKA_BOOTSTRAP": "b:2", "PLIMSOLL_KAFKA_PREFIX": "y-", "PLIMSOLL_KAFKA_PASSWORD": "12345"},
        Override(("kafka", "bootstrap"), "c:3", "--bootstrap"),
    )
    kafka = kafka_of(config)
    assert (kafka.bootstrap, kafka.prefix, kafka.password) == ("c:3", "y-", "12345")


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "kafka.bootstrap is needed and was not given"),
        ('bootstrap = "kafka"', "kafka: bootstrap: expected HOST:PORT, with commas between several, found 'kafka'"),
        ('bootstrap = "k:0"', "kafka: bootstrap: expected HOST:PORT, with commas between several, found 'k:0'"),
        ('bootstrap = "k:1,"', "kafka: bootstrap: expected HOST:PORT, with commas between several, found ''"),
        ('bootstrap = "k:1"\nprefix = "a/b"', "kafka.prefix: expected str matching regex"),
        ('bootstrap = "k:1"\npasword = "x"', "kafka.pasword is not a setting; did you mean password?"),
        ('bootstrap = "k:1"\nsasl = "gssapi"', "kafka.sasl: Invalid enum value 'gssapi', found 'gssapi'"),
        (
            'bootstrap = "k:1"\npassword = "hunter2"\nusername = "u"',
            "kafka: sasl: expected plain, scram-sha-256 or scram-sha-512 with a username, found none; set it",
        ),
        (
            'bootstrap = "k:1"\nsasl = "scram-sha-256"\npassword = "hunter2"',
            "kafka: username and password: expected both for scram-sha-256; set the one that is missing",
        ),
        (
            'bootstrap = "k:1"\nsasl = "plain"\nusername = "u"\npassword = "hunter2"',
            "kafka: sasl: plain would send the password in clear; set tls = true, or use scram-sha-512",
        ),
        (
            'bootstrap = "k:1"\nca_file = "ca.pem"',
            "kafka: ca_file: expected tls = true with it, found false; set tls, or leave it out",
        ),
        (
            'bootstrap = "k:1"\ntls = true\nca_file = "/nowhere/ca.pem"',
            "kafka: ca_file: expected a PEM file, found none at '/nowhere/ca.pem'",
        ),
    ],
)
def test_each_mistake_is_one_sentence(tmp_path: Path, text: str, sentence: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, f"[kafka]\n{text}\n")
    assert len(caught.value.problems) == 1
    assert caught.value.problems[0].startswith(f"{tmp_path}/p.toml: {sentence}")
    assert "hunter2" not in str(caught.value)


def test_no_cluster_is_one_sentence() -> None:
    with pytest.raises(WrongUse, match=r"found none: say --bootstrap HOST:PORT, or \[kafka\] in --config FILE"):
        kafka_of(load_config(None, {}))


def test_secrets_are_not_shown() -> None:
    connection = Connection(bootstrap=BOOTSTRAP, sasl="scram-sha-512", username="u", password="hunter2", tls=True)
    assert "hunter2" not in f"{connection} {connection!r}"
    assert "username='u'" in repr(connection)


@pytest.mark.parametrize(
    ("sasl", "tls", "protocol"),
    [
        ("none", False, "PLAINTEXT"),
        ("none", True, "SSL"),
        ("scram-sha-256", False, "SASL_PLAINTEXT"),
        ("plain", True, "SASL_SSL"),
    ],
)
def test_the_protocol_follows_from_tls_and_sasl(sasl: str, tls: bool, protocol: str) -> None:
    named = {} if sasl == "none" else {"username": "u", "password": "p"}
    assert Connection(bootstrap=BOOTSTRAP, sasl=sasl, tls=tls, **named).protocol == protocol  # type: ignore[arg-type]  # the words come as text


def test_plain_over_loopback_is_allowed() -> None:
    assert Connection(bootstrap="127.0.0.1:1,[::1]:2", sasl="plain", username="u", password="p").sasl == "plain"


def test_addresses_are_read() -> None:
    assert addresses("a:1, [::1]:29092") == [("a", 1), ("::1", 29092)]


def test_the_example_of_the_manual_is_read(tmp_path: Path) -> None:
    manual = (Path(__file__).parents[2] / "deploy" / "kafka" / "README.md").read_text()
    text = manual.partition("```toml\n")[2].partition("```")[0]
    for name in ("ca.pem", "me.pem", "me.key"):
        (tmp_path / name).write_text("")
    kafka = kafka_of(load(tmp_path, text.replace("/etc/plimsoll", str(tmp_path))))
    assert (kafka.protocol, kafka.prefix, len(addresses(kafka.bootstrap))) == ("SASL_SSL", "billing-", 2)
