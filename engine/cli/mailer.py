"""``plimsoll mailer``: sends the e-mail notifications of an engine that runs in another process."""

import asyncio

import click

from engine.cli.notifying import Notifier, notifier_options
from engine.failures import WrongUse
from engine.log.ports import NotificationLog
from notifiers.metrics import NotifierMetrics


@click.command(short_help="Send the e-mail notifications of a running engine.")
@notifier_options
def mailer(notifier: Notifier) -> None:
    """Sends the e-mail notifications of the engine at --engine, or of a Kafka cluster where one is given or configured,
    as [mail] of the configuration says.

    Start an engine that is one process with --no-mailer, so that only this one sends. Of those on Kafka the one that
    started last sends, and the others end. Restarts repeat nothing that was recorded.

    \b
    plimsoll mailer --config plimsoll.toml
    plimsoll mailer --engine http://10.0.0.5:8080 --key $KEY --config plimsoll.toml
    plimsoll mailer --bootstrap kafka-1:9092,kafka-2:9092 --config plimsoll.toml
    """
    options = notifier.config.mail
    if options is None:
        raise WrongUse("[mail] is not configured: say in --config FILE where e-mail goes")

    async def consume(log: NotificationLog, metrics: NotifierMetrics, stop: asyncio.Event) -> None:
        from notifiers.mail import run_mailer

        await run_mailer(log, options, metrics, stop)

    notifier.run(consume)
