"""The mailer over TLS and with AUTH: what it insists on, and that a wrong option loses nothing."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Literal

import pytest
from prometheus_client import CollectorRegistry

from notifiers.config import MailOptions
from notifiers.mail import CONSUMER
from tests.fakes.notifications import notification
from tests.fakes.notifications_topic import MemoryNotificationLog
from tests.fakes.smtp_peer import SmtpPeer
from tests.integration.certificates import Certificate
from tests.integration.notifying import FAST, down_retries, mailing, until

PASSWORD = "correct horse"


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    """One for the module: making it takes a moment."""
    return Certificate(tmp_path_factory.mktemp("tls"))


@pytest.fixture
def log() -> MemoryNotificationLog:
    """A topic of two partitions with nothing in it."""
    return MemoryNotificationLog()


@asynccontextmanager
async def _started(peer: SmtpPeer) -> AsyncIterator[SmtpPeer]:
    await peer.start()
    try:
        yield peer
    finally:
        await peer.stop()


def _options(
    peer: SmtpPeer,
    tls: Literal["starttls", "implicit", "opportunistic", "none"],
    *,
    ca: Path | None = None,
    password: str | None = None,
) -> MailOptions:
    return MailOptions(
        port=peer.port,
        tls=tls,
        ca_file=None if ca is None else str(ca),
        username=None if password is None else "plimsoll",
        password=password,
        delivery=FAST,
    )


@pytest.mark.parametrize("tls", ["starttls", "implicit"])
async def test_mail_goes_over_tls_with_auth(
    log: MemoryNotificationLog, certificate: Certificate, tls: Literal["starttls", "implicit"]
) -> None:
    await log.append(notification())
    peer = SmtpPeer(password=PASSWORD, tls=certificate.context(), implicit=tls == "implicit")
    async with _started(peer), mailing(log, _options(peer, tls, ca=certificate.certificate, password=PASSWORD)):
        [delivery] = await log.recorded(CONSUMER, 1)
    assert delivery.outcome == "sent"
    assert len(peer.mails) == 1


async def test_opportunistic_uses_starttls_where_it_is_offered_whatever_the_certificate(
    log: MemoryNotificationLog, certificate: Certificate
) -> None:
    await log.append(notification())
    async with _started(SmtpPeer(tls=certificate.context())) as peer, mailing(log, _options(peer, "opportunistic")):
        await log.recorded(CONSUMER, 1)
    assert len(peer.mails) == 1, "the peer takes no mail without STARTTLS"


async def test_opportunistic_goes_without_where_it_is_not_offered(log: MemoryNotificationLog) -> None:
    await log.append(notification())
    async with _started(SmtpPeer()) as peer, mailing(log, _options(peer, "opportunistic")):
        await log.recorded(CONSUMER, 1)
    assert len(peer.mails) == 1


async def test_a_certificate_nobody_vouches_for_sends_nothing_and_loses_nothing(
    log: MemoryNotificationLog, certificate: Certificate
) -> None:
    registry = CollectorRegistry()
    await log.append(notification())
    async with _started(SmtpPeer(tls=certificate.context())) as peer:
        async with mailing(log, _options(peer, "starttls"), registry):
            await until(lambda: down_retries(registry) >= 3)
        assert (peer.mails, log.deliveries) == ([], {})
        async with mailing(log, _options(peer, "starttls", ca=certificate.certificate)):
            await log.recorded(CONSUMER, 1)
    assert len(peer.mails) == 1


async def test_starttls_is_never_given_up_for_a_server_that_does_not_offer_it(log: MemoryNotificationLog) -> None:
    registry = CollectorRegistry()
    await log.append(notification())
    async with _started(SmtpPeer()) as peer, mailing(log, _options(peer, "starttls"), registry):
        await until(lambda: down_retries(registry) >= 3)
    assert (peer.mails, log.deliveries) == ([], {})


async def test_a_wrong_password_loses_nothing(log: MemoryNotificationLog, certificate: Certificate) -> None:
    registry = CollectorRegistry()
    await log.append(*(notification(f"c-{number}") for number in range(20)))
    peer = SmtpPeer(password=PASSWORD, tls=certificate.context())
    async with _started(peer):
        async with mailing(log, _options(peer, "starttls", ca=certificate.certificate, password="wrong"), registry):
            await until(lambda: down_retries(registry) >= 10)
        assert (peer.mails, log.deliveries) == ([], {})
        async with mailing(log, _options(peer, "starttls", ca=certificate.certificate, password=PASSWORD)):
            await log.recorded(CONSUMER, 20)
    assert len(peer.mails) == 20
