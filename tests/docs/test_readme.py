"""README.md is tried as it stands: its quick start against the real product, its configuration, commands and links."""

import os
import re
import select
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Final, NamedTuple

import pytest

from engine.cli.entry import COMMANDS
from engine.config import load_config
from tests.docs.fences import ROOT, broken_links, fences, prose

README = ROOT / "README.md"
START_SECONDS_MAX: Final = 120.0
COMMAND_SECONDS_MAX: Final = 120.0
PREFIX: Final = Path(sys.prefix)


class Command(NamedTuple):
    """One command of a console block, with its here-document, and what it printed."""

    text: str
    printed: str


def commands_of(heading: str) -> list[Command]:
    """What stands after each ``$`` in a section: the command up to the end of its here-document, then its output."""
    lines = README.read_text(encoding="utf-8").splitlines()
    first = lines.index(f"## {heading}") + 1
    last = next((number for number, line in enumerate(lines[first:], first) if line.startswith("## ")), len(lines))
    found: list[Command] = []
    for block in fences(README):
        if block.info != "console" or not first < block.line <= last:
            continue
        for part in re.split(r"^\$ ", block.text, flags=re.MULTILINE)[1:]:
            text, _, printed = part.partition("\nEND\n" if "<<'END'" in part else "\n")
            found.append(Command(text + "\nEND\n" if "<<'END'" in part else text, printed))
    return found


def comparable(text: str) -> str:
    """The text without what differs from run to run: instants, ports, the data folder."""
    text = re.sub(r"2\d{3}-\d\d-\d\dT[0-9:.]+Z", "TIME", text)
    text = re.sub(r"127\.0\.0\.1:\d+", "127.0.0.1:PORT", text)
    return re.sub(r"^(  data      )\S+", r"\1DATA", text, flags=re.MULTILINE)


def _environment(folder: Path) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PLIMSOLL_", "MAKE"))}
    return kept | {
        "PATH": f"{PREFIX / 'bin'}:{os.environ.get('PATH', '')}",
        "PLIMSOLL_API_PORT": "0",
        "PLIMSOLL_ENGINE_DATA": str(folder / "data"),
    }


@contextmanager
def _started(command: str, environment: dict[str, str], lines: int) -> Iterator[str]:
    """The product, started by the README's own command; what its first lines say. Stopped at the end."""
    words = shlex.split(command)
    assert words[0] == "make"
    made = [f"--old-file={PREFIX}/{stamp}" for stamp in (".locked", ".installed")]  # this environment is the one to use
    process = subprocess.Popen(
        ["make", "--no-print-directory", "--silent", *made, *words[1:], f"VENV={PREFIX}"],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    try:
        assert process.stdout is not None
        yield _first_lines(process.stdout, lines)
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.communicate(timeout=COMMAND_SECONDS_MAX)


def _first_lines(stream: IO[bytes], lines: int) -> str:
    read = b""
    until = time.monotonic() + START_SECONDS_MAX
    while read.count(b"\n") < lines:
        ready, _, _ = select.select([stream], [], [], max(0.0, until - time.monotonic()))
        more = os.read(stream.fileno(), 4096) if ready else b""
        assert more, f"it did not start: {read.decode(errors='replace')}"
        read += more
    return "".join(read.decode().splitlines(keepends=True)[:lines])


@pytest.mark.slow
def test_quick_start_does_what_it_shows(tmp_path: Path) -> None:
    start, *commands = commands_of("Quick start")
    environment = _environment(tmp_path)
    with _started(start.text, environment, len(start.printed.splitlines())) as said:
        assert comparable(said) == comparable(start.printed)
        address = re.search(r"POST (http://\S+)/v1/events", said)
        assert address is not None
        environment["PLIMSOLL_URL"] = address[1]
        for command in commands:
            done = subprocess.run(
                ["bash", "-c", command.text],
                check=False,
                cwd=tmp_path,
                env=environment,
                capture_output=True,
                text=True,
                timeout=COMMAND_SECONDS_MAX,
            )
            assert (done.returncode, done.stderr) == (0, ""), command.text
            assert comparable(done.stdout) == comparable(command.printed), command.text


def test_configuration_is_one(tmp_path: Path) -> None:
    (block,) = [fence for fence in fences(README) if fence.info == "toml"]
    file = tmp_path / "plimsoll.toml"
    file.write_text(block.text, encoding="utf-8")
    config = load_config(str(file), {})
    assert config.engine.durability == "fsync"
    assert config.mail is not None
    assert config.sms is not None


def test_every_command_that_is_named_exists() -> None:
    section = prose(README).split("## Commands")[1].split("\n## ")[0]
    first_column = "".join(line.split("|")[1] for line in section.splitlines() if line.startswith("| `"))
    named = {text.removeprefix("plimsoll ").split()[0] for text in re.findall(r"`([^`]+)`", first_column)}
    assert named
    assert sorted(named - set(COMMANDS)) == []


def test_links_lead_somewhere() -> None:
    assert broken_links(README) == []


@pytest.mark.parametrize("decision", sorted((ROOT / "engine" / "decisions").glob("*.md")), ids=lambda path: path.stem)
def test_decision_has_its_parts(decision: Path) -> None:
    text = decision.read_text(encoding="utf-8")
    number = int(decision.stem[:4])
    assert text.startswith(f"# {number}. ")
    parts = re.findall(r"^(Status|## Context|## Decision|## Consequences)\b", text, re.MULTILINE)
    assert parts == ["Status", "## Context", "## Decision", "## Consequences"]
    assert broken_links(decision) == []


def test_decisions_have_numbers_of_their_own() -> None:
    numbers = [path.stem[:4] for path in (ROOT / "engine" / "decisions").glob("*.md")]
    assert len(set(numbers)) == len(numbers)
