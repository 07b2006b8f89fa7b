"""Runs a consumer against a log in memory, with waits short enough for a test."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Final

from prometheus_client import CollectorRegistry

from notifiers.config import DeliveryOptions, MailOptions
from notifiers.mail import run_mailer
from notifiers.metrics import NotifierMetrics
from schemas.outputs import Delivery
from tests.fakes.notifications_topic import MemoryNotificationLog
from tests.fakes.smtp_peer import SmtpPeer

_SECONDS_MAX: Final = 120.0  # a loaded machine is slow
FAST = DeliveryOptions(
    backoff_first_seconds=0.01,
    backoff_max_seconds=0.05,
    down_first_seconds=0.01,
    down_max_seconds=0.05,
    positions_seconds=0.01,
    stop_seconds=5.0,
)


def mail_to(peer: SmtpPeer, delivery: DeliveryOptions = FAST) -> MailOptions:
    """Options for a peer without TLS."""
    return MailOptions(port=peer.port, tls="none", sender="no-reply@acme.example", delivery=delivery)


@asynccontextmanager
async def running(
    consumer: Callable[[asyncio.Event], Coroutine[None, None, None]],
) -> AsyncIterator[asyncio.Task[None]]:
    """The consumer as a task until the block ends; it must then stop."""
    stop = asyncio.Event()
    task = asyncio.create_task(consumer(stop))
    try:
        yield task
    finally:
        stop.set()
        async with asyncio.timeout(_SECONDS_MAX):
            await task


@asynccontextmanager
async def mailing(
    log: MemoryNotificationLog, options: MailOptions, registry: CollectorRegistry | None = None
) -> AsyncIterator[None]:
    """The mailer, for as long as the block lasts."""
    metrics = NotifierMetrics(registry or CollectorRegistry())
    async with running(lambda stop: run_mailer(log, options, metrics, stop)):
        yield


def outcomes(deliveries: list[Delivery]) -> dict[str, str]:
    """Outcome by notification."""
    return {delivery.notification: delivery.outcome for delivery in deliveries}


async def until(condition: Callable[[], bool]) -> None:
    """Returns once the condition holds; fails after two minutes. For what has no event, such as a metric."""
    async with asyncio.timeout(_SECONDS_MAX):
        for _ in iter(condition, True):
            await asyncio.sleep(0.005)


def down_retries(registry: CollectorRegistry) -> float:
    """How often the mailer found its server down."""
    labels = {"channel": "email", "failure": "down"}
    return registry.get_sample_value("plimsoll_delivery_retries_total", labels) or 0.0
