"""The SMS consumer against a local HTTP gateway: the signed webhook and Kannel's sendsms."""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Literal

import msgspec
import pytest
from prometheus_client import CollectorRegistry

from notifiers.config import DeliveryOptions, SmsOptions, secret_key
from notifiers.gateways import webhook_id
from notifiers.metrics import NotifierMetrics
from notifiers.signature import SignatureError, verify
from notifiers.sms import CONSUMER, run_sms
from tests.fakes.http_peer import HttpPeer, Request
from tests.fakes.notifications import notification
from tests.fakes.notifications_topic import MemoryNotificationLog
from tests.integration.notifying import FAST, outcomes, running, until

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
OTHER_SECRET = "whsec_b3RoZXItc2VjcmV0LW9mLTMyLWJ5dGVzLWxvbmctISE="
ONE, TWO, THREE = "+380441234501", "+380441234502", "+380441234503"
SMS = notification(channel="sms")
Answer = tuple[int, dict[str, str], str]


@pytest.fixture
async def peer() -> AsyncIterator[HttpPeer]:
    """A gateway that is up and takes everything."""
    peer = HttpPeer()
    await peer.start()
    yield peer
    await peer.stop()


@pytest.fixture
def log() -> MemoryNotificationLog:
    """A topic of two partitions with nothing in it."""
    return MemoryNotificationLog()


def _webhook(peer: HttpPeer, delivery: DeliveryOptions = FAST) -> SmsOptions:
    return SmsOptions(url=f"http://127.0.0.1:{peer.port}/sms", secret=SECRET, sender="Acme", delivery=delivery)


def _kannel(peer: HttpPeer, method: Literal["GET", "POST"] = "GET") -> SmsOptions:
    return SmsOptions(
        url=f"http://127.0.0.1:{peer.port}/cgi-bin/sendsms",
        transport="kannel",
        username="plimsoll",
        password="pass word&",
        method=method,
        sender="Acme",
        smsc="route-1",
        delivery=FAST,
    )


@asynccontextmanager
async def _texting(
    log: MemoryNotificationLog, options: SmsOptions, registry: CollectorRegistry | None = None
) -> AsyncIterator[None]:
    metrics = NotifierMetrics(registry or CollectorRegistry())
    async with running(lambda stop: run_sms(log, options, metrics, stop)):
        yield


async def test_a_webhook_carries_text_and_numbers_and_its_signature_verifies(
    log: MemoryNotificationLog, peer: HttpPeer
) -> None:
    await log.append(notification(channel="sms", to=("+38 (044) 123-45-01", TWO)), notification())
    async with _texting(log, _webhook(peer)):
        [delivery] = await log.recorded(CONSUMER, 1)
    [request] = peer.requests
    verify(secret_key(SECRET), request.headers, request.body, int(time.time()))
    assert (request.method, request.target, request.headers["content-type"]) == ("POST", "/sms", "application/json")
    assert request.headers["webhook-id"] == webhook_id("c-42/low_balance/client/1/1/sms")
    assert "." not in request.headers["webhook-id"]
    assert msgspec.json.decode(request.body) == {
        "type": "sms.send",
        "timestamp": "2026-03-01T10:05:00Z",
        "data": {
            "notification": "c-42/low_balance/client/1/1/sms",
            "client": "c-42",
            "kind": "low_balance",
            "from": "Acme",
            "to": [ONE, TWO],
            "text": "Account c-42: 4.99 EUR left, below 5.00 EUR. Please top up. Simultaneous calls allowed: 1.",
        },
    }
    assert (delivery.outcome, delivery.channel) == ("sent", "sms")


async def test_while_a_secret_is_being_changed_both_verify(log: MemoryNotificationLog, peer: HttpPeer) -> None:
    await log.append(SMS)
    options = msgspec.structs.replace(_webhook(peer), secret=OTHER_SECRET, secret_previous=SECRET)
    async with _texting(log, options):
        await log.recorded(CONSUMER, 1)
    [request] = peer.requests
    for secret in (SECRET, OTHER_SECRET):
        verify(secret_key(secret), request.headers, request.body, int(time.time()))
    with pytest.raises(SignatureError):
        verify(b"x" * 32, request.headers, request.body, int(time.time()))


