"""The engine against the independent model, output by output, over seeded histories.

``python -m tests.properties.differential --seeds 0..2000`` compares the histories of those seeds and prints, for each
that differs, the fewest of its lines that still do.
"""

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from itertools import zip_longest
from pathlib import Path

import msgspec

from engine.replay import replay
from tests.model.replay import replay as replay_model
from tests.properties.histories import history

Json = dict[str, object]


class Difference(msgspec.Struct, frozen=True):
    """Where the two part: the number of the output, and what each says there (None: nothing more)."""

    number: int
    engine: Json | None
    model: Json | None

    def __str__(self) -> str:
        return f"output {self.number}\n  engine: {_text(self.engine)}\n  model:  {_text(self.model)}"


def _text(output: Json | None) -> str:
    return "nothing" if output is None else json.dumps(output)


def comparable(output: Json) -> Json:
    """An output without what need not agree: the sentence of a rejection."""
    return {name: value for name, value in output.items() if name != "message"}


def difference(lines: Sequence[bytes]) -> Difference | None:
    """The first output on which engine and model do not agree about a history, or None."""
    engine = [comparable(json.loads(line)) for line in replay(lines)]
    model = [comparable(output) for output in json.loads(json.dumps(replay_model(lines)))]
    for number, (ours, theirs) in enumerate(zip_longest(engine, model)):
        if ours != theirs or (ours is not None and theirs is not None and list(ours) != list(theirs)):
            return Difference(number, ours, theirs)
    return None


def failing(lines: Sequence[bytes]) -> Difference | str | None:
    """As ``difference``; a crash of either is a difference too, told in words."""
    try:
        return difference(lines)
    except Exception as error:  # whatever it is, it is to be shrunk and shown
        return f"{type(error).__name__}: {error}"


def shrink(lines: Sequence[bytes]) -> list[bytes]:
    """The fewest lines found that still differ in the same way: chunks are left out, halving down to single lines."""
    kept = list(lines)
    crashed = isinstance(failing(kept), str)
    size = len(kept) // 2
    while size:
        at = 0
        while at < len(kept):
            shorter = kept[:at] + kept[at + size :]
            found = failing(shorter)
            if found is not None and isinstance(found, str) == crashed:
                kept = shorter
            else:
                at += size
        size //= 2
    return kept


def regressions() -> Iterator[Path]:
    """Histories on which engine and model once differed, by name."""
    return iter(sorted((Path(__file__).parent / "regressions").glob("*.ndjson")))


def main(arguments: Sequence[str] | None = None) -> int:
    """Compares the histories of a range of seeds; 1 if any differs."""
    parser = argparse.ArgumentParser(description="Compare engine and model on seeded histories.")
    parser.add_argument("--seeds", default="0..200", help="first and, after two dots, last seed")
    parser.add_argument("--failures", type=int, default=5, help="stop after so many that differ")
    chosen = parser.parse_args(arguments)
    first, _, last = chosen.seeds.partition("..")
    failed = events = compared = 0
    for seed in range(int(first), int(last or first) + 1):
        lines = history(seed)
        compared, events = compared + 1, events + len(lines)
        if failing(lines) is not None:
            failed += 1
            shortest = shrink(lines)
            print(f"seed {seed}: {failing(shortest)}")
            print("\n".join(line.decode(errors="replace") for line in shortest), flush=True)
            if failed >= chosen.failures:
                break
    print(f"{compared} histories, {events} lines, {failed} differ")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
