"""``make long``: writes the history of a seed, folds and audits it, and compares with the real ``plimsoll replay``."""

import argparse
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Final

import msgspec

from tests.integration.processes import COMMAND, environment
from tests.long.run import LongRun, digest_of, lines_of
from tests.long.writing import long_history

_TELL_EVERY: Final = 100_000


def main() -> None:
    """Prints the report and the time of each part."""
    parser = argparse.ArgumentParser(prog="python -m tests.long", description=__doc__)
    parser.add_argument("--events", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        history = Path(folder) / "history.ndjson"
        started = time.monotonic()
        with history.open("wb") as stream:
            stream.writelines(line + b"\n" for line in long_history(arguments.seed, arguments.events))
        size = history.stat().st_size / 1e6
        print(f"seed {arguments.seed}: {arguments.events:,} events, {size:,.0f} MB, {_since(started)}", flush=True)
        started, run = time.monotonic(), LongRun()
        for line in lines_of(history):
            run.take(line)
            if run.events % _TELL_EVERY == 0:
                print(f"  {run.events:,} events folded and audited, {_since(started)}", flush=True)
        report = run.report()
        print(msgspec.json.format(msgspec.json.encode(report), indent=2).decode())
        print(f"folded and audited: {_since(started)}", flush=True)
        started = time.monotonic()
        replayed = replay_digest(history)
        assert replayed == report.digest, f"replay gives {replayed}, expected {report.digest}"
        print(f"plimsoll replay gives the same {sum(report.outputs.values()):,} outputs: {_since(started)}")


def replay_digest(history: Path) -> str:
    """The digest of what the real command writes."""
    with subprocess.Popen([*COMMAND, "replay", str(history)], stdout=subprocess.PIPE, env=environment()) as process:
        assert process.stdout is not None
        digest = digest_of(process.stdout)
    assert process.returncode == 0, process.returncode
    return digest


def _since(started: float) -> str:
    return f"{time.monotonic() - started:,.0f} s"


if __name__ == "__main__":
    main()
