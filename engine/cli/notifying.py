"""What `mailer` and `sms` share: a notifier process beside an engine that runs elsewhere."""

import asyncio
import contextlib
import signal
from collections.abc import Awaitable, Callable, Iterator
from typing import Final

from prometheus_client import CollectorRegistry, start_http_server

from engine.failures import OperationalError, WrongUse
from engine.log.http import HttpNotificationLog
from engine.log.ports import NotificationLog, Unavailable
from notifiers.config import OptionsError
from notifiers.metrics import NotifierMetrics
from notifiers.render import TemplateError

_WAIT_FIRST_SECONDS: Final = 0.5
_WAIT_MAX_SECONDS: Final = 15.0

Consume = Callable[[NotificationLog, NotifierMetrics, asyncio.Event], Awaitable[None]]


def run_notifier(
    engine: str, key: str | None, metrics_port: int | None, consume: Consume, tell: Callable[[str], None]
) -> None:
    """Consumes the notifications of the engine at a URL until SIGTERM or SIGINT; waits for it where it is not up."""
    asyncio.run(_run(engine, key, metrics_port, consume, tell))


async def _run(
    engine: str, key: str | None, metrics_port: int | None, consume: Consume, tell: Callable[[str], None]
) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    registry = CollectorRegistry()
    metrics = NotifierMetrics(registry)
    with _served(registry, metrics_port):
        log = await _opened(engine, key, stop, tell)
        if log is None:
            return
        async with log:
            tell(f"reading the notifications of {engine}; Ctrl-C ends")
            try:
                await consume(log, metrics, stop)
            except (OptionsError, TemplateError) as error:  # found before anything is read
                raise WrongUse(str(error)) from error


async def _opened(
    engine: str, key: str | None, stop: asyncio.Event, tell: Callable[[str], None]
) -> HttpNotificationLog | None:
    """The log, once the engine answers; None where the process is to end before that."""
    wait = _WAIT_FIRST_SECONDS
    while not stop.is_set():
        try:
            return await HttpNotificationLog.open(engine, key)
        except Unavailable as error:
            tell(f"{error}; trying again")
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), wait)
        wait = min(2 * wait, _WAIT_MAX_SECONDS)
    return None


@contextlib.contextmanager
def _served(registry: CollectorRegistry, port: int | None) -> Iterator[None]:
    """The metrics on a loopback port while the process runs."""
    if port is None:
        yield
        return
    try:
        server, thread = start_http_server(port, "127.0.0.1", registry)
    except OSError as error:
        raise OperationalError(f"--metrics-port {port}: cannot listen there: {error.strerror}") from None
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
