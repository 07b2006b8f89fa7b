"""``plimsoll replay``: the command around the fold."""

import json
import subprocess
import sys
from pathlib import Path

from click.testing import CliRunner

from engine.cli.entry import commands

EVENTS = (
    b'\xef\xbb\xbf{"type":"client","id":"1","source":"b","client":"c-1","time":"2026-01-01T00:00:00Z","currency":"EUR"}\r\n'
    b"\n"
    b'{"type":"payment","id":"2","source":"b","client":"c-1","time":"2026-01-01T00:00:01Z","amount":"10"}\n'
    b"\xff not json\n"
    b'{"type":"charge","id":"3","source":"b","client":"c-1","time":"2026-01-01T00:00:02Z","amount":"0.5"}'
)


def outputs(text: str) -> list[tuple[str, object]]:
    found = [json.loads(line) for line in text.splitlines()]
    return [(output["output"], output.get("live", output.get("reason"))) for output in found]


def test_every_output_in_order(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(EVENTS)
    result = CliRunner().invoke(commands, ["replay", str(tmp_path / "f")])
    assert result.exit_code == 0
    assert outputs(result.stdout) == [
        ("change", "0"),
        ("change", "10"),
        ("rejection", "malformed"),
        ("change", "9.5"),
    ]


def test_standard_input_and_only_the_last_change() -> None:
    result = CliRunner().invoke(commands, ["replay", "-", "--final"], input=EVENTS)
    assert outputs(result.stdout) == [("change", "9.5")]


def test_until_must_be_a_time() -> None:
    result = CliRunner().invoke(commands, ["replay", "-", "--until", "tomorrow"], input=EVENTS)
    assert result.exit_code == 2
    assert result.stderr.startswith("plimsoll: --until: expected an RFC 3339 time")


def test_reader_that_has_enough_ends_it_quietly(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"not json\n" * 50_000)
    with subprocess.Popen(
        [sys.executable, "-c", "from engine.cli import main; main()", "replay", str(tmp_path / "f")],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert b'"output":"rejection"' in process.stdout.readline()
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait(30) == 0
