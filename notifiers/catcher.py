"""A mail server and an SMS gateway that deliver nothing: for ``plimsoll run --demo`` and for trying templates.

Both listen on loopback, keep the last messages in memory, and count all of them.
"""

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable
from email import message_from_bytes, policy
from email.message import EmailMessage
from types import TracebackType
from typing import Any, Final, Self, cast

import httptools
import msgspec
from aiosmtpd.smtp import SMTP, Envelope, Session

from notifiers.config import secret_key
from notifiers.signature import SignatureError, verify

KEPT_MAX: Final = 200
"""Messages kept: a demo shows the last few, and a day of it must not fill the memory."""
_MAIL_BYTES_MAX: Final = 1024 * 1024
_BODY_BYTES_MAX: Final = 64 * 1024
_CONNECTIONS_MAX: Final = 64


class CaughtMail(msgspec.Struct, frozen=True):
    """An e-mail as it arrived; ``at`` in seconds since the epoch."""

    at: float
    sender: str
    to: tuple[str, ...]
    subject: str
    message_id: str
    text: str
    html: str


class CaughtSms(msgspec.Struct, frozen=True):
    """A short message whose signature was right; ``at`` in seconds since the epoch."""

    at: float
    id: str
    sender: str
    to: tuple[str, ...]
    text: str


class _SmsData(msgspec.Struct):
    to: tuple[str, ...]
    text: str
    from_: str = msgspec.field(name="from", default="")


class _SmsBody(msgspec.Struct):
    data: _SmsData


class _Catcher:
    """A server on loopback that is up inside ``async with``; ``port`` is the one it found when asked for 0."""

    def __init__(self, host: str, port: int) -> None:
        self.host = host
        self.port = port
        self.count = 0
        self._server: asyncio.Server | None = None

    def _protocol(self) -> asyncio.Protocol:
        raise AssertionError("each catcher has a protocol of its own")

    async def __aenter__(self) -> Self:
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(self._protocol, self.host, self.port, backlog=_CONNECTIONS_MAX)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._server is not None:
            self._server.close()


class MailCatcher(_Catcher):
    """Takes every mail. ``mails`` holds the last ones, oldest first; ``on_mail`` is told of each."""

    def __init__(
        self,
        host: str = "127.0.0.1",
        port: int = 0,
        kept_max: int = KEPT_MAX,
        on_mail: Callable[[CaughtMail], None] | None = None,
    ) -> None:
        super().__init__(host, port)
        self.mails: deque[CaughtMail] = deque(maxlen=kept_max)
        self._on_mail = on_mail
        logging.getLogger("mail.log").setLevel(logging.WARNING)  # aiosmtpd tells of every connection there

    def _protocol(self) -> asyncio.Protocol:
        return SMTP(self, hostname="localhost", data_size_limit=_MAIL_BYTES_MAX, enable_SMTPUTF8=True)

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802  # aiosmtpd's name
        """Keeps the mail."""
        content = envelope.original_content or b""
        message = message_from_bytes(content, policy=policy.default)
        assert isinstance(message, EmailMessage)
        mail = CaughtMail(
            at=time.time(),
            sender=envelope.mail_from or "",
            to=tuple(envelope.rcpt_tos),
            subject=str(message["subject"] or ""),
            message_id=str(message["message-id"] or ""),
            text=_body(message, "plain"),
            html=_body(message, "html"),
        )
        self.mails.append(mail)
        self.count += 1
        if self._on_mail is not None:
            self._on_mail(mail)
        return "250 OK"


class SmsCatcher(_Catcher):
    """Takes webhooks signed with ``secret``; 401 for any other. ``messages`` holds the last ones, oldest first."""

    def __init__(
        self,
        secret: str,
        host: str = "127.0.0.1",
        port: int = 0,
        kept_max: int = KEPT_MAX,
        on_sms: Callable[[CaughtSms], None] | None = None,
    ) -> None:
        super().__init__(host, port)
        self.messages: deque[CaughtSms] = deque(maxlen=kept_max)
        self._key = secret_key(secret)
        self._on_sms = on_sms

    @property
    def url(self) -> str:
        """Where the webhook goes."""
        return f"http://{self.host}:{self.port}/sms"

    def _protocol(self) -> asyncio.Protocol:
        return _HttpExchange(self.take)

    def take(self, method: str, headers: dict[str, str], body: bytes) -> tuple[int, str]:
        """The status and the sentence that answer a request."""
        if method != "POST":
            return 405, "expected a POST"
        try:
            verify(self._key, headers, body, int(time.time()))
            data = msgspec.json.decode(body, type=_SmsBody).data
        except SignatureError as error:
            return 401, str(error)
        except msgspec.MsgspecError as error:
            return 400, str(error)
        sms = CaughtSms(time.time(), headers["webhook-id"], data.from_, data.to, data.text)
        self.messages.append(sms)
        self.count += 1
        if self._on_sms is not None:
            self._on_sms(sms)
        return 200, "taken"


class _HttpExchange(asyncio.Protocol):
    """HTTP/1.1 of one connection: each request is handed over whole and answered with a line of text."""

    def __init__(self, take: Callable[[str, dict[str, str], bytes], tuple[int, str]]) -> None:
        self._take = take
        self._parser = httptools.HttpRequestParser(self)
        self._transport: asyncio.Transport | None = None
        self._headers: dict[str, str] = {}
        self._body = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # Not isinstance: uvloop's transports are not derived from asyncio's.
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            self._answer(400, "expected HTTP/1.1", last=True)

    def on_message_begin(self) -> None:
        self._headers = {}
        self._body = b""

    def on_header(self, name: bytes, value: bytes) -> None:
        self._headers[name.decode("latin-1").lower()] = value.decode("latin-1")

    def on_body(self, body: bytes) -> None:
        self._body += body[: _BODY_BYTES_MAX + 1 - len(self._body)]

    def on_message_complete(self) -> None:
        if len(self._body) > _BODY_BYTES_MAX:
            self._answer(413, f"expected at most {_BODY_BYTES_MAX} bytes", last=True)
            return
        status, sentence = self._take(self._parser.get_method().decode(), self._headers, self._body)
        self._answer(status, sentence, last=not self._parser.should_keep_alive())

    def _answer(self, status: int, sentence: str, last: bool) -> None:
        if self._transport is None or self._transport.is_closing():
            return
        body = f"{sentence}\n".encode()
        head = f"HTTP/1.1 {status} -\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: {len(body)}\r\n"
        self._transport.write(head.encode() + (b"Connection: close\r\n\r\n" if last else b"\r\n") + body)
        if last:
            self._transport.close()


def _body(message: EmailMessage, kind: str) -> str:
    part: Any = message.get_body((kind,))  # Any: the stub leaves out what a text part's get_content returns
    return "" if part is None else str(part.get_content())
