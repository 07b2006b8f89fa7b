"""``plimsoll worker``: the engine over partitions of a Kafka cluster."""

import asyncio
from pathlib import Path
from typing import Final

import click

from engine.cli.kafka_options import cluster_options, connecting, kafka_of
from engine.cli.options import json_option, speaker
from engine.config import Config
from engine.failures import WrongUse

_PARTITIONS_MAX: Final = 1024


@click.command(short_help="The engine over partitions of a Kafka cluster.")
@cluster_options
@click.option("--partitions", required=True, metavar="LIST", help="Which, as in 0-11 or 0,3,5-7.")
@click.option("--data", default="./plimsoll-worker", show_default=True, metavar="DIR", help="Folder of local state.")
@click.option("--app", default="plimsoll", show_default=True, help="Name of this engine: the start of its fencing ids.")
@json_option
def worker(config: Config, partitions: str, data: str, app: str, as_json: bool) -> None:
    """Works on the given partitions of `events`, exactly once, until SIGTERM.

    Partitions are given by hand: the Faust shell with membership comes in a later change. A partition that is given
    to two workers is worked on by the one that started last; the other lets go of it. The local state can be deleted
    at any time while the worker is down: it is restored from the cluster.

    \b
    plimsoll worker --bootstrap 127.0.0.1:9092 --partitions 0-11
    plimsoll worker --bootstrap kafka-1:9092,kafka-2:9092 --partitions 0-5 --data /var/lib/plimsoll
    """
    numbers = parse_partitions(partitions)
    kafka = kafka_of(config)
    with connecting(kafka):
        from engine.kafka.task import TaskOptions
        from engine.kafka.worker import cluster_of, run_worker

        async def work() -> None:
            cluster, count = await cluster_of(kafka, kafka.prefix)
            options = TaskOptions(
                connection=kafka,
                cluster=cluster,
                app=kafka.prefix + app,
                prefix=kafka.prefix,
                partitions=count,
                data=Path(data),
            )
            await run_worker(options, numbers, speaker(as_json))

        asyncio.run(work())


def parse_partitions(given: str) -> list[int]:
    """Numbers and ranges with commas between. Raises WrongUse."""
    found: set[int] = set()
    for part in given.split(","):
        first, dash, last = part.strip().partition("-")
        last = last if dash else first
        if not first.isdecimal() or not last.isdecimal() or not int(first) <= int(last) < _PARTITIONS_MAX:
            raise WrongUse(f"--partitions: expected numbers and ranges as in 0,3,5-7, found {part!r}")
        found.update(range(int(first), int(last) + 1))
    return sorted(found)
