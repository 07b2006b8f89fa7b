"""The mail server and the SMS gateway of the demo: both channels delivered to them, end to end."""

import httpx
import pytest
from prometheus_client import CollectorRegistry

from notifiers.catcher import CaughtMail, CaughtSms, MailCatcher, SmsCatcher
from notifiers.config import MailOptions, SmsOptions
from notifiers.mail import CONSUMER as MAILER
from notifiers.mail import message_id
from notifiers.metrics import NotifierMetrics
from notifiers.sms import CONSUMER as SMS
from notifiers.sms import run_sms
from tests.fakes.notifications import notification
from tests.fakes.notifications_topic import MemoryNotificationLog
from tests.integration.notifying import FAST, mailing, running

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


async def test_mails_are_kept_to_a_bound_and_told_one_by_one() -> None:
    log = MemoryNotificationLog()
    told: list[CaughtMail] = []
    await log.append(*(notification(f"c-{number}", language="uk") for number in range(7)))
    async with MailCatcher(kept_max=3, on_mail=told.append) as catcher:
        options = MailOptions(port=catcher.port, sender="no-reply@acme.example", delivery=FAST)
        async with mailing(log, options):
            await log.recorded(MAILER, 7)
    assert (catcher.count, len(catcher.mails), len(told)) == (7, 3, 7)
    mail = next(mail for mail in told if "c-0" in mail.subject)
    assert mail.message_id == message_id("c-0/low_balance/client/1/1/email", "acme.example")
    assert (mail.sender, mail.to) == ("no-reply@acme.example", ("oksana@example.net",))
    assert mail.subject == "Баланс нижче 5.00 EUR: рахунок c-0"
    assert "Доступно: 4.99 EUR" in mail.text
    assert '<html lang="uk">' in mail.html


async def test_signed_webhooks_are_kept() -> None:
    log = MemoryNotificationLog()
    told: list[CaughtSms] = []
    await log.append(*(notification(f"c-{number}", channel="sms") for number in range(5)))
    async with SmsCatcher(SECRET, kept_max=2, on_sms=told.append) as catcher:
        options = SmsOptions(url=catcher.url, secret=SECRET, sender="Acme", delivery=FAST)
        async with running(lambda stop: run_sms(log, options, NotifierMetrics(CollectorRegistry()), stop)):
            await log.recorded(SMS, 5)
    assert (catcher.count, len(catcher.messages), len(told)) == (5, 2, 5)
    assert {(sms.sender, sms.to) for sms in told} == {("Acme", ("+380441234567",))}


@pytest.mark.parametrize(
    ("method", "headers", "body", "status"),
    [
        ("GET", {}, b"", 405),
        ("POST", {}, b"{}", 401),
        ("POST", {"webhook-id": "m", "webhook-timestamp": "1", "webhook-signature": "v1,x"}, b"{}", 401),
        ("POST", {}, b"x" * 70_000, 413),
    ],
)
async def test_anything_else_is_refused(method: str, headers: dict[str, str], body: bytes, status: int) -> None:
    async with SmsCatcher(SECRET) as catcher, httpx.AsyncClient(trust_env=False) as client:
        response = await client.request(method, catcher.url, headers=headers, content=body)
    assert response.status_code == status
    assert catcher.count == 0
