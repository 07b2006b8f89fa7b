"""Options of the commands that speak to a Kafka cluster, and what its failures are told as."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import click

from engine.failures import OperationalError, WrongUse

F = TypeVar("F", bound=Callable[..., Any])  # Any: click passes options by name


def _addresses(_: click.Context, __: click.Parameter, given: str) -> str:
    for address in given.split(","):
        host, _colon, port = address.strip().rpartition(":")
        if not host or not port.isdecimal() or not 0 < int(port) < 65_536:
            raise WrongUse(f"--bootstrap: expected HOST:PORT, with commas between several, found {address!r}")
    return given


def bootstrap_option(command: F) -> F:
    """``--bootstrap`` of a cluster."""
    return click.option(
        "--bootstrap",
        envvar="PLIMSOLL_KAFKA_BOOTSTRAP",
        required=True,
        callback=_addresses,
        metavar="HOST:PORT[,...]",
        help="Brokers to begin with. [env: PLIMSOLL_KAFKA_BOOTSTRAP]",
    )(command)


def prefix_option(command: F) -> F:
    """``--prefix`` of the topics' names."""
    return click.option("--prefix", default="", help="What the topics' names start with. Default: nothing.")(command)


@contextmanager
def connecting(bootstrap: str) -> Iterator[None]:
    """Turns a missing extra and a cluster that does not answer into sentences."""
    try:
        from aiokafka.errors import KafkaError
    except ModuleNotFoundError:
        raise WrongUse("expected the kafka extra, found none: pip install 'plimsoll[kafka]'") from None
    try:
        yield
    except KafkaError as error:
        detail = str(error) or type(error).__name__
        raise OperationalError(f"the Kafka cluster at {bootstrap} did not do what was asked: {detail}") from error
