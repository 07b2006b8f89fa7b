"""``plimsoll sms``: sends the SMS notifications of an engine that runs in another process."""

import asyncio

import click

from engine.cli.notifying import Notifier, notifier_options
from engine.failures import WrongUse
from engine.log.ports import NotificationLog
from notifiers.metrics import NotifierMetrics


@click.command(short_help="Send the SMS notifications of a running engine.")
@notifier_options
def sms(notifier: Notifier) -> None:
    """Sends the SMS notifications of the engine at --engine, or of a Kafka cluster where one is given or configured,
    as [sms] of the configuration says.

    Start an engine that is one process with --no-sms, so that only this one sends. Of those on Kafka the one that
    started last sends, and the others end. Restarts repeat nothing that was recorded.

    \b
    plimsoll sms --config plimsoll.toml
    plimsoll sms --engine http://10.0.0.5:8080 --key $KEY --config plimsoll.toml
    plimsoll sms --bootstrap kafka-1:9092,kafka-2:9092 --config plimsoll.toml
    """
    options = notifier.config.sms
    if options is None:
        raise WrongUse("[sms] is not configured: say in --config FILE where SMS goes")

    async def consume(log: NotificationLog, metrics: NotifierMetrics, stop: asyncio.Event) -> None:
        from notifiers.sms import run_sms

        await run_sms(log, options, metrics, stop)

    notifier.run(consume)
