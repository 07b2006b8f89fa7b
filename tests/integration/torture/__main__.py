"""``make torture``: the long form. ``--seed`` draws the same faults again."""

import argparse
import asyncio
import sys
import tempfile
import time
from pathlib import Path

from tests.integration.torture.run import TortureRun


def main() -> None:
    """Faults until time is up; a table at the end, and what was wrong, if anything."""
    parser = argparse.ArgumentParser(prog="python -m tests.integration.torture", description=__doc__)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--bootstrap", required=True)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--planted")
    parser.add_argument("--no-looks", action="store_true")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(_run(arguments, Path(folder)))


async def _run(arguments: argparse.Namespace, folder: Path) -> None:
    run = TortureRun(
        arguments.bootstrap,
        folder,
        arguments.seed,
        planted=arguments.planted,
        looking=not arguments.no_looks,
        tell=lambda line: print(line, file=sys.stderr, flush=True),
    )
    try:
        async with run.running():
            await run.kills(arguments.kills)
            run.check_landed()
    finally:
        print(run.report.table(), flush=True)


if __name__ == "__main__":
    main()
