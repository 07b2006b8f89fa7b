"""``make torture``: the long form. ``--seed`` draws the same faults again."""

import argparse
import asyncio
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Final

from tests.integration.torture import faults
from tests.integration.torture.brokers import Brokers
from tests.integration.torture.group import frozen_out, joined_and_left
from tests.integration.torture.run import TortureRun

_ROUND_KILLS: Final = 20


def main() -> None:
    """Faults until time is up, half of it with partitions given by hand and half in a group; a table of each."""
    parser = argparse.ArgumentParser(prog="python -m tests.integration.torture", description=__doc__)
    parser.add_argument("--minutes", type=float, default=10.0, help="no new round of faults after these")
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--nodes", type=int, choices=(1, 3), default=1)
    parser.add_argument("--share", choices=("given", "group"), help="how workers get partitions; default: both ways")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--rate", type=float, default=120.0, help="events a second")
    arguments = parser.parse_args()
    shares = ("given", "group") if arguments.share is None else (arguments.share,)
    for share in shares:
        with tempfile.TemporaryDirectory() as folder:
            minutes = arguments.minutes / len(shares)
            asyncio.run(_run(arguments, Path(folder), group=share == "group", minutes=minutes))


async def _run(arguments: argparse.Namespace, folder: Path, *, group: bool, minutes: float) -> None:
    data = folder / "kafka"
    data.mkdir()
    async with Brokers(data, arguments.nodes) as brokers:
        run = TortureRun(
            brokers.bootstrap,
            folder,
            arguments.seed,
            workers=arguments.workers,
            group=group,
            rate=arguments.rate,
            tell=lambda line: print(line, file=sys.stderr, flush=True),
        )
        try:
            async with run.running():
                await _rounds(run, brokers, time.monotonic() + 60 * minutes)
            run.check_landed()
        finally:
            print(f"{'a group' if group else 'partitions given by hand'}, {run.report.table()}", flush=True)


async def _rounds(run: TortureRun, brokers: Brokers, end: float) -> None:
    phases = list(_phases(run, brokers))
    at = 0
    while time.monotonic() < end:
        await (run.kills(_ROUND_KILLS) if at % 2 == 0 else phases[at // 2 % len(phases)]())
        at += 1


def _phases(run: TortureRun, brokers: Brokers) -> Iterator[Callable[[], Coroutine[None, None, None]]]:
    """All faults but kills at a point; after each of them come kills."""
    if run.group:
        yield lambda: joined_and_left(run, 3)
        yield lambda: frozen_out(run, 2)
    else:
        yield lambda: faults.zombies(run, 3)
    if len(brokers.nodes) > 1:
        yield lambda: faults.node_lost(run, brokers, signal.SIGKILL)
        yield lambda: faults.node_lost(run, brokers, signal.SIGTERM)
    yield lambda: faults.broker_restarts(run, brokers, signal.SIGKILL)
    yield lambda: faults.broker_restarts(run, brokers, signal.SIGTERM)
    yield lambda: faults.wiped(run, 2)
    yield lambda: faults.moved(run, 2)
    if not run.group:
        yield lambda: faults.legs_left_open(run, alone=True)
        yield lambda: faults.legs_left_open(run, alone=False)
    yield lambda: faults.configuration_left_open(run, alone=True)
    yield lambda: faults.configuration_left_open(run, alone=False)


if __name__ == "__main__":
    main()
