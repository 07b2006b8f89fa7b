"""How long does ``plimsoll what-if`` take over a day of 1,000,000 events?

Bar: under 20 s on one core. 20,000 clients with one low balance rule each are made and paid for, and charged through
a day; the changed profile raises the threshold a little. Time is that of the whole command, its start and the reading
of the file included: processor time as the kernel counts it, and wall.
"""

import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec

from benchmarks.report import table
from benchmarks.workload import charges, client, configuration, payment

_CLIENTS = 20_000
_EVENTS = 1_000_000
_RUNS = 3
_AMOUNT = "6.2"  # a day of charges comes to 1.2 at the mean: about half of the clients fall below 5 in it
_COMMAND = (sys.executable, "-c", "from engine.cli import main; main()")
_CHANGED = {
    "type": "profile",
    "profile": "standard",
    "max_qty": 3,
    "period_seconds": 86_400,
    "rules": [{"rule": "low", "audience": "client", "threshold": "5.1", "notify": True}],
}


def day() -> Iterator[bytes]:
    """The lines of the history."""
    yield from configuration()
    for number in range(_CLIENTS):
        yield client(number)
        yield payment(number, amount=_AMOUNT)
    yield from charges(_CLIENTS, _EVENTS - 2 * _CLIENTS - 2, 1)


def measured(history: Path, changed: Path) -> tuple[float, float, bytes]:
    """Processor and wall seconds of one run, and what it printed."""
    before, started = os.times(), time.perf_counter()
    arguments = ("what-if", "--json", "--limit", "0", "--profile", str(changed), str(history))
    done = subprocess.run([*_COMMAND, *arguments], check=True, stdout=subprocess.PIPE)
    wall, after = time.perf_counter() - started, os.times()
    cpu = after.children_user + after.children_system - before.children_user - before.children_system
    return cpu, wall, done.stdout


def main() -> str:
    """The table of this question."""
    with tempfile.TemporaryDirectory(prefix="plimsoll-bench-") as folder:
        history, changed = Path(folder) / "day.ndjson", Path(folder) / "profile.json"
        with history.open("wb") as stream:
            stream.writelines(line + b"\n" for line in day())
        changed.write_bytes(msgspec.json.encode(_CHANGED))
        runs = [measured(history, changed) for _ in range(_RUNS)]
        size = history.stat().st_size / 1e6
    answers = {printed for _, _, printed in runs}
    assert len(answers) == 1, "the same question had different answers"
    total = msgspec.json.decode(answers.pop())["total"]
    rows = [
        [name, f"{statistics.median(values):.1f} ({min(values):.1f} to {max(values):.1f})"]
        for name, values in (
            ("processor, s", [cpu for cpu, _, _ in runs]),
            ("wall, s", [wall for _, wall, _ in runs]),
        )
    ]
    rows += [["notifications sent", f"{total['was']:,}"], ["would be", f"{total['would_be']:,}"]]
    return table(
        f"what-if over a day of {_EVENTS:,} events, {_CLIENTS:,} clients, {size:,.0f} MB ({_RUNS} runs, median, range)",
        ["", ""],
        rows,
    )


if __name__ == "__main__":
    print(main())
