"""``python -m benchmarks [NAME ...]``: runs the benchmarks named, or all, and prints one report."""

import sys

from benchmarks import authorize, dedupe, embedded, fold, memory
from benchmarks.report import environment

_QUESTIONS = {
    "fold": fold.main,
    "embedded": embedded.main,
    "authorize": authorize.main,
    "memory": memory.main,
    "dedupe": dedupe.main,
}


def main(names: list[str]) -> int:
    """Exit code 2 where a name is not a benchmark."""
    unknown = [name for name in names if name not in _QUESTIONS]
    if unknown:
        print(f"expected one of {', '.join(_QUESTIONS)}, found {unknown[0]}", file=sys.stderr)
        return 2
    print(environment(), flush=True)
    for name in names or _QUESTIONS:
        print(f"\n{_QUESTIONS[name]()}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
