"""``python -m tests.simulation [--seed N | --seeds A..B]``: runs seeds, says which found something and how fast."""

import argparse
import logging
import sys
import time
from collections.abc import Iterable
from typing import Final

from tests.simulation.run import Result, simulate

_SEEDS_DEFAULT: Final = range(1, 1001)
_REPORT_SECONDS: Final = 10.0


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("--seed", type=int, help="one seed, with its last steps")
    parser.add_argument("--seeds", help="a range of seeds, such as 1..1000 (the default)")
    options = parser.parse_args(arguments)
    logging.disable(logging.CRITICAL)  # failing peers are what is simulated
    if options.seed is not None:
        result = simulate(options.seed)
        print("\n".join(result.lines))
        _tell(result)
        return int(result.violation is not None)
    return _run(_SEEDS_DEFAULT if options.seeds is None else _range(parser, options.seeds))


def _range(parser: argparse.ArgumentParser, text: str) -> range:
    first, dots, last = text.partition("..")
    if not dots or not first.isdecimal() or not last.isdecimal() or int(last) < int(first):
        parser.error(f"--seeds: expected a range such as 1..1000, found {text!r}")
    return range(int(first), int(last) + 1)


def _run(seeds: Iterable[int]) -> int:
    began = reported = time.perf_counter()
    count = events = processes = notifications = 0
    failed: list[int] = []
    for seed in seeds:
        result = simulate(seed)
        count += 1
        events += result.events
        processes += result.processes
        notifications += result.notifications
        if result.violation is not None:
            failed.append(seed)
            print("\n".join(result.lines[-25:]))
            _tell(result)
        if time.perf_counter() - reported >= _REPORT_SECONDS:
            reported = time.perf_counter()
            print(f"{count} seeds, {count / (reported - began):.1f} seeds/s, {len(failed)} failed", flush=True)
    took = time.perf_counter() - began
    print(
        f"{count} seeds in {took:.1f} s ({count / took:.1f} seeds/s): {processes} processes, {events} answers, "
        f"{notifications} notifications; {len(failed)} failed{': ' if failed else ''}{failed or ''}"
    )
    return int(bool(failed))


def _tell(result: Result) -> None:
    found = "nothing was found" if result.violation is None else f"FOUND {result.violation}"
    print(f"seed {result.seed}: {found} ({result.seconds:.2f} s; repeat with: make sim SEED={result.seed})", flush=True)


sys.exit(main(sys.argv[1:]))
