"""README.md's second path, from one process to Kafka, run as it stands on a real broker."""

import os
import re
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final

import pytest

from tests.docs.test_readme import COMMAND_SECONDS_MAX, PREFIX, Command, commands_of, comparable
from tests.integration.processes import Product, command

pytestmark = [pytest.mark.kafka, pytest.mark.slow]

SECONDS_MAX: Final = 120.0  # a session of 10 s, and a machine with better to do
_STAYS: Final = ("plimsoll worker", "plimsoll mailer")
_ASKS: Final = "plimsoll balance"
_LOOK_SECONDS: Final = 0.2
_EVENTS: Final = "events.ndjson"
_NOWHERE: Final = '[mail]\nhost = "127.0.0.1"\nport = 9\ntls = "none"\nsender = "billing@example.net"\n'


def _free_ports(count: int) -> list[int]:
    held = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports: list[int] = [each.getsockname()[1] for each in held]
    for each in held:
        each.close()
    return ports


def _environment(broker: str, prefix: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PLIMSOLL_")}
    return kept | {
        "PATH": f"{PREFIX / 'bin'}:{os.environ.get('PATH', '')}",
        "PLIMSOLL_KAFKA_BOOTSTRAP": broker,
        "PLIMSOLL_KAFKA_PREFIX": prefix,
        "NO_PROXY": "*",
    }


def _history(folder: Path) -> None:
    """The events of the quick start, in a product that then ends."""
    (written,) = [each for each in commands_of("Quick start") if _EVENTS in each.text and "<<" in each.text]
    subprocess.run(["bash", "-c", written.text], check=True, cwd=folder)
    with Product(folder / "plimsoll-data") as product:
        product.started()
        code, said, _ = command("publish", str(folder / _EVENTS), "--url", product.url)
        assert (code, said) == (0, "sent 5, accepted 5, duplicate 0, refused 0\n")
        assert product.stop() == 0


@contextmanager
def _staying(shown: Command, folder: Path, environment: dict[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    """A process of the README that goes on, from when it says what the README shows."""
    log = folder / f"log-{time.monotonic_ns()}"
    with log.open("wb") as told:
        process = subprocess.Popen(
            ["bash", "-c", f"exec {shown.text}"], cwd=folder, env=environment, stdout=told, stderr=subprocess.STDOUT
        )
    try:
        until = time.monotonic() + SECONDS_MAX
        while comparable(shown.printed) not in comparable(said := log.read_text(errors="replace")):
            assert process.poll() is None, f"{shown.text} ended: {said}"
            assert time.monotonic() < until, f"{shown.text} says only: {said}"
            time.sleep(_LOOK_SECONDS)
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(COMMAND_SECONDS_MAX)


def _shows(shown: Command, folder: Path, environment: dict[str, str]) -> None:
    """The command prints what the README shows; a question is asked until it does: what was sent is on its way."""
    until = time.monotonic() + SECONDS_MAX
    while True:
        done = subprocess.run(
            ["bash", "-c", shown.text],
            check=False,
            cwd=folder,
            env=environment,
            capture_output=True,
            text=True,
            timeout=SECONDS_MAX,
        )
        if done.returncode == 0 and comparable(done.stdout) == comparable(shown.printed):
            return
        assert shown.text.startswith(_ASKS), (done.stdout, done.stderr)
        assert time.monotonic() < until, (done.stdout, done.stderr)
        time.sleep(_LOOK_SECONDS)


def test_the_second_path_does_what_it_shows(broker: str, prefix: str, tmp_path: Path) -> None:
    _history(tmp_path)
    (tmp_path / "plimsoll.toml").write_text(_NOWHERE)
    environment = _environment(broker, prefix)
    make, *path = commands_of("From one process to Kafka")
    assert make.text == "make kafka"
    ports = dict(zip(("8081", "8082"), map(str, _free_ports(2)), strict=True))
    workers: list[subprocess.Popen[bytes]] = []
    with ExitStack() as stack:
        for written in path:
            text = re.sub("808[12]", lambda found: ports[found[0]], written.text)
            shown = Command(text, written.printed)
            if text.startswith("export "):
                continue  # the broker of this session
            if text.startswith(_STAYS):
                workers.append(stack.enter_context(_staying(shown, tmp_path, environment)))
                continue
            if text.startswith(_ASKS) and ports["8082"] in text:
                workers[0].kill()
            _shows(shown, tmp_path, environment)
        assert workers[0].poll() == -signal.SIGKILL
        assert [worker.poll() for worker in workers[1:]] == [None, None]  # the second worker, and the mailer
