"""Options of the commands that speak to a Kafka cluster, and what its failures are told as."""

import asyncio
import functools
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import click
from click.core import ParameterSource

from engine.cli.configured import config_option, configured
from engine.config import Config, KafkaOptions
from engine.connection import Connection, check_bootstrap
from engine.failures import OperationalError, WrongUse

F = TypeVar("F", bound=Callable[..., Any])  # Any: click passes options by name


def _addresses(_: click.Context, __: click.Parameter, given: str | None) -> str | None:
    if given is not None:
        try:
            check_bootstrap(given, "--bootstrap")
        except ValueError as error:
            raise WrongUse(str(error)) from None
    return given


def cluster_flags(command: F) -> Callable[..., Any]:
    """``--config``, ``--bootstrap`` and ``--prefix`` as they were given; `configured_cluster` reads them."""
    prefix = click.option(
        "--prefix", help="What the topics' names start with. Default: kafka.prefix, which is nothing."
    )
    bootstrap = click.option(
        "--bootstrap",
        callback=_addresses,
        metavar="HOST:PORT[,...]",
        help="Brokers to begin with. Default: kafka.bootstrap. [env: PLIMSOLL_KAFKA_BOOTSTRAP]",
    )
    return config_option(bootstrap(prefix(command)))


def configured_cluster(
    config_file: str | None, bootstrap: str | None, prefix: str | None, *flags: tuple[str, str, object]
) -> Config:
    """The configuration with these flags, and others as `configured` takes them, over it."""
    given = (("--bootstrap", "kafka.bootstrap", bootstrap), ("--prefix", "kafka.prefix", prefix))
    return configured(config_file, *given, *flags)


def cluster_options(command: F) -> Callable[..., Any]:
    """``--config``, ``--bootstrap`` and ``--prefix``; the command is called with ``config``, these flags in it.

    TLS and SASL are set in [kafka] of the file or in the environment: a command line is seen by everybody.
    """

    @functools.wraps(command)
    def with_config(
        *, config_file: str | None, bootstrap: str | None, prefix: str | None, **given: Any
    ) -> Any:  # Any: whatever the command has besides
        return command(config=configured_cluster(config_file, bootstrap, prefix), **given)

    return cluster_flags(with_config)


def kafka_of(config: Config) -> KafkaOptions:
    """The cluster of a configuration. Raises WrongUse where it has none."""
    if config.kafka is None:
        raise WrongUse("expected a Kafka cluster, found none: say --bootstrap HOST:PORT, or [kafka] in --config FILE")
    return config.kafka


def kafka_unless(config: Config, option: str) -> KafkaOptions | None:
    """The cluster of a configuration; None where there is none, or where the option (of another place) was given.

    Raises WrongUse where both were asked for.
    """
    source = click.get_current_context().get_parameter_source
    asked = [name for name in (option, "bootstrap") if source(name) is ParameterSource.COMMANDLINE]
    if len(asked) == 2:
        raise WrongUse(f"expected --{option} or --bootstrap, found both")
    return None if option in asked else config.kafka


@contextmanager
def connecting(connection: Connection) -> Iterator[None]:
    """Turns a missing extra, a cluster that does not answer and one that refuses us into sentences."""
    try:
        from aiokafka.errors import KafkaConnectionError, KafkaError
    except ModuleNotFoundError:
        raise WrongUse("expected the kafka extra, found none: pip install 'plimsoll[kafka]'") from None
    # Where no logging is set up Python would write the library's own lines to stderr, beside our sentence.
    logging.getLogger("aiokafka").addHandler(logging.NullHandler())

    def told_elsewhere(record: logging.LogRecord) -> bool:
        """aiokafka leaves futures of its own unread where a transaction fails; the failure itself is raised."""
        return not record.exc_info or not isinstance(record.exc_info[1], KafkaError)  # asyncio gives False for none

    logging.getLogger("asyncio").addFilter(told_elsewhere)
    try:
        yield
    except KafkaError as error:
        from engine.kafka.refusals import why_denied, why_unreachable

        where = f"the Kafka cluster at {connection.bootstrap}"
        denied = why_denied(error, connection)
        if denied is not None:
            raise OperationalError(denied) from error
        if isinstance(error, KafkaConnectionError):
            reason = asyncio.run(why_unreachable(connection))
            if reason is not None:
                raise OperationalError(f"{where} could not be reached: {reason.text}") from error
        raise OperationalError(f"{where} did not do what was asked: {str(error) or type(error).__name__}") from error