@pytest.mark.parametrize("status", [401, 404, 408, 429, 500, 503])
async def test_an_answer_that_may_pass_is_tried_again_under_the_same_id(
    log: MemoryNotificationLog, peer: HttpPeer, status: int
) -> None:
    answers: Iterator[Answer] = iter([(status, {}, "later")] * 2)
    peer.answer = lambda request: next(answers, (204, {}, ""))
    await log.append(SMS)
    async with _texting(log, _webhook(peer)):
        [delivery] = await log.recorded(CONSUMER, 1)
    assert (delivery.outcome, delivery.attempts) == ("sent", 3)
    assert len({request.headers["webhook-id"] for request in peer.requests}) == 1


@pytest.mark.parametrize("status", [400, 413, 422])
async def test_an_answer_that_will_not_pass_is_a_dead_letter(
    log: MemoryNotificationLog, peer: HttpPeer, status: int
) -> None:
    peer.answer = lambda request: (status, {}, "no such number")
    await log.append(SMS)
    async with _texting(log, _webhook(peer)):
        [delivery] = await log.recorded(CONSUMER, 1)
    assert (delivery.outcome, delivery.attempts, delivery.event) == ("failed", 1, SMS)
    assert f"{status} no such number" in delivery.detail


async def test_a_redirect_is_not_followed(log: MemoryNotificationLog, peer: HttpPeer) -> None:
    peer.answer = lambda request: (
        (307, {"Location": f"http://127.0.0.1:{peer.port}/elsewhere"}, "") if len(peer.requests) < 3 else (200, {}, "")
    )
    await log.append(SMS)
    async with _texting(log, _webhook(peer)):
        await log.recorded(CONSUMER, 1)
    assert {request.target for request in peer.requests} == {"/sms"}


async def test_retry_after_makes_the_whole_channel_wait(log: MemoryNotificationLog, peer: HttpPeer) -> None:
    times: list[float] = []

    def answer(request: Request) -> Answer:
        times.append(time.monotonic())
        return (429, {"Retry-After": "1"}, "slow down") if len(times) == 1 else (200, {}, "")

    peer.answer = answer
    slow = msgspec.structs.replace(FAST, concurrency_max=1)
    await log.append(*(notification(f"c-{number}", channel="sms") for number in range(5)))
    async with _texting(log, _webhook(peer, slow)):
        await log.recorded(CONSUMER, 5)
    assert times[1] - times[0] >= 0.99
    assert len(times) == 6


async def test_a_gateway_down_then_up_loses_nothing_and_repeats_nothing(
    log: MemoryNotificationLog, peer: HttpPeer
) -> None:
    registry = CollectorRegistry()
    labels = {"channel": "sms", "failure": "down"}
    wanted = [notification(f"c-{number}", channel="sms") for number in range(20)]
    async with _texting(log, _webhook(peer), registry):
        await log.append(*wanted[:10])
        await log.recorded(CONSUMER, 10)
        await peer.stop()
        await log.append(*wanted[10:])
        await until(lambda: (registry.get_sample_value("plimsoll_delivery_retries_total", labels) or 0) >= 3)
        assert len(log.deliveries[CONSUMER]) == 10
        await peer.start()
        deliveries = await log.recorded(CONSUMER, 20)
    assert outcomes(deliveries) == {one.notification: "sent" for one in wanted}
    assert len(peer.requests) == 20


async def test_a_connection_that_breaks_off_is_tried_again(log: MemoryNotificationLog, peer: HttpPeer) -> None:
    peer.answer = lambda request: (200, {}, "") if len(peer.requests) >= 2 else None
    await log.append(SMS)
    async with _texting(log, _webhook(peer)):
        [delivery] = await log.recorded(CONSUMER, 1)
    assert (delivery.outcome, delivery.attempts) == ("sent", 3)


