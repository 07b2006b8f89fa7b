"""Real processes of the command line, on loopback and free ports: started, asked, stopped, killed."""

import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from queue import Empty, Queue
from typing import Final, Self

import httpx

COMMAND: Final = (sys.executable, "-c", "from engine.cli import main; main()")
START_SECONDS_MAX: Final = 120.0  # until a line, of a machine that has much else to do
END_SECONDS_MAX: Final = 120.0
ANSWER_SECONDS_MAX: Final = 120.0
_URL = re.compile(r"http://127\.0\.0\.1:(\d+)/v1/events")


def environment() -> dict[str, str]:
    """This process's environment without settings of a product that somebody works with."""
    return {name: value for name, value in os.environ.items() if not name.startswith("PLIMSOLL_")}


class Process:
    """One command, its lines as they come. ``lines`` holds standard output, ``errors`` standard error, so far."""

    def __init__(self, *arguments: str) -> None:
        self.lines: list[str] = []
        self.errors: list[str] = []
        self._new: Queue[str | None] = Queue()
        self._open = 2  # of the two streams, so many have not ended
        self.popen = subprocess.Popen(
            [*COMMAND, *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            stdin=subprocess.DEVNULL,
            encoding="utf-8",
            errors="replace",
            env=environment(),
        )
        self._readers = [
            threading.Thread(target=self._read, args=(self.popen.stdout, self.lines), daemon=True),
            threading.Thread(target=self._read, args=(self.popen.stderr, self.errors), daemon=True),
        ]
        for reader in self._readers:
            reader.start()

    def _read(self, stream: "object", into: list[str]) -> None:
        for line in stream:  # type: ignore[attr-defined]  # a text pipe
            into.append(line.rstrip("\n"))
            self._new.put(line)
        self._new.put(None)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    def wait_for(self, pattern: str) -> re.Match[str]:
        """The first match in a line of either stream; fails where the process ends without one."""
        while True:
            for line in [*self.lines, *self.errors]:
                found = re.search(pattern, line)
                if found is not None:
                    return found
            assert self.told_more(), f"no {pattern!r} in: {self.lines + self.errors}"

    def told_more(self) -> bool:
        """Waits for one more line, or for the end of a stream; False: both have ended before, or nothing came."""
        try:
            self._open -= self._new.get(timeout=START_SECONDS_MAX if self._open else 0.0) is None
        except Empty:
            return False
        return True

    def kill(self) -> None:
        """SIGKILL, and waits for the end. Harmless where it has ended."""
        if self.popen.poll() is None:
            self.popen.send_signal(signal.SIGKILL)
        self.ended()

    def stop(self) -> int:
        """SIGTERM; the exit code."""
        self.popen.send_signal(signal.SIGTERM)
        return self.ended()

    def ended(self) -> int:
        """Waits for the end; the exit code."""
        code = self.popen.wait(END_SECONDS_MAX)
        for reader in self._readers:
            reader.join(END_SECONDS_MAX)
        for stream in (self.popen.stdout, self.popen.stderr):
            assert stream is not None
            stream.close()
        return code


class Product(Process):
    """``plimsoll run`` on a free port."""

    def __init__(self, data: Path, *arguments: str, port: int = 0) -> None:
        super().__init__("run", "--data", str(data), "--port", str(port), *arguments)
        self.port = 0

    def started(self) -> Self:
        """Waits until it takes events."""
        self.port = int(self.wait_for(_URL.pattern)[1])
        return self

    @property
    def url(self) -> str:
        """Where it is."""
        return f"http://127.0.0.1:{self.port}"

    def get(self, path: str) -> httpx.Response:
        """What it answers."""
        return httpx.get(self.url + path, timeout=ANSWER_SECONDS_MAX)

    def post(self, events: bytes) -> httpx.Response:
        """What it answers to events, one a line."""
        headers = {"content-type": "application/x-ndjson"}
        return httpx.post(f"{self.url}/v1/events", content=events, headers=headers, timeout=ANSWER_SECONDS_MAX)


def command(*arguments: str, before: Sequence[str] = ()) -> tuple[int, str, str]:
    """Runs a command, behind another one if given, to its end: exit code, standard output, standard error."""
    done = subprocess.run(
        [*before, *COMMAND, *arguments],
        capture_output=True,
        encoding="utf-8",
        errors="replace",
        env=environment(),
        timeout=END_SECONDS_MAX,
        check=False,
    )
    return done.returncode, done.stdout, done.stderr
