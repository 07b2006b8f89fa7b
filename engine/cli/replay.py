"""``plimsoll replay``: a history through the core, in memory, every output in order (contract, "Commands")."""

import sys
from collections.abc import Iterator
from typing import Final

import click

from engine.failures import WrongUse
from engine.lines import STDIN, open_input, read_lines
from engine.replay import replay as replay_lines
from schemas.times import TimeError, parse_time

_CHUNK_BYTES: Final = 64 * 1024
_LINE_BYTES_MAX: Final = 64 * 1024 * 1024
"""An event is small; a longer line is cut and rejected as what it then is, and the memory stays bounded."""


@click.command(short_help="Fold a file of events, in memory; every output as NDJSON.")
@click.argument("file")
@click.option("--until", metavar="TIME", help="Move the clock there at the end (RFC 3339).")
@click.option("--final", is_flag=True, help="Write only the last change of each client, by client id.")
@click.option("--json", "_json", is_flag=True, help="Write JSON, which it always does: one output a line.")
def replay(file: str, until: str | None, final: bool, _json: bool) -> None:
    """Folds FILE, one event a line ("-": standard input), and writes every output in order as NDJSON.

    Each line may carry "at", its log time (default: its "time"). No state is kept.

    \b
    plimsoll replay history.ndjson
    plimsoll replay history.ndjson --until 2026-02-01T00:00:00Z --final
    """
    instant = None
    if until is not None:
        try:
            instant = parse_time(until)
        except TimeError as error:
            raise WrongUse(f"--until: {error}") from None
    with open_input(file) as stream:
        name = "standard input" if file == STDIN else file
        lines = (line.data for line in read_lines(stream, name, line_bytes_max=_LINE_BYTES_MAX))
        _write(replay_lines(lines, until=instant, final=final))


def _write(outputs: Iterator[bytes]) -> None:
    """Chunks, not lines: a write each costs more than the fold."""
    stdout = sys.stdout.buffer
    chunk: list[bytes] = []
    size = 0
    try:
        for output in outputs:
            chunk.append(output)
            size += len(output) + 1
            if size >= _CHUNK_BYTES:
                stdout.write(b"\n".join(chunk) + b"\n")
                chunk, size = [], 0
    finally:  # what was decided before a damaged input is still an output
        if chunk:
            stdout.write(b"\n".join(chunk) + b"\n")
        stdout.flush()
