"""``plimsoll mailer`` and ``plimsoll sms``: configured or not, an engine that is not up yet, the end by a signal."""

import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import httpx
import pytest
from click.testing import CliRunner

from engine.cli.entry import commands


@pytest.mark.parametrize(("name", "section"), [("mailer", "mail"), ("sms", "sms")])
def test_channel_that_is_not_configured_is_wrong_use(name: str, section: str) -> None:
    result = CliRunner().invoke(commands, [name])
    assert result.exit_code == 2
    assert f"[{section}] is not configured" in result.stderr


@pytest.mark.parametrize(("flag", "place"), [("--engine", "http://127.0.0.1:1"), ("--bootstrap", "127.0.0.1:1")])
def test_mailer_waits_for_its_engine_or_cluster_and_ends_by_sigterm(tmp_path: Path, flag: str, place: str) -> None:
    (tmp_path / "p.toml").write_text('[mail]\nhost = "127.0.0.1"\n')
    with subprocess.Popen(
        [sys.executable, "-c", "from engine.cli import main; main()", "mailer", "--json",
         flag, place, "--config", str(tmp_path / "p.toml")],
        stderr=subprocess.PIPE,
    ) as process:  # fmt: skip
        assert process.stderr is not None
        told = json.loads(process.stderr.readline())
        assert place in told["message"]
        assert told["message"].endswith("; trying again")
        os.kill(process.pid, signal.SIGTERM)
        assert process.wait(30) == 0
        assert b"Traceback" not in process.stderr.read()


def test_metrics_are_served_where_they_are_wanted(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.2", 0)) as held:
        port = held.getsockname()[1]
    (tmp_path / "p.toml").write_text(f'[mail]\nhost = "127.0.0.1"\n[metrics]\nhost = "127.0.0.2"\nport = {port}\n')
    with subprocess.Popen(
        [sys.executable, "-c", "from engine.cli import main; main()", "mailer",
         "--engine", "http://127.0.0.1:1", "--config", str(tmp_path / "p.toml")],
        stderr=subprocess.PIPE,
    ) as process:  # fmt: skip
        assert process.stderr is not None
        process.stderr.readline()  # it waits for its engine, and serves meanwhile
        assert "plimsoll_delivery" in httpx.get(f"http://127.0.0.2:{port}/metrics", timeout=30).text
        process.terminate()
        assert process.wait(30) == 0


@pytest.mark.parametrize(
    ("flags", "code", "sentence"),
    [
        (("--metrics-host", "127.0.0.1"), 2, "--metrics-host: expected --metrics-port with it, found none"),
        (("--metrics-host", "192.0.2.1", "--metrics-port", "9"), 1, "the metrics cannot listen on 192.0.2.1, port 9: "),
    ],
)
def test_metrics_that_cannot_be_served_are_one_sentence(
    tmp_path: Path, flags: tuple[str, ...], code: int, sentence: str
) -> None:
    (tmp_path / "p.toml").write_text('[mail]\nhost = "127.0.0.1"\n')
    result = CliRunner().invoke(commands, ["mailer", "--config", str(tmp_path / "p.toml"), *flags])
    assert result.exit_code == code
    assert result.stderr.startswith(f"plimsoll: {sentence}")


@pytest.mark.parametrize("name", ["mailer", "sms"])
def test_engine_and_cluster_at_once_is_wrong_use(name: str) -> None:
    result = CliRunner().invoke(commands, [name, "--engine", "http://127.0.0.1:1", "--bootstrap", "127.0.0.1:1"])
    assert (result.exit_code, result.stderr) == (2, "plimsoll: expected --engine or --bootstrap, found both\n")
