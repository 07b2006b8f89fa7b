"""Worker processes: how one is started with a fault or without, looked at, frozen, and ended."""

import asyncio
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

from tests.integration.processes import environment
from tests.integration.torture.entry import KILL, PLANTED

# Small ones, so that a few seconds without a worker are a backlog of several batches, each of several steps.
_SETTINGS: Final = {"PLIMSOLL_WORKER_BATCH_RECORDS_MAX": "60", "PLIMSOLL_WORKER_STEP_RECORDS_MAX": "20"}
_ROOT: Final = Path(__file__).parents[3]
_COMMAND: Final = (sys.executable, "-m", "tests.integration.torture.entry")
_LOOK_SECONDS: Final = 0.03
_READY_SECONDS_MAX: Final = 120.0
_END_SECONDS_MAX: Final = 90.0
_SHOWN_MAX: Final = 12


class Worker:
    """One process of ``entry``, such as ``plimsoll worker``. What it says goes to the file ``told``; ``partitions``:
    those that it was given, None where a group decides; ``kill`` and ``planted``: faults of ``entry``."""

    def __init__(
        self,
        told: Path,
        arguments: Sequence[str],
        *,
        partitions: Sequence[int] | None = None,
        kill: str | None = None,
        planted: str | None = None,
    ) -> None:
        self.partitions = partitions
        self._told = told
        faults = {name: value for name, value in ((KILL, kill), (PLANTED, planted)) if value is not None}
        with told.open("ab") as into:
            self._begin = into.tell()
            self.popen = subprocess.Popen(
                [*_COMMAND, *arguments],
                stdin=subprocess.DEVNULL,
                stdout=into,
                stderr=into,
                cwd=_ROOT,
                env=environment() | _SETTINGS | faults,
            )

    def told(self) -> str:
        """What it said since its start."""
        with self._told.open("rb") as told:
            told.seek(self._begin)
            return told.read().decode(errors="replace")

    def shown(self) -> str:
        """The last of what it said, for a failure."""
        return "\n".join(self.told().splitlines()[-_SHOWN_MAX:])

    @property
    def works_on(self) -> set[int]:
        """The partitions that it says it works on, or has worked on."""
        return {int(found) for found in re.findall(r"partition (\d+): works from", self.told())}

    @property
    def shares(self) -> list[set[int]]:
        """What the group gave it to work on, each time anew."""
        return [
            {int(number) for number in found.split(",") if number != "none"}
            for found in re.findall(r"works on (none|[\d,]+), stands by", self.told())
        ]

    @property
    def lives(self) -> bool:
        return self.popen.poll() is None

    async def ready(self) -> None:
        """Returns when it works on every partition that it was given; or has ended."""
        if self.partitions is None:
            await self.until(lambda: bool(self.shares))
        else:
            await self.until(lambda: self.works_on >= set(self.partitions or ()))

    async def until(self, reached: Callable[[], bool], seconds_max: float = _READY_SECONDS_MAX) -> None:
        """Returns when ``reached()`` holds, or the process has ended. Raises AssertionError after that time."""
        end = time.monotonic() + seconds_max
        while self.lives and not reached():
            assert time.monotonic() < end, f"{self._told.name} is not where it should be:\n{self.shown()}"
            await asyncio.sleep(_LOOK_SECONDS)

    async def lived(self, seconds: float) -> bool:
        """Whether it still lives after that time; returns at its end if that is sooner."""
        with suppress(subprocess.TimeoutExpired):
            await asyncio.to_thread(self.popen.wait, seconds)
        return self.lives

    def send(self, number: signal.Signals) -> None:
        """A signal, where it lives."""
        if self.lives:
            os.kill(self.popen.pid, number)

    async def ended(self, seconds_max: float = _END_SECONDS_MAX) -> int:
        """Its exit code; fails where it goes on living."""
        assert not await self.lived(seconds_max), f"{self._told.name} does not end:\n{self.shown()}"
        return self.popen.wait()

    def kill(self) -> None:
        """SIGKILL, frozen or not; harmless where it has ended."""
        if self.lives:
            self.popen.kill()
            self.popen.wait()


def free_port() -> int:
    """A port of loopback that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
