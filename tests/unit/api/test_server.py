"""The door on a real socket: bounds that only a socket shows, a port in use, and an end that answers first."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import msgspec
import pytest
from prometheus_client import CollectorRegistry
from starlette.applications import Starlette

from projections.api import ApiOptions, ListenError, create_app, listen, serve
from tests.fakes.ingest import FakeIngest, charge
from tests.fakes.log import FakeNotificationLog
from tests.fakes.views import FakeViews
from tests.unit.api.doors import NDJSON, with_limits

FREE = ApiOptions(port=0, auth="off")
TEST_SECONDS_MAX = 120


@asynccontextmanager
async def _served(
    options: ApiOptions = FREE, log: FakeNotificationLog | None = None
) -> AsyncIterator[tuple[int, asyncio.Event, asyncio.Task[None]]]:
    options = msgspec.structs.replace(options, port=0)
    bound = listen(options)
    port = bound.getsockname()[1]
    stop = asyncio.Event()
    app = create_app(FakeIngest(), FakeViews(), log or FakeNotificationLog(), options, CollectorRegistry())
    serving = asyncio.create_task(serve(app, options, stop, bound))
    try:
        async with asyncio.timeout(TEST_SECONDS_MAX):
            yield port, stop, serving
    finally:
        stop.set()
        await serving


async def _talk(port: int, *pieces: bytes) -> bytes:
    """Sends pieces and returns everything that comes back until the server closes."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
        return await reader.read()
    finally:
        writer.close()


async def test_events_go_through_a_socket() -> None:
    async with _served() as (port, _, _), httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=60) as client:
        body = b"\n".join(charge(f"{number}") for number in range(2_000))
        answer = await client.post("/v1/events", content=body, headers=NDJSON)
        assert answer.json()["accepted"] == 2_000
        assert "server" not in answer.headers
        raw = (await client.get("/v1/clients/a%2Fb")).json()
        assert raw["code"] == "not_found"


async def test_an_oversize_chunked_body_is_answered_and_cut_off() -> None:
    head = b"POST /v1/events HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/x-ndjson\r\n"
    chunk = b"%x\r\n%s\r\n" % (10_000, b"x" * 10_000)
    async with _served(with_limits(body_bytes_max=100_000)) as (port, _, _):
        received = await _talk(port, head + b"transfer-encoding: chunked\r\n\r\n", *[chunk] * 11)
        assert received.startswith(b"HTTP/1.1 413 ")
        assert b'"code":"body_too_large"' in received


async def test_an_oversize_length_is_answered_before_the_body_comes() -> None:
    head = b"POST /v1/events HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n"
    async with _served() as (port, _, _):
        received = await _talk(port, head + b"content-length: 99999999999\r\nexpect: 100-continue\r\n\r\n")
        assert received.startswith(b"HTTP/1.1 413 ")


async def test_a_slow_body_is_answered_and_cut_off() -> None:
    head = b"POST /v1/events HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n"
    async with _served(with_limits(body_seconds_max=0.1)) as (port, _, _):
        received = await _talk(port, head + b"content-length: 100\r\n\r\n{")
        assert received.startswith(b"HTTP/1.1 408 ")


async def test_a_slow_body_is_cut_off_after_one_that_came_with_its_head_too() -> None:
    head = b"POST /v1/events HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n"
    whole = head + b"content-length: %d\r\n\r\n" % len(charge("1")) + charge("1")
    async with _served(with_limits(body_seconds_max=0.1)) as (port, _, _):
        received = await _talk(port, whole, whole + head + b"content-length: 100\r\n\r\n{")
        assert received.count(b"HTTP/1.1 200 ") == 2
        assert b"HTTP/1.1 408 " in received


@pytest.mark.parametrize("sent", [b"", b"GET /healthz HT", b"GET /healthz HTTP/1.1\r\nhost: local"])
async def test_a_slow_head_is_cut_off(sent: bytes) -> None:
    async with _served(with_limits(head_seconds_max=0.1)) as (port, _, _):
        assert await _talk(port, sent) == b""


async def test_a_head_may_be_slow_only_once_it_has_begun() -> None:
    request = b"GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n"
    async with _served(with_limits(head_seconds_max=0.3)) as (port, _, _):
        received = await _talk(port, request, request, b"GET /healthz")
        assert received.count(b"HTTP/1.1 200 ") == 2


