"""Brokers of our own, from ``deploy/kafka``, whose nodes can be stopped, killed and started again where they were."""

import asyncio
import os
import signal
import subprocess
from contextlib import suppress
from pathlib import Path
from typing import Final

_ROOT: Final = Path(__file__).parents[3]
_RUN: Final = _ROOT / "deploy" / "kafka" / "run.sh"
_START_SECONDS_MAX: Final = 180.0
_END_SECONDS_MAX: Final = 60.0
_LOOK_SECONDS: Final = 0.1


class Node:
    """One broker process. The first of them is run.sh's; the ones after it are started with the same command."""

    def __init__(self, number: int, pid: int, log: Path) -> None:
        self.number = number
        self.pid = pid
        self.command = Path(f"/proc/{pid}/cmdline").read_bytes().rstrip(b"\0").split(b"\0")
        self._log = log
        self._own: subprocess.Popen[bytes] | None = None

    @property
    def lives(self) -> bool:
        if self._own is not None:
            return self._own.poll() is None
        try:  # run.sh reaps it, or did; a zombie of run.sh has no command line
            return Path(f"/proc/{self.pid}/cmdline").read_bytes().rstrip(b"\0").split(b"\0") == self.command
        except FileNotFoundError:
            return False

    async def end(self, number: signal.Signals) -> None:
        """Ends it by that signal; returns when it is gone."""
        if self.lives:
            os.kill(self.pid, number)
        async with asyncio.timeout(_END_SECONDS_MAX):
            while True:
                if not self.lives:
                    return
                await asyncio.sleep(_LOOK_SECONDS)

    def start(self) -> None:
        """Starts it again, on its ports and its data."""
        assert not self.lives
        with self._log.open("ab") as log:
            self._own = subprocess.Popen(
                self.command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )
        self.pid = self._own.pid


class Brokers:
    """One node or three in ``folder``; by ``async with``."""

    def __init__(self, folder: Path, nodes: int) -> None:
        self.bootstrap = ""
        self.nodes: list[Node] = []
        self._folder = folder
        self._count = nodes
        self._run: asyncio.subprocess.Process | None = None

    async def __aenter__(self) -> "Brokers":
        environment = os.environ | {"NODES": str(self._count), "KAFKA_DATA": str(self._folder)}
        with (self._folder / "run.err").open("wb") as told:
            # A session of its own: Ctrl-C is for the run, which then ends the brokers.
            self._run = await asyncio.create_subprocess_exec(
                _RUN, stdout=subprocess.PIPE, stderr=told, env=environment, start_new_session=True
            )
        assert self._run.stdout is not None
        line = await asyncio.wait_for(self._run.stdout.readline(), _START_SECONDS_MAX)
        found = line.decode().split()
        assert len(found) == 2, (self._folder / "run.err").read_text(encoding="utf-8")
        self.bootstrap = found[1]
        for number in range(1, self._count + 1):
            folder = self._folder / f"node-{number}"
            pid = int((folder / "pid").read_text(encoding="ascii"))
            self.nodes.append(Node(number, pid, folder / "broker.log"))
        return self

    async def __aexit__(self, *_: object) -> None:
        for node in self.nodes:
            await node.end(signal.SIGKILL)
        assert self._run is not None
        with suppress(ProcessLookupError):  # it ends with its last node
            self._run.terminate()
        await asyncio.wait_for(self._run.wait(), _END_SECONDS_MAX)
