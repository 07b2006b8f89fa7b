"""What the notifiers of a crash run talk to, and what came of it: a mail server and an SMS gateway that count."""

import base64
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

from notifiers.catcher import CaughtMail, CaughtSms, MailCatcher, SmsCatcher
from notifiers.gateways import webhook_id
from notifiers.mail import message_id
from schemas.outputs import Notification

_SECRET: Final = "whsec_" + base64.b64encode(bytes(range(32))).decode()
_DOMAIN: Final = "operator.example"
_CONFIGURATION: Final = """
[mail]
host = "127.0.0.1"
port = {mail_port}
tls = "none"
sender = "no-reply@{domain}"
[mail.delivery]
down_first_seconds = 0.05
down_max_seconds = 0.2
[sms]
url = "{sms_url}"
secret = "{secret}"
[sms.delivery]
down_first_seconds = 0.05
down_max_seconds = 0.2
"""


class Peers:
    """``arrived`` counts what came, by Message-ID or webhook-id."""

    def __init__(self) -> None:
        self.arrived: Counter[str] = Counter()
        self.mail = MailCatcher(on_mail=self._on_mail)
        self.sms = SmsCatcher(_SECRET, on_sms=self._on_sms)

    def _on_mail(self, mail: CaughtMail) -> None:
        self.arrived[mail.message_id] += 1

    def _on_sms(self, sms: CaughtSms) -> None:
        self.arrived[sms.id] += 1

    def write_configuration(self, path: Path) -> None:
        """Writes the file that sends mail and SMS here."""
        values = {"mail_port": self.mail.port, "sms_url": self.sms.url, "secret": _SECRET, "domain": _DOMAIN}
        path.write_text(_CONFIGURATION.format(**values))


@asynccontextmanager
async def listening() -> AsyncIterator[Peers]:
    """Both peers, up."""
    peers = Peers()
    async with peers.mail, peers.sms:
        yield peers


def name_of(notification: Notification) -> str:
    """The id under which a notification arrives."""
    if notification.channel == "email":
        return message_id(notification.notification, _DOMAIN)
    return webhook_id(notification.notification)
