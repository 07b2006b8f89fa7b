"""A running product to measure: the real ``plimsoll run`` in its own process, on a free port and a new folder."""

import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, NamedTuple

_START_SECONDS_MAX: Final = 60.0
_STOP_SECONDS_MAX: Final = 60.0
_TICKS: Final = os.sysconf("SC_CLK_TCK")


class Product(NamedTuple):
    """Where a product listens, which process it is, and where its data are."""

    port: int
    pid: int
    data: Path

    def cpu_seconds(self) -> float:
        """User and system time of the process, all threads."""
        fields = Path(f"/proc/{self.pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / _TICKS

    def resident_bytes(self, peak: bool = False) -> int:
        """Resident memory now, or its peak."""
        name = "VmHWM" if peak else "VmRSS"
        status = Path(f"/proc/{self.pid}/status").read_text(encoding="ascii")
        found = re.search(rf"{name}:\s+(\d+) kB", status)
        assert found is not None
        return int(found[1]) * 1024


@contextmanager
def running(*options: str, prefix: tuple[str, ...] = (), data: Path | None = None) -> Iterator[Product]:
    """Starts the product and stops it at the end; ``prefix`` is put before the command."""
    folder = Path(tempfile.mkdtemp(prefix="plimsoll-bench-")) if data is None else data
    plimsoll = str(Path(sys.executable).with_name("plimsoll"))
    command = [*prefix, plimsoll, "run", "--data", str(folder), "--port", "0"]
    process = subprocess.Popen(
        [*command, "--no-mailer", "--no-sms", *options], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    try:
        yield Product(_port_of(process), process.pid, folder)
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(_STOP_SECONDS_MAX)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        if data is None:
            shutil.rmtree(folder, ignore_errors=True)


def _port_of(process: "subprocess.Popen[str]") -> int:
    assert process.stdout is not None
    deadline = time.monotonic() + _START_SECONDS_MAX
    said = ""
    while time.monotonic() < deadline:
        line = process.stdout.readline()
        said += line
        found = re.search(r"http://127\.0\.0\.1:(\d+)/metrics", line)
        if found is not None:
            return int(found[1])
        if not line:
            break
    raise RuntimeError(f"the product did not start: {said}")
