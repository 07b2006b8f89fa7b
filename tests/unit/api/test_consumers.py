"""Consumers in other processes: what only the endpoints and the HTTP adapter promise, beyond the contract suite."""

import asyncio
import json
from collections.abc import AsyncIterator

import httpx
import pytest

from engine.log.http import HttpNotificationLog, RemoteLogError
from engine.log.ports import Unavailable
from tests.unit.api.doors import JSON, Door, opened, problem, with_limits
from tests.unit.api.test_keys import KEYS, OPTIONS

PATH = "/v1/log/notifications"


@pytest.fixture
async def remote(door: Door) -> AsyncIterator[HttpNotificationLog]:
    """The HTTP adapter at the door."""
    async with await HttpNotificationLog.open("http://localhost", None, httpx.ASGITransport(door.app)) as log:
        yield log


@pytest.mark.parametrize(
    ("query", "status", "code"),
    [
        ("partition=3", 422, "partition_unknown"),
        ("partition=-1", 400, "query_invalid"),
        ("partition=0&offset=-1", 400, "query_invalid"),
        ("partition=0&offset=9223372036854775808", 400, "query_invalid"),
        ("partition=0&max=0", 400, "query_invalid"),
        ("partition=x", 400, "query_invalid"),
        ("wait_seconds=nan", 400, "query_invalid"),
        ("wait_seconds=-1", 400, "query_invalid"),
        ("seen=0", 400, "query_invalid"),
        ("seen=9:1", 422, "partition_unknown"),
    ],
)
async def test_a_read_that_does_not_fit_is_refused(door: Door, query: str, status: int, code: str) -> None:
    assert problem(await door.client.get(f"{PATH}?{query}")) == (status, code)


@pytest.mark.parametrize(
    ("what", "body", "status"),
    [
        ("commit", {"positions": {"7": 1}, "deliveries": []}, 422),
        ("commit", {"positions": {"0": -1}, "deliveries": []}, 400),
        ("commit", {"positions": {"x": 1}, "deliveries": []}, 400),
        ("commit", {"positions": {}}, 400),
        ("commit", {"positions": {}, "deliveries": [{"notification": "n"}]}, 400),
        ("commit", {"positions": {}, "deliveries": [], "more": 1}, 400),
        ("settled", {"notifications": [1]}, 400),
        ("settled", [], 400),
    ],
)
async def test_a_body_that_does_not_fit_changes_nothing(door: Door, what: str, body: object, status: int) -> None:
    answer = await door.client.post(f"/v1/consumers/mailer/{what}", content=json.dumps(body), headers=JSON)
    assert problem(answer)[0] == status
    assert door.log.deliveries == {}


@pytest.mark.parametrize("consumer", ["a%20b", "x" * 65, "%D1%8F"])
async def test_a_consumer_has_a_plain_name(door: Door, consumer: str) -> None:
    answer = await door.client.get(f"/v1/consumers/{consumer}/positions")
    assert problem(answer) == (422, "consumer_invalid")


async def test_ids_in_one_request_are_bounded() -> None:
    async with opened(with_limits(ids_max=2)) as door:
        body = json.dumps({"notifications": ["a", "b", "c"]})
        answer = await door.client.post("/v1/consumers/mailer/settled", content=body, headers=JSON)
        assert problem(answer) == (413, "items_too_many")


async def test_records_in_one_answer_are_bounded() -> None:
    async with opened(with_limits(records_max=2)) as door:
        for number in range(3):
            door.log.append(0, "c", b"%d" % number)
        answer = await door.client.get(f"{PATH}?partition=0&max=1000000")
        assert len(answer.json()["records"]) == 2


async def test_a_read_waits_for_the_first_record(door: Door) -> None:
    reading = asyncio.create_task(door.client.get(f"{PATH}?partition=0&wait_seconds=30"))
    await door.log.waiting.wait()
    door.log.append(0, "c", b"late")
    assert len((await reading).json()["records"]) == 1


async def test_what_came_between_read_and_wait_ends_the_wait(door: Door, remote: HttpNotificationLog) -> None:
    assert await remote.read(0, 0, 10) == []
    door.log.append(0, "c", b"in between")
    async with asyncio.timeout(5):
        await remote.wait(30)


async def test_what_was_read_does_not_end_a_wait(door: Door, remote: HttpNotificationLog) -> None:
    door.log.append(0, "c", b"old")
    assert len(await remote.read(0, 0, 10)) == 1
    waiting = asyncio.create_task(remote.wait(30))
    await door.log.waiting.wait()
    assert not waiting.done()
    door.log.append(1, "c", b"new")
    await waiting


async def test_those_who_wait_are_bounded_and_make_room_when_they_leave() -> None:
    async with opened(with_limits(waits_max=1)) as door:
        first = asyncio.create_task(door.client.get(f"{PATH}?wait_seconds=30"))
        await door.log.waiting.wait()
        answer = await door.client.get(f"{PATH}?wait_seconds=30")
        assert problem(answer) == (429, "waits_too_many")
        first.cancel()
        await asyncio.gather(first, return_exceptions=True)
        assert door.app.state.service.waits == 0


async def test_a_log_that_is_not_there_now_is_unavailable(door: Door, remote: HttpNotificationLog) -> None:
    door.log.failure = Unavailable("partition 0 is being restored")
    for call in (
        remote.read(0, 0, 1),
        remote.positions("mailer"),
        remote.settled("mailer", ["n"]),
        remote.commit("mailer", {0: 1}, []),
    ):
        with pytest.raises(Unavailable, match="answered 503: partition 0 is being restored"):
            await call


async def test_what_broke_there_may_pass(door: Door, remote: HttpNotificationLog) -> None:
    door.log.failure = RuntimeError("secret of the inside")
    with pytest.raises(Unavailable, match="answered 500: something failed here"):
        await remote.positions("mailer")


async def test_nobody_at_the_address_is_unavailable() -> None:
    class Nobody(httpx.AsyncBaseTransport):
        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            raise httpx.ConnectError("connection refused", request=request)

    with pytest.raises(Unavailable, match="does not answer: connection refused"):
        await HttpNotificationLog.open("http://localhost", None, Nobody())


@pytest.mark.parametrize(
    ("key", "sentence"), [("plm_wrong", "answered 401: expected a key"), (KEYS["read"], "answered 403: this key lacks")]
)
async def test_a_wrong_key_will_not_pass_later(key: str, sentence: str) -> None:
    async with opened(OPTIONS) as door:
        with pytest.raises(RemoteLogError, match=sentence) as refused:
            await HttpNotificationLog.open("http://localhost", key, httpx.ASGITransport(door.app))
        assert key not in str(refused.value)


async def test_another_server_at_the_address_is_said_so() -> None:
    class Stranger(httpx.AsyncBaseTransport):
        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            return httpx.Response(200, text="<html>hello</html>")

    with pytest.raises(RemoteLogError, match="was not understood"):
        await HttpNotificationLog.open("http://localhost", None, Stranger())
