"""``plimsoll mailer`` and ``plimsoll sms``: configured or not, an engine that is not up yet, the end by a signal."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from engine.cli.entry import commands


@pytest.mark.parametrize(("name", "section"), [("mailer", "mail"), ("sms", "sms")])
def test_channel_that_is_not_configured_is_wrong_use(name: str, section: str) -> None:
    result = CliRunner().invoke(commands, [name])
    assert result.exit_code == 2
    assert f"[{section}] is not configured" in result.stderr


def test_mailer_waits_for_its_engine_and_ends_by_sigterm(tmp_path: Path) -> None:
    (tmp_path / "p.toml").write_text('[mail]\nhost = "127.0.0.1"\n')
    with subprocess.Popen(
        [sys.executable, "-c", "from engine.cli import main; main()", "mailer", "--json",
         "--engine", "http://127.0.0.1:1", "--config", str(tmp_path / "p.toml")],
        stderr=subprocess.PIPE,
    ) as process:  # fmt: skip
        assert process.stderr is not None
        told = json.loads(process.stderr.readline())
        assert told["message"].endswith("; trying again")
        os.kill(process.pid, signal.SIGTERM)
        assert process.wait(30) == 0
        assert b"Traceback" not in process.stderr.read()
