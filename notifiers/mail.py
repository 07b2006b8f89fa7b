"""The mailer: e-mail notifications over SMTP, as multipart text and HTML with a Message-ID that never changes."""

import asyncio
import hashlib
from collections.abc import Sequence
from datetime import UTC, datetime
from email.errors import MessageError
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime
from pathlib import Path
from typing import Final

from engine.log.ports import NotificationLog
from notifiers.attempts import Attempt, unsendable
from notifiers.config import MailOptions
from notifiers.delivery import Delivering
from notifiers.metrics import NotifierMetrics
from notifiers.render import MailText, Renderer, TemplateError
from notifiers.smtp import SmtpPeer, wire_address
from schemas.outputs import Notification
from schemas.times import SECOND, parse_time

CONSUMER: Final = "mailer"
_POLICY: Final = SMTP.clone(cte_type="7bit")  # every server takes it, 8BITMIME or not


class MailSender:
    """Renders a notification and gives it to the mail server. A template that fails refuses the notification."""

    def __init__(self, renderer: Renderer, peer: SmtpPeer, options: MailOptions) -> None:
        self._renderer = renderer
        self._peer = peer
        self._options = options

    async def send(self, notification: Notification, to: Sequence[str]) -> Attempt:
        """One attempt for these addresses; the headers name all of the notification's."""
        try:
            text = self._renderer.mail(notification)
        except TemplateError as error:
            return unsendable(to, str(error))
        return await self._peer.send(lambda utf8: compose(notification, text, self._options, utf8), to)

    async def close(self) -> None:
        """Ends every connection."""
        await self._peer.close()


def mail_sender(options: MailOptions) -> MailSender:
    """The sender of these options. Raises OptionsError or TemplateError with a sentence for the operator."""
    folder = None if options.templates_dir is None else Path(options.templates_dir)
    renderer = Renderer(folder, options.language, options.brand)
    renderer.check()
    return MailSender(renderer, SmtpPeer(options), options)


async def run_mailer(log: NotificationLog, options: MailOptions, metrics: NotifierMetrics, stop: asyncio.Event) -> None:
    """Sends the log's e-mail notifications until ``stop`` is set, then finishes what is under way and returns.

    Raises OptionsError or TemplateError before anything is read, and what the log raises that is not retriable.
    """
    await Delivering(log, CONSUMER, "email", mail_sender(options), options.delivery, metrics).run(stop)


def message_id(notification: str, domain: str) -> str:
    """The Message-ID of a notification: the same whenever it is sent, so that mail systems can drop a repeat."""
    return f"<{hashlib.sha256(notification.encode()).hexdigest()[:40]}@{domain}>"


def compose(notification: Notification, text: MailText, options: MailOptions, utf8: bool = False) -> bytes:
    """The message's bytes with CRLF line ends: the same for the same notification, text and options."""
    message = EmailMessage(policy=_POLICY.clone(utf8=utf8))
    identity = message_id(notification.notification, options.message_domain)
    message["From"] = Address(options.sender_name, addr_spec=options.sender)
    message["To"] = _addresses(notification.to, utf8)
    if options.reply_to is not None:
        message["Reply-To"] = options.reply_to
    message["Subject"] = text.subject
    message["Date"] = format_datetime(datetime.fromtimestamp(parse_time(notification.at) // SECOND, UTC))
    message["Message-ID"] = identity
    message["Auto-Submitted"] = "auto-generated"
    message.set_content(text.text, subtype="plain", charset="utf-8")
    message.add_alternative(text.html, subtype="html", charset="utf-8")
    message.set_boundary(f"=_{identity[1:25]}")
    return message.as_bytes()


def _addresses(addresses: Sequence[str], utf8: bool) -> tuple[Address, ...]:
    """Those that can stand in a header; one that cannot is refused, or reached without being named."""
    found = []
    for address in addresses:
        wire = wire_address(address, utf8)
        try:
            if wire is not None:
                found.append(Address(addr_spec=wire))
        except (ValueError, MessageError, IndexError):
            continue
    return tuple(found)