@pytest.mark.parametrize(
    "head",
    [
        [b"GET /healthz HTTP/1.1\r\nx: ", *[b"x" * 1_000] * 100],
        [b"GET /healthz HTTP/1.1\r\n", *[b"x: 1\r\n" * 100] * 100],
        [b"GET /", *[b"x" * 1_000] * 100],
        [
            b"POST /v1/events HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: chunked\r\n\r\n0\r\nx: ",
            *[b"x" * 1_000] * 100,
        ],
    ],
    ids=["a long header", "many headers", "a long path", "a long trailer"],
)
async def test_a_head_without_end_is_cut_off(head: list[bytes]) -> None:
    async with _served(with_limits(head_bytes_max=8_192, head_seconds_max=1_000.0)) as (port, _, _):
        try:
            received = await _talk(port, *head)
        except ConnectionError:  # cut off while still sending
            return
        assert received == b"" or received.startswith(b"HTTP/1.1 4")


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [("HEAD", "/healthz", 0), ("GET", "/healthz", 15), ("GET", "/openapi.json", 100_000)],
    ids=["no body", "a short body", "a body that is sent by itself"],
)
async def test_an_answer_comes_whole_whatever_its_body(method: str, path: str, body: int) -> None:
    async with _served() as (port, _, _), httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=60) as client:
        for _ in range(2):
            answer = await client.request(method, path)
            assert answer.status_code == 200
            assert body <= len(answer.content) <= int(answer.headers["content-length"])


async def test_noise_instead_of_http_is_refused() -> None:
    async with _served() as (port, _, _):
        assert (await _talk(port, b"\x16\x03\x01\x02\x00\x01\x00")).startswith(b"HTTP/1.1 400 ")


async def test_a_port_in_use_is_one_sentence() -> None:
    async with _served() as (port, _, _):
        with pytest.raises(ListenError, match=f"port {port} on 127.0.0.1 is in use by another process; stop that one"):
            await serve(Starlette(), ApiOptions(port=port, auth="off"), asyncio.Event())


@pytest.mark.parametrize(
    ("host", "sentence"),
    [("192.0.2.1", "192.0.2.1 is no address of this machine"), ("no-such-host.invalid", "is not known here")],
)
async def test_a_host_that_cannot_be_bound_is_one_sentence(host: str, sentence: str) -> None:
    from tests.unit.api.test_keys import OPTIONS

    with pytest.raises(ListenError, match=sentence):
        listen(msgspec.structs.replace(OPTIONS, host=host, port=0))


async def test_a_certificate_that_is_not_there_is_one_sentence(tmp_path: Path) -> None:
    options = msgspec.structs.replace(FREE, tls_certificate=str(tmp_path / "c.pem"), tls_key=str(tmp_path / "k.pem"))
    app = create_app(FakeIngest(), FakeViews(), FakeNotificationLog(), options, CollectorRegistry())
    with pytest.raises(ListenError, match="cannot be used as certificate and key in PEM"):
        await serve(app, options, asyncio.Event())


async def test_who_waits_is_answered_when_the_door_closes() -> None:
    log = FakeNotificationLog()
    async with _served(log=log) as (port, stop, serving), httpx.AsyncClient(timeout=20) as client:
        url = f"http://127.0.0.1:{port}/v1/log/notifications?wait_seconds=30"
        waiting = asyncio.create_task(client.get(url))
        await log.waiting.wait()
        stop.set()
        assert (await waiting).json() == {"partitions": 3, "records": []}
        await serving
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", port)).close()


async def test_who_waits_and_goes_makes_room() -> None:
    log = FakeNotificationLog()
    async with _served(log=log) as (port, _, _):
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET /v1/log/notifications?wait_seconds=30 HTTP/1.1\r\nhost: localhost\r\n\r\n")
        await log.waiting.wait()
        writer.close()
        await log.left.wait()


async def test_a_connection_in_which_one_event_follows_another_stays_open() -> None:
    async with _served() as (port, _, _):
        raw = charge("1")
        head = b"POST /v1/events HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n"
        request = head + b"content-length: %d\r\n\r\n%s" % (len(raw), raw)
        received = await _talk(port, request * 2, head + b"connection: close\r\ncontent-length: 0\r\n\r\n")
        assert received.count(b"HTTP/1.1 200 ") == 2
        assert received.count(b"HTTP/1.1 400 ") == 1
