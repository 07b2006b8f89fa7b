"""What every benchmark prints beside its figures: hardware, versions, runs and spread."""

import os
import platform
import statistics
import sys
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

_PACKAGES = ("msgspec", "rocksdict", "xxhash", "uvicorn", "uvloop")


def environment() -> str:
    """One line: processor, cores, kernel, Python (whose build counts too) and the libraries that decide the figures."""
    versions = ", ".join(f"{name} {version(name)}" for name in _PACKAGES)
    return (
        f"{_processor()}, {os.cpu_count()} cores, {platform.system()} {platform.release()}, "
        f"Python {platform.python_version()} of {sys.base_prefix}, {versions}"
    )


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text(encoding="ascii", errors="replace").splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def table(title: str, head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table under its title."""
    lines = [f"### {title}", "", "| " + " | ".join(head) + " |", "|" + "|".join("---" for _ in head) + "|"]
    lines += ["| " + " | ".join(row) + " |" for row in rows]
    return "\n".join(lines) + "\n"


def spread(values: Sequence[float]) -> str:
    """Median with the range of the runs, in thousands a second."""
    low, middle, high = min(values), statistics.median(values), max(values)
    return f"{middle / 1e3:,.0f} k ({low / 1e3:,.0f} to {high / 1e3:,.0f})"


def percentile(sorted_values: Sequence[float], share: float) -> float:
    """The value below which that share lies."""
    return sorted_values[min(len(sorted_values) - 1, int(len(sorted_values) * share))]
