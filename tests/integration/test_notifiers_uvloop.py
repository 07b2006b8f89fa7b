"""Both channels on uvloop, the loop of the product: its transports and its TLS are not those of asyncio."""

from pathlib import Path

import pytest
import uvloop
from prometheus_client import CollectorRegistry

from notifiers.catcher import MailCatcher, SmsCatcher
from notifiers.config import MailOptions, SmsOptions
from notifiers.mail import CONSUMER as MAILER
from notifiers.metrics import NotifierMetrics
from notifiers.sms import CONSUMER as SMS
from notifiers.sms import run_sms
from tests.fakes.notifications import notification
from tests.fakes.notifications_topic import MemoryNotificationLog
from tests.fakes.smtp_peer import SmtpPeer
from tests.integration.certificates import Certificate
from tests.integration.notifying import FAST, down_retries, mail_to, mailing, running, until

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


def test_both_catchers_get_everything() -> None:
    async def scenario() -> tuple[int, int]:
        log = MemoryNotificationLog()
        for number in range(30):
            await log.append(notification(f"c-{number}"), notification(f"c-{number}", channel="sms"))
        async with MailCatcher() as mails, SmsCatcher(SECRET) as texts:
            sms = SmsOptions(url=texts.url, secret=SECRET, delivery=FAST)
            metrics = NotifierMetrics(CollectorRegistry())
            async with (
                mailing(log, MailOptions(port=mails.port, delivery=FAST)),
                running(lambda stop: run_sms(log, sms, metrics, stop)),
            ):
                await log.recorded(MAILER, 30)
                await log.recorded(SMS, 30)
            return mails.count, texts.count

    assert uvloop.run(scenario()) == (30, 30)


@pytest.mark.parametrize("implicit", [False, True])
def test_tls_and_auth(tmp_path: Path, implicit: bool) -> None:
    certificate = Certificate(tmp_path)

    async def scenario() -> int:
        log = MemoryNotificationLog()
        await log.append(notification())
        peer = SmtpPeer(password="p", tls=certificate.context(), implicit=implicit)
        await peer.start()
        options = MailOptions(
            port=peer.port,
            tls="implicit" if implicit else "starttls",
            ca_file=str(certificate.certificate),
            username="plimsoll",
            password="p",
            delivery=FAST,
        )
        async with mailing(log, options):
            await log.recorded(MAILER, 1)
        await peer.stop()
        return len(peer.mails)

    assert uvloop.run(scenario()) == 1


def test_a_server_down_then_up_loses_nothing() -> None:
    async def scenario() -> int:
        log = MemoryNotificationLog()
        registry = CollectorRegistry()
        peer = SmtpPeer()
        await peer.start()
        async with mailing(log, mail_to(peer), registry):
            await log.append(notification("c-1"))
            await log.recorded(MAILER, 1)
            await peer.stop()
            await log.append(*(notification(f"c-{number}") for number in range(2, 12)))
            await until(lambda: down_retries(registry) >= 3)
            await peer.start()
            await log.recorded(MAILER, 11)
        await peer.stop()
        return len(peer.mails)

    assert uvloop.run(scenario()) == 11
