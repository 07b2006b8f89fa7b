"""The measured processes: the real worker and the peers, with the processor time that each has taken."""

import os
import queue
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

_TICKS: Final = os.sysconf("SC_CLK_TCK")
_STOP_SECONDS_MAX: Final = 30.0
_START_SECONDS_MAX: Final = 120.0
_RESTORED: Final = re.compile(r"restored ([\d,]+) records")


def cpu_seconds(pid: int) -> float:
    """User and system time of a process, all its threads."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


class Measured:
    """A process under measurement. What it says is kept, and is the reason given when it ends too early."""

    def __init__(self, command: Sequence[str], environment: Mapping[str, str] | None = None) -> None:
        self._process = subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env=os.environ | (environment or {}) | {"PYTHONUNBUFFERED": "1"},
        )
        self.started = time.perf_counter()
        self._lines: queue.SimpleQueue[tuple[float, str]] = queue.SimpleQueue()
        self.said: list[tuple[float, str]] = []
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._lines.put((time.perf_counter(), line.rstrip()))

    def hear(self) -> list[tuple[float, str]]:
        """What it said so far, with when. Raises RuntimeError where it has ended."""
        while not self._lines.empty():
            self.said.append(self._lines.get())
        if self._process.poll() is not None:
            last = "\n".join(line for _, line in self.said[-15:])
            raise RuntimeError(f"a measured process ended with {self._process.returncode}: {last}")
        return self.said

    def cpu(self) -> float:
        """Processor seconds so far."""
        return cpu_seconds(self._process.pid)

    def pause(self) -> None:
        """Not a step further until ``resume``."""
        self._process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        self._process.send_signal(signal.SIGCONT)

    def stop(self) -> None:
        """SIGTERM, and SIGKILL if that is not heeded."""
        self._process.send_signal(signal.SIGCONT)
        self._process.terminate()
        try:
            self._process.wait(_STOP_SECONDS_MAX)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


class Worker(Measured):
    """``plimsoll worker`` over some partitions."""

    def __init__(self, bootstrap: str, prefix: str, partitions: str, data: Path) -> None:
        plimsoll = str(Path(sys.executable).with_name("plimsoll"))
        options = ["--bootstrap", bootstrap, "--prefix", prefix, "--partitions", partitions, "--data", str(data)]
        super().__init__([plimsoll, "worker", *options])

    def wait_until_works(self, partitions: int) -> float:
        """Seconds from the process's start to the last partition that works."""
        while True:
            said = self.hear()
            working = [at for at, line in said if "works from" in line]
            if len(working) >= partitions:
                return working[-1] - self.started
            if time.perf_counter() - self.started > _START_SECONDS_MAX:
                raise RuntimeError(f"the worker does not work: {said[-5:]}")
            time.sleep(0.02)

    def restored(self) -> int:
        """How many records of the changelog it has read."""
        found = [match[1] for _, line in self.hear() if (match := _RESTORED.search(line)) is not None]
        assert found, self.said
        return sum(int(number.replace(",", "")) for number in found)
