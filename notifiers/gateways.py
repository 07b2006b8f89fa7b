"""Gateways that take SMS over HTTP: a webhook signed per Standard Webhooks, and Kannel's sendsms.

An SMPP transport would be a third class with the same two methods (``Gateway``).
"""

import asyncio
import hashlib
import logging
import ssl
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Final, Protocol

import httpx
import msgspec

from notifiers.addresses import phone_digits
from notifiers.attempts import Attempt, Failure, FailureKind, failed, shorten_detail
from notifiers.config import OptionsError, SmsOptions, secret_key
from notifiers.signature import sign
from notifiers.sms_text import is_gsm
from schemas.outputs import Notification

_ANSWER_BYTES_MAX: Final = 4096
"""What is read of an answer: enough for its first sentence."""
_NOT_SENT: Final = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.ProxyError)
_RETRIED_STATUSES: Final = frozenset({408, 425})
_DOOR_STATUSES: Final = frozenset({401, 403, 404, 405, 407, 410, 502, 503, 504})
"""Credentials, a wrong address, or a proxy without its server: what a message has no part in."""


class ShortMessage(msgspec.Struct, frozen=True):
    """A notification with the text and the sender it goes out with."""

    notification: Notification
    sender: str
    text: str


class Gateway(Protocol):
    """Takes short messages. What it does or says is a value; only defects of ours raise."""

    async def send(self, message: ShortMessage, to: Sequence[str]) -> Attempt:
        """One attempt for these phone numbers."""
        ...

    async def close(self) -> None:
        """Ends every connection."""
        ...


class WebhookGateway:
    """One signed POST a notification, all its phone numbers in one body. Any 2xx answer means taken.

    The receiver drops repeats by ``webhook-id``, which is the same for every attempt of a notification.
    """

    def __init__(self, options: SmsOptions, now: Callable[[], float] = time.time) -> None:
        self._options = options
        self._client = _client(options)
        secrets = (options.secret, options.secret_previous)
        self._keys = [secret_key(secret) for secret in secrets if secret is not None]
        self._now = now

    async def send(self, message: ShortMessage, to: Sequence[str]) -> Attempt:
        """One request for all the phone numbers."""
        notification = message.notification
        body = msgspec.json.encode(
            {
                "type": "sms.send",
                "timestamp": notification.at,
                "data": {
                    "notification": notification.notification,
                    "client": notification.client,
                    "kind": notification.kind,
                    "from": message.sender,
                    "to": [phone_digits(phone) for phone in to],
                    "text": message.text,
                },
            }
        )
        headers = sign(self._keys, webhook_id(notification.notification), int(self._now()), body)
        request = self._client.build_request(
            "POST", self._options.url, content=body, headers={**headers, "content-type": "application/json"}
        )
        return await _exchange(self._client, request, to, webhook_kind, _seconds_max(self._options))

    async def close(self) -> None:
        """Ends every connection."""
        await self._client.aclose()


class KannelGateway:
    """Kannel's sendsms (User's Guide 1.4, "SMS-Push"): one request a phone number, so that each has its own answer.

    ``coding`` is 0 for the GSM alphabet and 2 for UCS-2; the text is UTF-8 and said to be.
    """

    def __init__(self, options: SmsOptions) -> None:
        self._options = options
        self._client = _client(options)

    async def send(self, message: ShortMessage, to: Sequence[str]) -> Attempt:
        """One request after the other; those behind one that finds Kannel not answering are not made."""
        accepted: list[str] = []
        failures: list[Failure] = []
        for position, phone in enumerate(to):
            request = self._request(message, phone)
            attempt = await _exchange(self._client, request, (phone,), kannel_kind, _seconds_max(self._options))
            accepted += attempt.accepted
            failures += attempt.failures
            worst = attempt.worst
            if worst is not None and worst.kind is not FailureKind.DEFERRED:
                rest = tuple(to[position + 1 :])
                if rest:
                    failures.append(msgspec.structs.replace(worst, addresses=rest))
                break
        return Attempt(tuple(accepted), tuple(failures))

    async def close(self) -> None:
        """Ends every connection."""
        await self._client.aclose()

    def _request(self, message: ShortMessage, phone: str) -> httpx.Request:
        options = self._options
        values = {
            "username": options.username or "",
            "password": options.password or "",
            "from": message.sender,
            "to": phone_digits(phone),
            "smsc": options.smsc,
            "coding": "0" if is_gsm(message.text) else "2",
        }
        values = {name: value for name, value in values.items() if value}
        if options.method == "GET":
            return self._client.build_request(
                "GET", options.url, params={**values, "charset": "UTF-8", "text": message.text}
            )
        headers = {f"X-Kannel-{name.title()}".encode(): value.encode() for name, value in values.items()}
        headers[b"Content-Type"] = b"text/plain; charset=UTF-8"
        return self._client.build_request("POST", options.url, headers=headers, content=message.text.encode())


