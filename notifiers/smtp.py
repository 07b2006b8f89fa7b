"""Mail to one server over SMTP (RFC 5321): connections that are kept and used again, and what its replies mean.

What is said before a message is presented (connecting, TLS, AUTH, MAIL FROM, which is the same for every message) is
about the server or our options, never about the message: whatever the code, the message waits and nothing is lost.
"""

import asyncio
import contextlib
import ssl
from collections import deque
from collections.abc import Callable, Sequence
from typing import Final

import aiosmtplib
import msgspec

from notifiers.attempts import Attempt, Failure, FailureKind, failed, shorten_detail
from notifiers.config import MailOptions, OptionsError

_QUIT_SECONDS: Final = 2.0
"""A server that does not answer a farewell is left without one."""
_PROBE_SECONDS: Final = 5.0
_TROUBLES: Final = (aiosmtplib.SMTPException, OSError, TimeoutError)

Compose = Callable[[bool], bytes]
"""The message's bytes; the flag says whether its headers may be UTF-8 (SMTPUTF8)."""


class _Session(msgspec.Struct):
    smtp: aiosmtplib.SMTP
    messages: int
    idle_since: float


class SmtpPeer:
    """One mail server. As many connections as there are concurrent ``send`` calls, which the caller bounds.

    Raises OptionsError from the constructor where ``ca_file`` cannot be used.
    """

    def __init__(self, options: MailOptions) -> None:
        self._options = options
        self._where = f"{options.host}:{options.port_used}"
        self._context = _tls_context(options)
        self._idle: deque[_Session] = deque()
        self._reaper: asyncio.Task[None] | None = None

    async def send(self, compose: Compose, to: Sequence[str]) -> Attempt:
        """One attempt to give the message to the server for these recipients."""
        try:
            session = await self._session()
        except _TROUBLES as error:
            return failed(FailureKind.DOWN, to, f"{self._where}: {_sentence(error)}")
        keep = False
        try:
            attempt = await self._converse(session.smtp, compose, to)
            keep = session.smtp.is_connected
        finally:
            if not keep:
                session.smtp.close()
        session.messages += 1
        await self._release(session)
        return attempt

    async def close(self) -> None:
        """Says goodbye on every idle connection."""
        if self._reaper is not None:
            self._reaper.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._reaper
            self._reaper = None
        sessions = list(self._idle)
        self._idle.clear()
        await asyncio.gather(*(_quit(session.smtp) for session in sessions))

    async def _converse(self, smtp: aiosmtplib.SMTP, compose: Compose, to: Sequence[str]) -> Attempt:
        options = self._options
        utf8 = smtp.supports_extension("smtputf8") and not all(address.isascii() for address in to)
        try:
            await smtp.mail(options.sender, options=["SMTPUTF8"] if utf8 else [])
        except _TROUBLES as error:
            return failed(FailureKind.DOWN, to, f"{self._where}: MAIL FROM: {_sentence(error)}")
        taken: list[str] = []
        failures: list[Failure] = []
        for position, address in enumerate(to):
            wire = wire_address(address, utf8)
            if wire is None:
                detail = f"{address}: the server does not offer SMTPUTF8, which this address needs"
                failures.append(Failure(FailureKind.REFUSED, (address,), detail))
                continue
            try:
                await smtp.rcpt(wire, encoding="utf-8" if utf8 else "ascii")
            except aiosmtplib.SMTPRecipientRefused as error:
                kind = reply_kind(error.code)
                failures.append(Failure(kind, (address,), shorten_detail(f"{address}: {_sentence(error)}")))
                if not smtp.is_connected:  # 421: nothing of this transaction is left
                    return _broken_off(failures, (*taken, *to[position + 1 :]), f"{self._where}: {_sentence(error)}")
            except ValueError as error:
                failures.append(Failure(FailureKind.REFUSED, (address,), shorten_detail(f"{address}: {error}")))
            except _TROUBLES as error:
                return _broken_off(failures, (*taken, *to[position:]), f"{self._where}: {_sentence(error)}")
            else:
                taken.append(address)
        if not taken:
            return Attempt((), tuple(failures))
        try:
            await smtp.data(compose(utf8), timeout=options.data_seconds)
        except aiosmtplib.SMTPDataError as error:
            detail = shorten_detail(f"{self._where}: DATA: {_sentence(error)}")
            return Attempt((), (*failures, Failure(reply_kind(error.code), tuple(taken), detail)))
        except _TROUBLES as error:
            detail = f"{self._where}: no answer to the message, it may have been taken: {_sentence(error)}"
            return _broken_off(failures, taken, detail)
        return Attempt(tuple(taken), tuple(failures))

    async def _session(self) -> _Session:
        now = asyncio.get_running_loop().time()
        while self._idle:
            session = self._idle.pop()  # the one used last is the least likely to have been closed by the server
            if now - session.idle_since < self._options.idle_seconds and session.smtp.is_connected:
                alive = False
                try:
                    await session.smtp.rset(timeout=_PROBE_SECONDS)
                    alive = True
                except _TROUBLES:
                    pass
                finally:
                    if not alive:
                        session.smtp.close()
                if alive:
                    return session
            else:
                session.smtp.close()
        return _Session(await self._connect(), 0, 0.0)

    async def _connect(self) -> aiosmtplib.SMTP:
        options = self._options
        smtp = aiosmtplib.SMTP(
            hostname=options.host,
            port=options.port_used,
            username=options.username,
            password=options.password,
            local_hostname=options.helo or options.message_domain,
            timeout=options.command_seconds,
            use_tls=options.tls == "implicit",
            start_tls={"starttls": True, "opportunistic": None}.get(options.tls, False),
            tls_context=self._context,
        )
        try:
            await smtp.connect(timeout=options.connect_seconds)
            if smtp.is_ehlo_or_helo_needed:
                await smtp.ehlo()
        except aiosmtplib.SMTPHeloError:
            await smtp.helo()
        except BaseException:
            smtp.close()
            raise
        return smtp

    async def _release(self, session: _Session) -> None:
        if session.messages >= self._options.connection_messages_max:
            await _quit(session.smtp)
            return
        session.idle_since = asyncio.get_running_loop().time()
        self._idle.append(session)
        if self._reaper is None or self._reaper.done():
            self._reaper = asyncio.create_task(self._reap(), name="smtp-reaper")

    async def _reap(self) -> None:
        loop = asyncio.get_running_loop()
        while self._idle:
            oldest = min(session.idle_since for session in self._idle)
            await asyncio.sleep(max(0.0, oldest + self._options.idle_seconds - loop.time()))
            limit = loop.time() - self._options.idle_seconds
            stale = [session for session in self._idle if session.idle_since <= limit]
            self._idle = deque(session for session in self._idle if session.idle_since > limit)
            for session in stale:
                await _quit(session.smtp)


