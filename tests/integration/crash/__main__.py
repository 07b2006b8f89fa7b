"""``make crash``: the long form, a hundred kills, with what they hit. ``--seed`` repeats a run."""

import argparse
import asyncio
import tempfile
import time
from pathlib import Path
from typing import Final

import msgspec

from tests.integration.crash.run import CrashRun, Layout, Report

_LAYOUTS: Final[tuple[Layout, ...]] = ("together", "apart")


def main() -> None:
    """Both layouts, half of the kills each; one report a run on standard output."""
    parser = argparse.ArgumentParser(prog="python -m tests.integration.crash", description=__doc__)
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--layout", choices=_LAYOUTS, help="one of them only; default: both, half of the kills each")
    arguments = parser.parse_args()
    layouts: tuple[Layout, ...] = _LAYOUTS if arguments.layout is None else (arguments.layout,)
    for layout in layouts:
        report = asyncio.run(_run(layout, arguments.seed, arguments.kills // len(layouts)))
        print(msgspec.json.format(msgspec.json.encode(report), indent=2).decode(), flush=True)


async def _run(layout: Layout, seed: int, kills: int) -> Report:
    print(f"{layout}: {kills} kills with seed {seed}", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        return await CrashRun(layout, seed, kills, Path(folder), audit_every=10).run(lambda line: print(f"  {line}"))


main()
