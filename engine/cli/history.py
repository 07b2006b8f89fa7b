"""``plimsoll history``: what happened to a client."""

from typing import Any, Final

import click

from engine.cli.door import ask_client
from engine.cli.options import door_options, json_option, show_json, show_table

_LIMIT_MAX: Final = 1000
_COLUMNS: Final = ("at", "type", "source", "id", "amount", "live", "available", "capacity")


@click.command(short_help="What happened to a client.")
@click.argument("client")
@click.option(
    "--limit", type=click.IntRange(1, _LIMIT_MAX), default=20, show_default=True, help="How many, the latest first."
)
@door_options
@json_option
def history(client: str, limit: int, url: str, key: str | None, as_json: bool) -> None:
    """What happened to CLIENT: its latest events, with what each did.

    \b
    plimsoll history c-42
    plimsoll history c-42 --limit 100 --json
    """
    answer = ask_client(url, key, client, "/history", {"limit": str(limit)})
    if as_json:
        show_json(answer)
        return
    entries = next((value for value in answer.values() if isinstance(value, list)), [])
    rows = [entry for entry in entries if isinstance(entry, dict)]
    if not rows:
        click.echo(f"{client}: nothing has happened yet")
        return
    columns = [name for name in _COLUMNS if any(_cell(row, name) is not None for row in rows)]
    show_table(
        columns,
        [[_cell(row, name) for name in columns] for row in rows],
        numbers=("amount", "live", "available", "capacity"),
    )


def _cell(row: dict[str, Any], name: str) -> object:
    """A field of an entry, or of the event or the cause inside it."""
    for part in (row, row.get("event"), row.get("cause")):
        if isinstance(part, dict) and part.get(name) is not None:
            value: object = part[name]
            return value
    return None