def webhook_id(notification: str) -> str:
    """The ``webhook-id`` of a notification: no full stop in it, as Standard Webhooks asks, and always the same."""
    return f"msg_{hashlib.sha256(notification.encode()).hexdigest()[:40]}"


def retry_after(headers: Mapping[str, str], now: float) -> float | None:
    """Seconds that a Retry-After header asks for: a number of them or a date; None where there is none to be read."""
    value = headers.get("retry-after", "").strip()
    if value.isascii() and value.isdigit():
        return float(int(value[:9]))
    try:
        date = parsedate_to_datetime(value)
    except (ValueError, TypeError):
        return None
    date = date.replace(tzinfo=UTC) if date.tzinfo is None else date
    return max(0.0, (date - datetime.fromtimestamp(now, UTC)).total_seconds())


def webhook_kind(status: int, answer: str) -> FailureKind:
    """What a status that is no 2xx means; see the table in the README."""
    del answer
    if status == 429:
        return FailureKind.DOWN
    if status < 400 or status in _DOOR_STATUSES:
        return FailureKind.UNAVAILABLE
    return FailureKind.DEFERRED if status >= 500 or status in _RETRIED_STATUSES else FailureKind.REFUSED


def kannel_kind(status: int, answer: str) -> FailureKind:
    """As for a webhook, but 403 is also what Kannel says of a number that it has no route for."""
    if status == 403 and "not routable" in answer.lower():
        return FailureKind.REFUSED
    return webhook_kind(status, answer)


async def _exchange(
    client: httpx.AsyncClient,
    request: httpx.Request,
    to: Sequence[str],
    kind_of: Callable[[int, str], FailureKind],
    seconds_max: float,
) -> Attempt:
    where = f"{request.url.scheme}://{request.url.netloc.decode()}{request.url.path}"  # its query holds a password
    try:
        async with asyncio.timeout(seconds_max):
            response = await client.send(request, stream=True)
            try:
                answer = await _beginning(response)
            finally:
                await response.aclose()
    except _NOT_SENT as error:
        return failed(FailureKind.DOWN, to, f"{where}: {type(error).__name__} {error}")
    except (httpx.HTTPError, TimeoutError) as error:
        name = type(error).__name__
        return failed(FailureKind.UNAVAILABLE, to, f"{where}: no answer, it may have been taken: {name} {error}")
    if response.is_success:
        return Attempt(tuple(to))
    detail = shorten_detail(f"{where}: {response.status_code} {answer}")
    wait = retry_after(response.headers, time.time())
    return failed(kind_of(response.status_code, answer), to, detail, wait)


def _seconds_max(options: SmsOptions) -> float:
    """For a whole exchange: httpx bounds each read alone, and an answer may come a byte at a time."""
    return options.connect_seconds + options.answer_seconds


async def _beginning(response: httpx.Response) -> str:
    body = b""
    async for chunk in response.aiter_bytes():
        body += chunk
        if len(body) >= _ANSWER_BYTES_MAX:
            break
    return body[:_ANSWER_BYTES_MAX].decode(errors="replace")


def _client(options: SmsOptions) -> httpx.AsyncClient:
    # At INFO httpx logs every address it asks, and a GET to Kannel holds the password and the phone number.
    logging.getLogger("httpx").setLevel(logging.WARNING)
    try:
        context = ssl.create_default_context(cafile=options.ca_file)
    except (ssl.SSLError, OSError) as error:
        raise OptionsError(f"ca_file: {options.ca_file!r} cannot be used: {error}; give a PEM file") from None
    connections = options.delivery.concurrency_max
    return httpx.AsyncClient(
        verify=context,
        timeout=httpx.Timeout(options.answer_seconds, connect=options.connect_seconds),
        limits=httpx.Limits(max_connections=connections, max_keepalive_connections=connections),
        follow_redirects=False,  # a redirect is a wrong address: the signature is for this receiver alone
        trust_env=False,  # what is sent where is an option, not an accident of the environment
        proxy=options.proxy,
        headers={"user-agent": "plimsoll"},
    )
