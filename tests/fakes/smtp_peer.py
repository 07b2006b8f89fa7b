"""A mail server whose replies a test decides: aiosmtpd in the test's own event loop."""

import asyncio
import ssl
import warnings
from collections.abc import Callable
from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import cast

from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

ADDRESS_OK = "250 OK"


class SmtpPeer:
    """Down until ``start``. ``rcpt`` and ``data`` give a reply, or None for 250; what was taken is in ``mails``."""

    def __init__(
        self, *, password: str | None = None, tls: ssl.SSLContext | None = None, implicit: bool = False
    ) -> None:
        self.mails: list[tuple[tuple[str, ...], EmailMessage]] = []
        self.presented: list[str] = []
        """The Message-ID of each message whose end was received, taken or not."""
        self.greetings = 0
        self.rcpt: Callable[[str], str | None] = lambda address: None
        self.data: Callable[[EmailMessage], str | None] = lambda message: None
        self.port = 0
        self._password = password
        self._tls = tls
        self._implicit = implicit
        self._server: asyncio.Server | None = None
        self._connections: list[SMTP] = []
        self._changed = asyncio.Condition()

    async def start(self) -> None:
        """Listens, the second time on the same port."""
        loop = asyncio.get_running_loop()
        context = self._tls if self._implicit else None
        self._server = await loop.create_server(self._protocol, "127.0.0.1", self.port, ssl=context)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Stops listening and breaks every connection off."""
        assert self._server is not None
        self._server.close()
        for connection in self._connections:
            if connection.transport is not None:
                cast(asyncio.WriteTransport, connection.transport).abort()
        self._connections.clear()

    async def received(self, count: int) -> list[tuple[tuple[str, ...], EmailMessage]]:
        """The mails once there are ``count``; fails after two minutes."""
        async with asyncio.timeout(120), self._changed:
            await self._changed.wait_for(lambda: len(self.mails) >= count)
        return self.mails

    async def was_presented(self, count: int) -> None:
        """Returns once ``count`` messages came to their end; fails after two minutes."""
        async with asyncio.timeout(120), self._changed:
            await self._changed.wait_for(lambda: len(self.presented) >= count)

    def _protocol(self) -> SMTP:
        self.greetings += 1
        with warnings.catch_warnings():
            # Over implicit TLS, which aiosmtpd does not know of, it warns that AUTH is asked for without STARTTLS.
            warnings.simplefilter("ignore", UserWarning)
            connection = self._connection()
        self._connections.append(connection)
        return connection

    def _connection(self) -> SMTP:
        return SMTP(
            self,
            hostname="mx.test",
            tls_context=None if self._implicit else self._tls,
            require_starttls=self._tls is not None and not self._implicit,
            authenticator=self._authenticate,
            auth_required=self._password is not None,
            auth_require_tls=self._tls is not None and not self._implicit,
        )

    def _authenticate(
        self, server: SMTP, session: Session, envelope: Envelope, mechanism: str, data: object
    ) -> AuthResult:
        right = isinstance(data, LoginPassword) and data.password == (self._password or "").encode()
        return AuthResult(success=right, handled=False)

    async def handle_RCPT(  # noqa: N802  # aiosmtpd's name
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        reply = self.rcpt(address)
        if reply is None:
            envelope.rcpt_tos.append(address)
        return reply or ADDRESS_OK

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802
        message = message_from_bytes(envelope.original_content or b"", policy=policy.default)
        assert isinstance(message, EmailMessage)
        reply = self.data(message)
        self.presented.append(str(message["message-id"]))
        if reply is None:
            self.mails.append((tuple(envelope.rcpt_tos), message))
        async with self._changed:
            self._changed.notify_all()
        return reply or ADDRESS_OK
