"""``plimsoll control``: commands to running workers."""

import asyncio
from typing import Final, Literal

import click

from engine.cli.kafka_options import cluster_options, connecting, kafka_of
from engine.cli.options import json_option, show_json
from engine.cli.worker import parse_partitions
from engine.config import Config
from engine.failures import OperationalError, WrongUse

_LEVELS: Final = ("debug", "info", "warning", "error")


@click.command(short_help="Commands to running workers.")
@click.argument("command", type=click.Choice(["pause", "resume", "checkpoint", "log-level"]))
@click.argument("level", required=False, type=click.Choice(_LEVELS))
@cluster_options
@click.option("--partitions", metavar="LIST", help="Only these, as in 0-11 or 0,3,5-7. Default: all.")
@json_option
def control(
    config: Config,
    command: Literal["pause", "resume", "checkpoint", "log-level"],
    level: Literal["debug", "info", "warning", "error"] | None,
    partitions: str | None,
    as_json: bool,
) -> None:
    """Sends COMMAND to the workers that have the partitions, whichever they are.

    \b
    pause        reads nothing more until `resume`, or until the partition goes to another worker
    resume       goes on
    checkpoint   makes the local state durable now, so that a machine that is lost comes back with it
    log-level    what a worker logs from now on: debug, info, warning or error

    A command is acted on within 5 minutes or not at all. GET /v1/worker of each worker shows what became of it.

    \b
    plimsoll control pause --bootstrap 127.0.0.1:9092 --partitions 3
    plimsoll control resume --bootstrap 127.0.0.1:9092
    plimsoll control log-level info --bootstrap 127.0.0.1:9092
    """
    if (command == "log-level") != (level is not None):
        expected = f"one of {', '.join(_LEVELS)}" if command == "log-level" else "no level"
        raise WrongUse(f"control {command}: expected {expected}, found {level or 'none'}")
    numbers = None if partitions is None else parse_partitions(partitions)
    kafka = kafka_of(config)
    with connecting(kafka):
        from aiokafka import AIOKafkaProducer

        from engine.kafka.clients import open_admin, security, visible_topics
        from engine.kafka.shell.commands import Command, encode_command
        from engine.kafka.topics import CONTROL

        async def send() -> list[int]:
            topic = kafka.prefix + CONTROL
            admin = open_admin(kafka, "plimsoll-control")
            try:
                await admin.start()
                found = (await visible_topics(admin, [topic])).get(topic)
            finally:
                await admin.close()
            if found is None:
                raise OperationalError(f"expected the topic {topic}, found none: the first worker of a group makes it")
            count = len(found["partitions"])
            if numbers is not None and numbers[-1] >= count:
                raise WrongUse(f"--partitions: expected 0 to {count - 1}, found {numbers[-1]}")
            sent = list(range(count)) if numbers is None else numbers
            value = encode_command(Command(command, level))
            producer = AIOKafkaProducer(client_id="plimsoll-control", acks="all", **security(kafka))
            await producer.start()
            try:
                for number in sent:
                    await producer.send_and_wait(topic, value, partition=number)
            finally:
                await producer.stop()
            return sent

        sent = asyncio.run(send())
    if as_json:
        show_json({"command": command, "partitions": sent})
    else:
        click.echo(f"{command} sent to whoever has partition {','.join(map(str, sent))}")
