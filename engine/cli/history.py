"""``plimsoll history``: what happened to a client."""

from typing import Any, Final

import click

from engine.cli.door import DoorError, ask_client
from engine.cli.options import door_options, json_option, show_json, show_table

_LIMIT_MAX: Final = 1000
_SECONDS_MAX: Final = 60.0  # a worker on Kafka reads the log of the client's partition for it
_COLUMNS: Final = (
    "entry", "at", "type", "source", "id", "amount", "live", "credit", "available", "capacity", "units", "notes",
)  # fmt: skip
_NUMBERS: Final = ("entry", "amount", "live", "available")


@click.command(short_help="What happened to a client.")
@click.argument("client")
@click.option(
    "--limit", type=click.IntRange(1, _LIMIT_MAX), default=20, show_default=True, help="How many, the latest first."
)
@click.option("--before", type=click.IntRange(1), help="Only those before this entry.")
@door_options
@json_option
def history(client: str, limit: int, before: int | None, url: str, key: str | None, as_json: bool) -> None:
    """What happened to CLIENT: its latest events, with what each did to live, credit, capacity and units.

    \b
    plimsoll history c-42
    plimsoll history c-42 --limit 100 --json
    """
    params = {"limit": str(limit)} | ({} if before is None else {"before": str(before)})
    answer = ask_client(url, key, client, "/history", params, seconds=_SECONDS_MAX)
    if as_json:
        show_json(answer)
        return
    if answer.get("cut"):
        raise DoorError(str(answer.get("sentence")))
    rows = [_row(entry) for entry in answer.get("entries") or []]
    if not rows:
        click.echo(f"{client}: nothing has happened yet")
        return
    columns = [name for name in _COLUMNS if any(row[name] is not None for row in rows)]
    show_table(columns, [[row[name] for name in columns] for row in rows], numbers=_NUMBERS)
    if answer.get("before"):
        click.echo(f"there is more: --before {answer['before']}", err=True)


def _row(entry: dict[str, Any]) -> dict[str, object]:
    """An entry as one line: what it did to live, credit, capacity and units, and what it sent."""
    return {
        **{name: entry.get(name) for name in ("entry", "at", "type", "source", "id")},
        "amount": None if entry.get("amount") == "0" else entry.get("amount"),
        "live": entry.get("live"),
        "available": "unlimited" if entry.get("available") is None and entry.get("live") else entry.get("available"),
        "credit": _step(entry, "credit"),
        "capacity": _step(entry, "capacity"),
        "units": ", ".join(f"{unit['grant']} {unit['moved']:+d} = {unit['left']}" for unit in entry["units"]) or None,
        "notes": _notes(entry),
    }


def _step(entry: dict[str, Any], name: str) -> str | None:
    """From what to what, where it changed; null is unlimited."""
    was, now = entry.get(f"{name}_before"), entry.get(name)
    if was == now:
        return None
    return f"{'unlimited' if was is None else was} -> {'unlimited' if now is None else now}"


def _notes(entry: dict[str, Any]) -> str | None:
    notes = [f"{sent['kind']} {sent['rule']} ({sent['channel']})" for sent in entry["notifications"]]
    if entry.get("outcome") == "refused":
        notes.insert(0, f"refused: {entry.get('reason')}")
    elif entry.get("outcome") == "duplicate":
        notes.insert(0, "duplicate")
    return ", ".join(notes) or None
