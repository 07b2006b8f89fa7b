"""``plimsoll move``: a whole history to another place."""

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, contextmanager, suppress
from pathlib import Path
from typing import IO, Final

import click
import msgspec
from rich.console import Console

from engine.cli.histories import Delivered, file_history, folder_history
from engine.cli.kafka_options import cluster_options, connecting, kafka_of
from engine.cli.options import app_option, json_option
from engine.cli.sending import show_totals
from engine.config import Config, KafkaOptions
from engine.connection import check_bootstrap
from engine.failures import OperationalError, WrongUse
from engine.moving import History, Steps, exported
from schemas.topics import PARTITIONS_DEFAULT

_CLUSTER: Final = "kafka"
_TOLD_EVERY: Final = 10_000

Source = AbstractAsyncContextManager[tuple[History, AsyncIterator[Delivered]]]


@click.command(short_help="Move a history: to Kafka, to another partition count, to a file.")
@click.argument("source")
@cluster_options
@click.option("--from-prefix", default="", help="SOURCE kafka: what the names of its topics start with.")
@click.option("--from-bootstrap", metavar="HOST:PORT", help="SOURCE kafka: another cluster. Default: --bootstrap.")
@click.option(
    "--partitions",
    type=click.IntRange(1, 1024),
    default=PARTITIONS_DEFAULT,
    show_default=True,
    help="Of the new topics: units of order, state and scaling, fixed for life.",
)
@click.option("--replication", type=click.IntRange(1, 32), help="Copies of each partition. Default: the cluster's.")
@click.option("--restart", is_flag=True, help="Delete what a move that did not finish has written, and begin anew.")
@click.option("--settle", is_flag=True, help="Count every notification of the history as delivered. A file: always.")
@click.option("--output", metavar="FILE", help="Write the history to this file, as events for `replay`.")
@app_option
@json_option
def move(
    source: str,
    config: Config,
    from_prefix: str,
    from_bootstrap: str | None,
    partitions: int,
    replication: int | None,
    restart: bool,
    settle: bool,
    output: str | None,
    app: str | None,
    as_json: bool,
) -> None:
    """Moves the history of SOURCE into topics that it makes: every event with its log time, in its order.

    SOURCE is the data folder of a stopped product, a file of events as for replay ("-": standard input), or kafka, a
    cluster to which nothing is sent and whose workers are stopped. Workers that start on the new topics rebuild state
    and outputs from the history; notifications keep their ids. What was delivered within 30 days is not sent again, nor
    is anything older. A move that was killed says so when it is run again, and --restart begins anew. SOURCE is never
    changed.

    \b
    plimsoll move ./plimsoll-data --bootstrap kafka-1:9092 --partitions 12
    plimsoll move kafka --bootstrap kafka-1:9092 --from-prefix a- --prefix b- --partitions 64
    plimsoll move backup.ndjson --bootstrap kafka-1:9092
    plimsoll move kafka --bootstrap kafka-1:9092 --output backup.ndjson
    """
    if source == _CLUSTER:
        kafka = kafka_of(config)
        bootstrap = kafka.bootstrap if from_bootstrap is None else _address(from_bootstrap)
        origin = msgspec.structs.replace(kafka, bootstrap=bootstrap, prefix=from_prefix)
        if output is None and (origin.bootstrap, origin.prefix) == (kafka.bootstrap, kafka.prefix):
            raise WrongUse("expected two places, found one: say --from-prefix, --from-bootstrap or --output")
        with connecting(origin):
            _move(_cluster(origin), config, app, partitions, replication, restart, settle, output, as_json)
    elif os.path.isdir(source):
        _move(folder_history(Path(source)), config, app, partitions, replication, restart, settle, output, as_json)
    else:
        _move(file_history(source), config, app, partitions, replication, restart, True, output, as_json)


def _address(given: str) -> str:
    try:
        check_bootstrap(given, "--from-bootstrap")
    except ValueError as error:
        raise WrongUse(str(error)) from None
    return given


def _cluster(origin: KafkaOptions) -> Source:
    from engine.kafka.histories import cluster_history

    return cluster_history(origin, origin.prefix)


def _move(
    source: Source,
    config: Config,
    app: str | None,
    partitions: int,
    replication: int | None,
    restart: bool,
    settle: bool,
    output: str | None,
    as_json: bool,
) -> None:
    with _progress() as told:
        if output is not None:
            show_totals({"written": _export(source, output, told)}, as_json)
            return
        kafka = kafka_of(config)
        with connecting(kafka):
            from engine.kafka.moving import MoveOptions, Totals
            from engine.kafka.moving import move as moved

            options = MoveOptions(
                connection=kafka,
                app=kafka.app_id(app),
                prefix=kafka.prefix,
                partitions=partitions,
                replication=replication,
                settle=settle,
                restart=restart,
            )

            async def work() -> Totals:
                async with source as (history, delivered):
                    return await moved(history, delivered, options, lambda totals: told(totals.events))

            totals = asyncio.run(work())
    show_totals(msgspec.structs.asdict(totals), as_json)


def _export(source: Source, output: str, told: Callable[[int], None]) -> int:
    """Into a file beside it first: what has the name is whole."""
    beside = Path(output + ".part")
    try:
        with beside.open("wb") as file:
            written = asyncio.run(_written(source, file, told))
            file.flush()
            os.fsync(file.fileno())
        beside.replace(output)
    except OSError as error:
        raise OperationalError(f"{output}: cannot be written: {error.strerror}") from None
    finally:
        with suppress(OSError):
            beside.unlink()
    return written


async def _written(source: Source, file: IO[bytes], told: Callable[[int], None]) -> int:
    count = 0
    async with source as (history, _):
        async for step in Steps(history).read():
            line = exported(step)
            if line is not None:
                file.write(line + b"\n")
                count += 1
                if count % _TOLD_EVERY == 0:
                    told(count)
    return count


@contextmanager
def _progress() -> Iterator[Callable[[int], None]]:
    """Tells how many events there were so far, where there is a terminal."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield lambda _: None
        return
    with console.status("moving") as status:
        yield lambda events: status.update(f"{events:,} events moved")
