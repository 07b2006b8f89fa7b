"""``python -m benchmarks [NAME ...] [--quick]``: runs the benchmarks named, or all, and prints one report.

``--quick`` is of ``kafka`` alone: tiny counts, which show that it runs and nothing else.
"""

import sys

from benchmarks import authorize, dedupe, embedded, fold, memory, what_if
from benchmarks.report import environment

_QUICK = "--quick"


def _kafka(*, quick: bool = False) -> str:
    """Imported when it is asked for: it needs the extra that the others do without."""
    from benchmarks import kafka

    return kafka.main(quick=quick)


_QUESTIONS = {
    "fold": fold.main,
    "embedded": embedded.main,
    "authorize": authorize.main,
    "memory": memory.main,
    "dedupe": dedupe.main,
    "what_if": what_if.main,
    "kafka": _kafka,
}


def main(names: list[str]) -> int:
    """Exit code 2 where a name is not a benchmark."""
    quick = names == ["kafka", _QUICK]
    unknown = [] if quick else [name for name in names if name not in _QUESTIONS]
    if unknown:
        print(f"expected some of {', '.join(_QUESTIONS)}, or kafka --quick; found {unknown[0]}", file=sys.stderr)
        return 2
    print(environment(), flush=True)
    if quick:
        print(f"\n{_kafka(quick=True)}", flush=True)
        return 0
    for name in names or _QUESTIONS:
        print(f"\n{_QUESTIONS[name]()}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