async def test_an_answer_without_an_end_is_bounded(log: MemoryNotificationLog) -> None:
    asked = 0

    async def drip(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal asked
        await reader.readuntil(b"}}")
        asked += 1
        if asked == 1:
            writer.write(b"HTTP/1.1 500 Status\r\nContent-Length: 1000000\r\n\r\nslow")
        else:
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        await writer.drain()
        await reader.read()
        writer.close()

    server = await asyncio.start_server(drip, "127.0.0.1", 0)
    peer = HttpPeer()
    peer.port = server.sockets[0].getsockname()[1]
    options = msgspec.structs.replace(_webhook(peer), connect_seconds=1.0, answer_seconds=1.0)
    await log.append(SMS)
    async with _texting(log, options):
        [delivery] = await log.recorded(CONSUMER, 1)
    server.close()
    assert (delivery.outcome, delivery.attempts) == ("sent", 2)


async def test_a_notification_without_a_recipient_asks_nobody(log: MemoryNotificationLog, peer: HttpPeer) -> None:
    await log.append(notification(channel="sms", to=()))
    async with _texting(log, _webhook(peer)):
        [delivery] = await log.recorded(CONSUMER, 1)
    assert (delivery.outcome, delivery.attempts) == ("failed", 0)
    assert peer.requests == []


@pytest.mark.parametrize(
    ("language", "coding", "begins"), [("en", "0", "Account c-42: 4.99"), ("uk", "2", "Рахунок c-42: залишилося")]
)
async def test_kannel_by_get_one_request_a_number(
    log: MemoryNotificationLog, peer: HttpPeer, language: str, coding: str, begins: str
) -> None:
    peer.answer = lambda request: (202, {}, "0: Accepted for delivery")
    await log.append(notification(channel="sms", to=(ONE, "+38 044 123-45-02"), language=language))
    async with _texting(log, _kannel(peer)):
        [delivery] = await log.recorded(CONSUMER, 1)
    assert delivery.outcome == "sent"
    assert [request.query["to"] for request in peer.requests] == [ONE, TWO]
    query = peer.requests[0].query
    assert query.pop("text").startswith(begins)
    assert query == {
        "username": "plimsoll",
        "password": "pass word&",
        "from": "Acme",
        "to": ONE,
        "smsc": "route-1",
        "coding": coding,
        "charset": "UTF-8",
    }


async def test_kannel_by_post_keeps_the_password_out_of_the_address(log: MemoryNotificationLog, peer: HttpPeer) -> None:
    peer.answer = lambda request: (202, {}, "3: Queued for later delivery")
    await log.append(notification(channel="sms", to=(ONE,), language="uk"))
    async with _texting(log, _kannel(peer, "POST")):
        await log.recorded(CONSUMER, 1)
    [request] = peer.requests
    assert (request.method, request.target) == ("POST", "/cgi-bin/sendsms")
    assert request.body.decode().startswith("Рахунок c-42")
    wanted = {
        "content-type": "text/plain; charset=UTF-8",
        "x-kannel-username": "plimsoll",
        "x-kannel-password": "pass word&",
        "x-kannel-from": "Acme",
        "x-kannel-to": ONE,
        "x-kannel-smsc": "route-1",
        "x-kannel-coding": "2",
    }
    assert {name: request.headers[name] for name in wanted} == wanted


async def test_kannel_sends_no_number_again_that_it_has_taken(log: MemoryNotificationLog, peer: HttpPeer) -> None:
    busy: Iterator[Answer] = iter([(503, {}, "Temporal failure, try again later.")])

    def answer(request: Request) -> Answer:
        match request.query["to"]:
            case "+380441234501":
                return 202, {}, "0: Accepted for delivery"
            case "+380441234502":
                return next(busy, (202, {}, "0: Accepted for delivery"))
            case _:
                return 403, {}, "Not routable. Do not try again."

    peer.answer = answer
    await log.append(notification(channel="sms", to=(ONE, TWO, THREE)))
    async with _texting(log, _kannel(peer)):
        [delivery] = await log.recorded(CONSUMER, 1)
    assert [request.query["to"] for request in peer.requests] == [ONE, TWO, TWO, THREE]
    assert (delivery.outcome, delivery.to) == ("sent", (ONE, TWO))
    assert "403 Not routable" in delivery.detail


async def test_no_password_and_no_number_in_logs_and_records(
    log: MemoryNotificationLog, peer: HttpPeer, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    answers: Iterator[Answer] = iter([(500, {}, f"no luck with {ONE}"), (400, {}, f"never {ONE}")])
    peer.answer = lambda request: next(answers)
    await log.append(notification(channel="sms", to=(ONE,)))
    async with _texting(log, _kannel(peer)):
        [delivery] = await log.recorded(CONSUMER, 1)
    assert delivery.outcome == "failed"
    assert "pass" not in caplog.text
    assert "pass" not in delivery.detail
    assert ONE not in caplog.text
