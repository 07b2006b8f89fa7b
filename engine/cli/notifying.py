"""What `mailer` and `sms` share: a notifier process beside an engine that runs elsewhere."""

import asyncio
import contextlib
import functools
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AbstractAsyncContextManager
from typing import Any, Final

import click
import msgspec
from prometheus_client import CollectorRegistry, start_http_server

from engine.cli.kafka_options import cluster_options, connecting, kafka_unless
from engine.cli.options import URL_DEFAULT, json_option, speaker
from engine.config import Config, KafkaOptions
from engine.failures import OperationalError, WrongUse
from engine.log.http import HttpNotificationLog
from engine.log.ports import NotificationLog, Unavailable
from notifiers.config import OptionsError
from notifiers.metrics import NotifierMetrics
from notifiers.render import TemplateError

_WAIT_FIRST_SECONDS: Final = 0.5
_WAIT_MAX_SECONDS: Final = 15.0

Consume = Callable[[NotificationLog, NotifierMetrics, asyncio.Event], Awaitable[None]]


class Notifier(msgspec.Struct, frozen=True):
    """A notifier as its options describe it. ``kafka`` None: the engine is asked over HTTP."""

    config: Config
    engine: str
    key: str | None
    kafka: KafkaOptions | None
    metrics_host: str
    metrics_port: int | None
    tell: Callable[[str], None]

    def run(self, consume: Consume) -> None:
        """Consumes the notifications until SIGTERM or SIGINT; waits for engine or cluster where it is not up."""
        with contextlib.nullcontext() if self.kafka is None else connecting(self.kafka):
            asyncio.run(_run(self, consume))

    @property
    def place(self) -> str:
        """Where the notifications are, in words."""
        return self.engine if self.kafka is None else f"the Kafka cluster at {self.kafka.bootstrap}"

    async def open(self) -> AbstractAsyncContextManager[NotificationLog]:
        """The log. Raises Unavailable where it may be there later."""
        if self.kafka is None:
            return await HttpNotificationLog.open(self.engine, self.key)
        from engine.kafka.notification_log import KafkaNotificationLog

        return await KafkaNotificationLog.open(self.kafka, self.kafka.prefix)


def notifier_options(command: Callable[[Notifier], None]) -> Callable[..., Any]:
    """The options of a notifier; the command is called with what they come to."""

    @functools.wraps(command)
    def with_notifier(
        *,
        config: Config,
        engine: str,
        key: str | None,
        metrics_host: str | None,
        metrics_port: int | None,
        as_json: bool,
    ) -> None:
        port = config.metrics.port if metrics_port is None else metrics_port
        if metrics_host is not None and port is None:
            raise WrongUse("--metrics-host: expected --metrics-port with it, found none")
        tell = speaker(as_json, err=True)
        host = metrics_host or config.metrics.host
        command(Notifier(config, engine, key, kafka_unless(config, "engine"), host, port, tell))

    options: list[Callable[[Callable[..., Any]], Callable[..., Any]]] = [
        click.option(
            "--engine",
            envvar="PLIMSOLL_URL",
            default=URL_DEFAULT,
            show_default=True,
            help="Where the engine runs, unless on Kafka. [env: PLIMSOLL_URL]",
        ),
        click.option("--key", envvar="PLIMSOLL_KEY", help="Bearer key with scope operate. [env: PLIMSOLL_KEY]"),
        cluster_options,
        click.option(
            "--metrics-port",
            type=click.IntRange(1, 65_535),
            help="Serve Prometheus metrics on this port, to whoever asks. Default: metrics.port, which is none.",
        ),
        click.option(
            "--metrics-host",
            metavar="ADDRESS",
            help="Address to serve them on. Default: metrics.host, which is this machine's own.",
        ),
        json_option,
    ]
    found: Callable[..., Any] = with_notifier
    for option in reversed(options):
        found = option(found)
    return found


async def _run(notifier: Notifier, consume: Consume) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    registry = CollectorRegistry()
    metrics = NotifierMetrics(registry)
    with _served(registry, notifier.metrics_host, notifier.metrics_port):
        async with _opened(notifier, stop) as log:
            if log is None:
                return
            notifier.tell(f"reading the notifications of {notifier.place}; Ctrl-C ends")
            try:
                await consume(log, metrics, stop)
            except (OptionsError, TemplateError) as error:  # found before anything is read
                raise WrongUse(str(error)) from error


@contextlib.asynccontextmanager
async def _opened(notifier: Notifier, stop: asyncio.Event) -> AsyncIterator[NotificationLog | None]:
    """The log, once it can be reached; None where the process is to end before that."""
    wait = _WAIT_FIRST_SECONDS
    while not stop.is_set():
        try:
            opened = await notifier.open()
        except Unavailable as error:
            notifier.tell(f"{error}; trying again")
        else:
            async with opened as log:
                yield log
            return
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), wait)
        wait = min(2 * wait, _WAIT_MAX_SECONDS)
    yield None


@contextlib.contextmanager
def _served(registry: CollectorRegistry, host: str, port: int | None) -> Iterator[None]:
    """The metrics on a port while the process runs."""
    if port is None:
        yield
        return
    try:
        server, thread = start_http_server(port, host, registry)
    except OSError as error:
        raise OperationalError(f"the metrics cannot listen on {host}, port {port}: {error.strerror}") from None
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
