"""Options that several commands have, and how results are shown."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any, Final, TypeVar

import click
import msgspec
from rich.console import Console
from rich.table import Table

URL_DEFAULT: Final = "http://127.0.0.1:8080"

F = TypeVar("F", bound=Callable[..., Any])  # Any: click passes options by name


def door_options(command: F) -> F:
    """``--url`` and ``--key`` of a running product."""
    url = click.option(
        "--url",
        envvar="PLIMSOLL_URL",
        default=URL_DEFAULT,
        show_default=True,
        help="Where the product runs. [env: PLIMSOLL_URL]",
    )
    key = click.option("--key", envvar="PLIMSOLL_KEY", help="Bearer key, where keys are on. [env: PLIMSOLL_KEY]")
    return url(key(command))


def app_option(command: F) -> F:
    """``--app``, what the ids that fence start with: the same for the workers and for whoever writes configuration."""
    return click.option("--app", help="Kafka: name of the engine, as `worker` has it. Default: kafka.app, plimsoll.")(
        command
    )


def json_option(command: F) -> F:
    """``--json``."""
    return click.option("--json", "as_json", is_flag=True, help="Write JSON.")(command)


def show_json(value: object) -> None:
    """A value as indented JSON on standard output."""
    click.echo(msgspec.json.format(msgspec.json.encode(value), indent=2))


def speaker(as_json: bool, *, err: bool = False) -> Callable[[str], None]:
    """How a command that keeps running tells things: lines of text, or one JSON object a line for a log collector."""

    def speak(line: str) -> None:
        if as_json:
            line = msgspec.json.encode({"at": datetime.now(UTC), "message": line.strip()}).decode()
        click.echo(line, err=err)

    return speak


def show_table(columns: Sequence[str], rows: Sequence[Sequence[object]], *, numbers: Sequence[str] = ()) -> None:
    """Rows under their columns: drawn on a terminal, separated by tabs anywhere else. ``numbers`` stand right."""
    texts = [["" if cell is None else str(cell) for cell in row] for row in rows]
    console = Console()
    if not console.is_terminal:
        for line in [list(columns), *texts]:
            click.echo("\t".join(line))
        return
    table = Table(box=None, pad_edge=False)
    for column in columns:
        table.add_column(column, justify="right" if column in numbers else "left", overflow="fold")
    for line in texts:
        table.add_row(*(_plain(cell) for cell in line))
    console.print(table)


def show_fields(fields: Sequence[tuple[str, object]]) -> None:
    """Names and values, one a line; a value that is None is left out."""
    shown = [(name, str(value)) for name, value in fields if value is not None]
    width = max((len(name) for name, _ in shown), default=0)
    for name, text in shown:
        click.echo(f"{name.ljust(width)}  {text}")


def _plain(text: str) -> str:
    return text.replace("[", "\\[")  # what stands in data is no markup
