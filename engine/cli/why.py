"""``plimsoll why``: why a client was, or was not, notified."""

import click

from engine.cli.door import ask_client
from engine.cli.options import door_options, json_option, show_json


@click.command(short_help="Why a client was, or was not, notified.")
@click.argument("client")
@click.argument("rule", required=False)
@door_options
@json_option
def why(client: str, rule: str | None, url: str, key: str | None, as_json: bool) -> None:
    """Why CLIENT was, or was not, notified: for each RULE of its profile, or one of them.

    \b
    plimsoll why c-42
    plimsoll why c-42 client-5 --json
    """
    answer = ask_client(url, key, client, "/why", {} if rule is None else {"rule": rule})
    if as_json:
        show_json(answer)
        return
    currency = answer.get("currency")
    available = answer.get("available")
    click.echo(f"{answer.get('client')}: available {'unlimited' if available is None else f'{available} {currency}'}")
    if answer.get("asleep"):
        click.echo("asleep: its rules begin with its first money event")
    rules = answer.get("rules") or []
    if not rules:
        click.echo("it has no rules: no profile of its own, and none from its template")
    for found in rules:
        count = f"{found.get('count')} of {'any number' if found.get('max') is None else found.get('max')} sent"
        click.echo(f"\n{found.get('profile')} / {found.get('rule')}: {found.get('sentence')}")
        click.echo(
            f"  threshold {found.get('threshold')} {found.get('threshold_currency')}, episode {found.get('episode')}, "
            f"{count}, last sent {found.get('last_sent') or 'never'}, next {found.get('next_at') or 'none due'}"
        )
