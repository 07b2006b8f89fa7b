"""``plimsoll worker``: the engine over partitions of a Kafka cluster."""

import asyncio
import logging
import re
from pathlib import Path
from typing import Final

import click
import msgspec

from engine.cli.kafka_options import cluster_options, connecting, kafka_of
from engine.cli.options import json_option, speaker
from engine.config import Config
from engine.failures import WrongUse
from projections.api import ApiOptions, listen

_PARTITIONS_MAX: Final = 1024
_ANY_HOSTS: Final = frozenset({"0.0.0.0", "::", ""})  # noqa: S104  # to be refused, not listened on
_INSTANCE: Final = re.compile(r"[A-Za-z0-9._-]{1,128}").fullmatch
_STANDBYS_MAX: Final = 3
_SESSION_SECONDS_MIN: Final = 6.0  # what brokers allow by default
_SESSION_SECONDS_MAX: Final = 60.0


@click.command(short_help="The engine over partitions of a Kafka cluster.")
@cluster_options
@click.option("--data", default="./plimsoll-worker", show_default=True, metavar="DIR", help="Folder of local state.")
@click.option("--app", default="plimsoll", show_default=True, help="Name of the group, and the start of fencing ids.")
@click.option("--instance", metavar="NAME", help="Keep this worker's place in the group while it restarts.")
@click.option("--standbys", default=1, show_default=True, help="Copies of each partition's state on other workers.")
@click.option(
    "--session-seconds", default=10.0, show_default=True, help="A worker silent for so long is taken for dead."
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
    config: Config,
    data: str,
    app: str,
    instance: str | None,
    standbys: int,
    session_seconds: float,
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
    kafka = kafka_of(config)
    if not _SESSION_SECONDS_MIN <= session_seconds <= _SESSION_SECONDS_MAX:
        expected = f"{_SESSION_SECONDS_MIN:g} to {_SESSION_SECONDS_MAX:g}"
        raise WrongUse(f"--session-seconds: expected {expected}, found {session_seconds:g}")
    if not 0 <= standbys <= _STANDBYS_MAX:
        raise WrongUse(f"--standbys: expected 0 to {_STANDBYS_MAX}, found {standbys}")
    api = msgspec.structs.replace(
        config.api, **{name: value for name, value in (("host", host), ("port", port)) if value is not None}
    )
    if numbers is None:
        _check_address(api, advertise, instance)
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
                app=kafka.prefix + app,
                prefix=kafka.prefix,
                partitions=count,
                data=Path(data),
            )
            # Without a group several workers may well be on one machine: the port has to be asked for.
            bound = listen(api) if numbers is None or port is not None else None
            url = "" if bound is None else advertise or _url(api, bound.getsockname()[1])
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
                        data=Path(data),
                        instance=instance,
                        standbys=standbys,
                        session_seconds=session_seconds,
                    ),
                    hooks,
                )

            logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
            await Worker(options, join, api, bound, tell, ends_fenced=numbers is not None).run()

        asyncio.run(work())


def _check_address(api: ApiOptions, advertise: str | None, instance: str | None) -> None:
    if advertise is None and api.host in _ANY_HOSTS:
        raise WrongUse(
            f"--advertise: expected the URL that other workers reach this one at, because it listens on {api.host}"
        )
    if advertise is not None and not advertise.startswith(("http://", "https://")):
        raise WrongUse(f"--advertise: expected http://HOST:PORT or https://HOST:PORT, found {advertise!r}")
    if instance is not None and api.port == 0 and advertise is None:
        raise WrongUse(
            "--instance: expected a --port that stays the same, because the group keeps the address; found 0"
        )
    if instance is not None and not _INSTANCE(instance):
        raise WrongUse("--instance: expected 1 to 128 of A-Z a-z 0-9 . _ -, found another")


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
