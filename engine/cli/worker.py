"""``plimsoll worker``: the engine over partitions of a Kafka cluster."""

import asyncio
import logging
from collections.abc import Coroutine
from pathlib import Path
from typing import Any, Final

import click
import msgspec

from engine.cli.kafka_options import cluster_flags, configured_cluster, connecting, kafka_of
from engine.cli.options import json_option, speaker
from engine.config import WorkerOptions
from engine.failures import WrongUse
from projections.api import ApiOptions, listen

_PARTITIONS_MAX: Final = 1024
_ANY_HOSTS: Final = frozenset({"0.0.0.0", "::", ""})  # noqa: S104  # to be refused, not listened on
NOT_OF_TASKS: Final = frozenset({"instance", "advertise", "standbys", "session_seconds", "history_records_max"})
"""Settings of a worker that say how it is known to the group, and what it tells readers."""


@click.command(short_help="The engine over partitions of a Kafka cluster.")
@cluster_flags
@click.option("--data", metavar="DIR", help="Folder of local state. Default: worker.data, ./plimsoll-worker.")
@click.option("--app", help="Name of the group, and the start of fencing ids. Default: kafka.app, plimsoll.")
@click.option("--instance", metavar="NAME", help="Keep this worker's place in the group while it restarts.")
@click.option(
    "--standbys", type=int, help="Copies of each partition's state on other workers. Default: worker.standbys, 1."
)
@click.option(
    "--session-seconds",
    type=float,
    help="A worker silent for so long is taken for dead. Default: worker.session_seconds, 10.",
)
@click.option("--host", help="Address to answer readers on. Default: api.host.")
@click.option("--port", type=int, help="Port of it; 0 takes a free one. Default: api.port.")
@click.option("--advertise", metavar="URL", help="Where other workers reach this one. Default: host and port.")
@click.option(
    "--partitions",
    metavar="LIST",
    help="Work on these and join no group, as in 0-11; readers only where --port is given.",
)
@json_option
def worker(
    config_file: str | None,
    bootstrap: str | None,
    prefix: str | None,
    data: str | None,
    app: str | None,
    instance: str | None,
    standbys: int | None,
    session_seconds: float | None,
    host: str | None,
    port: int | None,
    advertise: str | None,
    partitions: str | None,
    as_json: bool,
) -> None:
    """Works on partitions of `events`, exactly once, until SIGTERM; then hands them over.

    Workers of one --app share the partitions: start as many as you like, on as many machines. Each answers readers for
    all clients, and asks the worker that has the client. With --instance a worker takes its own place again when it is
    started within --session-seconds, and the others go on meanwhile; without it, they share out anew. A partition that
    is given to two workers by --partitions is worked on by the one that started last. The local state can be deleted at
    any time while the worker is down: it is restored from the cluster.

    \b
    plimsoll worker --bootstrap 127.0.0.1:9092
    plimsoll worker --bootstrap kafka-1:9092,kafka-2:9092 --data /var/lib/plimsoll --instance worker-1 --port 8080
    plimsoll worker --bootstrap 127.0.0.1:9092 --partitions 0-11
    """
    numbers = None if partitions is None else parse_partitions(partitions)
    config = configured_cluster(
        config_file,
        bootstrap,
        prefix,
        ("--app", "kafka.app", app),
        ("--data", "worker.data", data),
        ("--instance", "worker.instance", instance),
        ("--standbys", "worker.standbys", standbys),
        ("--session-seconds", "worker.session_seconds", session_seconds),
        ("--advertise", "worker.advertise", advertise),
    )
    kafka, own = kafka_of(config), config.worker
    api = msgspec.structs.replace(
        config.api, **{name: value for name, value in (("host", host), ("port", port)) if value is not None}
    )
    if numbers is None:
        _check_address(api, own)
    tell = speaker(as_json)
    with connecting(kafka):
        from engine.kafka.shell.given import GivenPartitions
        from engine.kafka.shell.hooks import Hooks
        from engine.kafka.shell.topics import make_shell_topics
        from engine.kafka.shell.worker import Belonging, Worker
        from engine.kafka.task import TaskOptions
        from engine.kafka.worker import cluster_of

        async def work() -> None:
            cluster, count = await cluster_of(kafka, kafka.prefix)
            if numbers is not None and numbers[-1] >= count:
                raise WrongUse(f"--partitions: expected 0 to {count - 1}, found {numbers[-1]}")
            options = TaskOptions(
                connection=kafka,
                cluster=cluster,
                app=kafka.app_id(),
                prefix=kafka.prefix,
                partitions=count,
                **task_settings(own),
            )
            # Without a group several workers may well be on one machine: the port has to be asked for.
            bound = listen(api) if numbers is None or port is not None else None
            url = "" if bound is None else own.advertise or _url(api, bound.getsockname()[1])
            if bound is not None:
                tell(f"answers readers at {url}")
            if numbers is None:
                await make_shell_topics(kafka, kafka.prefix, options.app, count)

            def join(hooks: Hooks) -> Belonging:
                if numbers is not None:
                    return GivenPartitions(numbers, url, hooks)
                from engine.kafka.shell.membership import MemberOptions, Membership  # after the choice: it loads Faust

                return Membership(
                    MemberOptions(
                        connection=kafka,
                        app=options.app,
                        prefix=kafka.prefix,
                        url=url,
                        data=options.data,
                        instance=own.instance,
                        standbys=own.standbys,
                        session_seconds=own.session_seconds,
                    ),
                    hooks,
                )

            logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
            await Worker(
                options,
                join,
                api,
                bound,
                tell,
                history_records_max=own.history_records_max,
                ends_fenced=numbers is not None,
            ).run()

        _run(work())


def _run(work: Coroutine[Any, Any, None]) -> None:  # Any: as a coroutine is annotated
    """A worker is all small requests to brokers: on uvloop, which Windows has not, they cost it a tenth less."""
    try:
        import uvloop
    except ImportError:
        asyncio.run(work)
    else:
        uvloop.run(work)


def task_settings(own: WorkerOptions) -> dict[str, Any]:  # Any: arguments of TaskOptions, by name
    """What of a worker's settings its tasks need."""
    names = sorted({*own.__struct_fields__} - NOT_OF_TASKS - {"data"})
    return {name: getattr(own, name) for name in names} | {"data": Path(own.data)}


def _check_address(api: ApiOptions, own: WorkerOptions) -> None:
    if own.advertise is None and api.host in _ANY_HOSTS:
        raise WrongUse(
            f"--advertise: expected the URL that other workers reach this one at, because it listens on {api.host}"
        )
    if own.advertise is not None and not own.advertise.startswith(("http://", "https://")):
        raise WrongUse(f"--advertise: expected http://HOST:PORT or https://HOST:PORT, found {own.advertise!r}")
    if own.instance is not None and api.port == 0 and own.advertise is None:
        raise WrongUse(
            "--instance: expected a --port that stays the same, because the group keeps the address; found 0"
        )


def _url(api: ApiOptions, port: int) -> str:
    host = f"[{api.host}]" if ":" in api.host else api.host
    return f"{'http' if api.tls_key is None else 'https'}://{host}:{port}"


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
