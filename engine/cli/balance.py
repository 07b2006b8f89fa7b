"""``plimsoll balance``: what a client has now."""

from collections.abc import Callable
from typing import Any

import click

from engine.cli.door import ask_client
from engine.cli.options import door_options, json_option, show_fields, show_json, show_table


@click.command(short_help="What a client has.")
@click.argument("client")
@door_options
@json_option
def balance(client: str, url: str, key: str | None, as_json: bool) -> None:
    """What CLIENT has: live balance, credit, available money, capacity, free units.

    \b
    plimsoll balance c-42
    plimsoll balance c-42 --json
    """
    view = ask_client(url, key, client)
    if as_json:
        show_json(view)
        return
    currency = view.get("currency")
    credit = view.get("credit") or {}

    def money(value: object) -> str:
        return "unlimited" if value is None else f"{value} {currency}"

    temporary = credit.get("temporary", "0")
    until = credit.get("valid_until")
    capacity = view.get("capacity")
    show_fields(
        [
            ("client", view.get("client")),
            ("model", view.get("model")),
            ("status", view.get("status")),
            ("available", money(view.get("available"))),
            ("live", money(view.get("live"))),
            ("credit", money(credit.get("permanent"))),
            ("temporary credit", None if temporary == "0" else f"{money(temporary)} until {until or 'removed'}"),
            ("may be raised", _raised(view.get("temporary_credit_max"), money)),
            ("capacity", "unlimited" if capacity is None else capacity),
            ("lasts", _lasts(view.get("runway"))),
            ("unallocated", None if view.get("unallocated") == "0" else money(view.get("unallocated"))),
            ("version", view.get("version")),
            ("as of", view.get("at")),
        ]
    )
    units = view.get("time_balances") or []
    if units:
        columns = ["plan", "grant", "granted", "used", "left", "closes_at", "expires_at"]
        click.echo()
        show_table(
            columns, [[unit.get(name) for name in columns] for unit in units], numbers=("granted", "used", "left")
        )


def _raised(most: dict[str, Any] | None, money: Callable[[object], str]) -> str | None:
    """The maximum possible temporary increase; None for a client that may have none."""
    if most is None:
        return None
    amount = "by any amount" if most["amount"] is None else f"by {money(most['amount'])} at the most"
    return amount if most["days"] is None else f"{amount}, for {most['days']} days: until {most['valid_until']}"


def _lasts(runway: dict[str, Any] | None) -> str | None:
    """The estimate, called one; None where there is none."""
    if runway is None:
        return None
    days, hours = divmod(runway["zero_seconds"] // 3600, 24)
    return f"about {days} d {hours} h at the rate of recent charges (an estimate)"
