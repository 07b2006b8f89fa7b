"""``plimsoll run``: the whole product in one process."""

import asyncio

import click

from engine.cli.configured import config_option, configured
from engine.cli.options import json_option, speaker


@click.command(short_help="The whole product in one process.")
@config_option
@click.option("--data", metavar="DIR", help="Folder of log and state. Default: ./plimsoll-data.")
@click.option("--host", help="Address to listen on. Default: 127.0.0.1.")
@click.option("--port", type=int, help="Port to listen on; 0 takes a free one. Default: 8080.")
@click.option("--partitions", type=int, help="Units of order, fixed for the life of the data. Default: 12.")
@click.option(
    "--durability",
    type=click.Choice(["fsync", "os"]),
    help="When an event is answered: fsync (default) survives a power cut, os is faster and survives a kill.",
)
@click.option("--demo", is_flag=True, help="Add sample traffic, a mail catcher and an SMS gateway.")
@click.option("--no-mailer", is_flag=True, help="Send no mail here; `plimsoll mailer` can do it.")
@click.option("--no-sms", is_flag=True, help="Send no SMS here; `plimsoll sms` can do it.")
@json_option
def run(
    config_file: str | None,
    data: str | None,
    host: str | None,
    port: int | None,
    partitions: int | None,
    durability: str | None,
    demo: bool,
    no_mailer: bool,
    no_sms: bool,
    as_json: bool,
) -> None:
    """Runs the whole product: ingest over HTTP, the engine and its state, mailer, SMS, metrics.

    \b
    plimsoll run
    plimsoll run --demo --port 9000
    plimsoll run --config plimsoll.toml --data /var/lib/plimsoll
    """
    config = configured(
        config_file,
        ("--data", "engine.data", data),
        ("--host", "api.host", host),
        ("--port", "api.port", port),
        ("--partitions", "engine.partitions", partitions),
        ("--durability", "engine.durability", durability),
        ("--no-mailer", "run.mailer", False if no_mailer else None),
        ("--no-sms", "run.sms", False if no_sms else None),
    )
    from engine.embedded.product import run_product  # after the configuration: it takes a moment to load

    asyncio.run(run_product(config, demo=demo, tell=speaker(as_json)))