def reply_kind(code: int) -> FailureKind:
    """What a reply about a recipient or a message means: 421 ends the session, 4yz is for later, 5yz for good."""
    if code == aiosmtplib.SMTPStatus.domain_unavailable:
        return FailureKind.UNAVAILABLE
    return FailureKind.REFUSED if 500 <= code <= 599 else FailureKind.DEFERRED


def wire_address(address: str, utf8: bool) -> str | None:
    """The address as it may be sent: itself, or with its domain in IDNA; None where only SMTPUTF8 could carry it."""
    if utf8 or address.isascii():
        return address
    local, _, domain = address.rpartition("@")
    try:
        wire = f"{local}@{domain.encode('idna').decode()}"
    except UnicodeError:
        return None
    return wire if wire.isascii() else None


def _broken_off(failures: Sequence[Failure], rest: Sequence[str], detail: str) -> Attempt:
    """The session ended in the middle: what was refused for good stays so, all others are still owed."""
    kept = [failure for failure in failures if failure.kind is FailureKind.REFUSED]
    owed = [address for failure in failures if failure not in kept for address in failure.addresses]
    return Attempt((), (*kept, Failure(FailureKind.UNAVAILABLE, (*owed, *rest), shorten_detail(detail))))


def _tls_context(options: MailOptions) -> ssl.SSLContext | None:
    if options.tls == "none":
        return None
    try:
        context = ssl.create_default_context(cafile=options.ca_file)
    except (ssl.SSLError, OSError) as error:
        raise OptionsError(f"ca_file: {options.ca_file!r} cannot be used: {error}; give a PEM file") from None
    if (
        options.tls == "opportunistic"
    ):  # guards against listeners only: most local relays have a certificate of their own
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def _sentence(error: BaseException) -> str:
    if isinstance(error, aiosmtplib.SMTPResponseException):
        return f"{error.code} {error.message}"
    return str(error) or type(error).__name__


async def _quit(smtp: aiosmtplib.SMTP) -> None:
    with contextlib.suppress(*_TROUBLES):
        await smtp.quit(timeout=_QUIT_SECONDS)
    smtp.close()
