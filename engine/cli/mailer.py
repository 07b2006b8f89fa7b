"""``plimsoll mailer``: sends the e-mail notifications of an engine that runs in another process."""

import asyncio

import click

from engine.cli.configured import config_option, configured
from engine.cli.notifying import run_notifier
from engine.cli.options import URL_DEFAULT, json_option, speaker
from engine.failures import WrongUse
from engine.log.ports import NotificationLog
from notifiers.metrics import NotifierMetrics


@click.command(short_help="Send the e-mail notifications of a running engine.")
@click.option("--engine", envvar="PLIMSOLL_URL", default=URL_DEFAULT, show_default=True, help="Where the engine runs.")
@click.option("--key", envvar="PLIMSOLL_KEY", help="Bearer key with scope operate. [env: PLIMSOLL_KEY]")
@config_option
@click.option("--metrics-port", type=click.IntRange(1, 65_535), help="Serve Prometheus metrics on this loopback port.")
@json_option
def mailer(engine: str, key: str | None, config_file: str | None, metrics_port: int | None, as_json: bool) -> None:
    """Sends the e-mail notifications of the engine at --engine, as [mail] of the configuration says.

    Start the engine with --no-mailer, so that only this process sends. Restarts repeat nothing that was recorded.

    \b
    plimsoll mailer --config plimsoll.toml
    plimsoll mailer --engine http://10.0.0.5:8080 --key $KEY --config plimsoll.toml
    """
    options = configured(config_file).mail
    if options is None:
        raise WrongUse("[mail] is not configured: say in --config FILE where e-mail goes")

    async def consume(log: NotificationLog, metrics: NotifierMetrics, stop: asyncio.Event) -> None:
        from notifiers.mail import run_mailer

        await run_mailer(log, options, metrics, stop)

    run_notifier(engine, key, metrics_port, consume, speaker(as_json, err=True))
