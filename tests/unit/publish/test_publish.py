"""Publishing: in order, again after failures, each event once, bounded patience."""

import asyncio
import socket

import pytest
from starlette.responses import Response

from engine.failures import WrongUse
from engine.publish import Piece, PublishFailed, PublishOptions, RefusedEvent, Totals, publish
from projections.api.problems import Problem, problem_response
from tests.unit.publish.door import Door, charges, serving


def busy(status: int = 429, retry_after: str | None = "0") -> Response:
    headers = {} if retry_after is None else {"retry-after": retry_after}
    return problem_response(Problem("Busy", status, "overloaded", "the ingest queue is full"), headers)


def pieces(lines: list[bytes]) -> list[Piece]:
    return [Piece(line, f"f:{number}") for number, line in enumerate(lines, start=1)]


async def send(url: str, lines: list[bytes], **options: object) -> tuple[Totals, list[RefusedEvent]]:
    refused: list[RefusedEvent] = []
    settings = {"backoff_first_seconds": 0.001, "give_up_seconds": 20.0, **options}
    totals = await publish(
        pieces(lines),
        PublishOptions(url, **settings),  # type: ignore[arg-type]  # options by name
        lambda _, more, __: refused.extend(more),
    )
    return totals, refused


async def test_events_go_in_batches_in_order() -> None:
    door = Door()
    async with serving(door.app) as url:
        totals, _ = await send(url, charges(25), batch_events_max=10)
    assert [len(request) for request in door.requests] == [10, 10, 5]
    assert door.order == [str(n) for n in range(25)]
    assert (totals.sent, totals.accepted, totals.duplicate, totals.refused_count) == (25, 25, 0, 0)


async def test_batches_are_bounded_in_bytes() -> None:
    door = Door()
    async with serving(door.app) as url:
        await send(url, charges(10), batch_bytes_max=200)
    assert max(len(b"\n".join(request)) for request in door.requests) <= 200
    assert len(door.taken) == 10


async def test_second_run_changes_nothing() -> None:
    door = Door()
    async with serving(door.app) as url:
        await send(url, charges(7))
        totals, _ = await send(url, charges(7))
    assert (totals.accepted, totals.duplicate) == (0, 7)
    assert door.order == [str(n) for n in range(7)]


@pytest.mark.parametrize("status", [429, 503, 502])
async def test_busy_product_is_asked_again(status: int) -> None:
    door = Door()
    door.script = [busy(status), busy(status, None), None]
    async with serving(door.app) as url:
        totals, _ = await send(url, charges(3))
    assert (totals.sent, totals.accepted) == (3, 3)
    assert len(door.requests) == 3


async def test_answer_that_is_lost_applies_nothing_twice() -> None:
    door = Door()
    door.lose_answers = 1
    async with serving(door.app) as url:
        totals, _ = await send(url, charges(5))
    assert (totals.accepted, totals.duplicate) == (0, 5)
    assert len(door.taken) == 5


async def test_refused_events_are_told_by_place_and_reason() -> None:
    door = Door()
    lines = charges(3)
    lines[1] = b"{ no json"
    async with serving(door.app) as url:
        totals, refused = await send(url, lines)
    assert totals.refused == {"malformed": 1}
    assert refused == [RefusedEvent("f:2", "malformed", "no event", "{ no json")]


async def test_batch_that_is_too_large_goes_in_halves_and_in_order() -> None:
    door = Door()
    door.events_max = 3
    async with serving(door.app) as url:
        totals, refused = await send(url, charges(10))
    assert totals.accepted == 10
    assert refused == []
    assert door.order == [str(n) for n in range(10)]


async def test_single_event_that_is_too_large_is_refused() -> None:
    door = Door()
    door.events_max = 0
    async with serving(door.app) as url:
        totals, refused = await send(url, charges(2))
    assert totals.refused == {"malformed": 2}
    assert [event.place for event in refused] == ["f:1", "f:2"]


async def test_key_is_sent_as_bearer() -> None:
    door = Door()
    async with serving(door.app) as url:
        await send(url, charges(1), key="k-123")
    assert door.keys == ["Bearer k-123"]


@pytest.mark.parametrize(
    ("status", "message"),
    [(401, "give it with --key or PLIMSOLL_KEY"), (403, "the key may not do this"), (404, "answered 404")],
)
async def test_refusal_to_talk_ends_at_once(status: int, message: str) -> None:
    door = Door()
    door.script = [problem_response(Problem("No", status, "no", "not so"))]
    async with serving(door.app) as url:
        with pytest.raises(PublishFailed, match=message):
            await send(url, charges(1))
    assert len(door.requests) == 1


async def test_patience_ends_with_a_sentence_that_says_what_to_do() -> None:
    door = Door()
    door.script = [busy() for _ in range(10_000)]
    async with serving(door.app) as url:
        with pytest.raises(PublishFailed, match=r"queue is full; gave up after 0\.05 s .* not applied twice"):
            await send(url, charges(1), give_up_seconds=0.05)


async def test_nothing_listens() -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{closed.getsockname()[1]}"
        with pytest.raises(PublishFailed, match="nothing answers at"):
            await send(url, charges(1), give_up_seconds=0.01)


async def test_product_that_starts_late_is_waited_for() -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        sending = asyncio.create_task(send(url, charges(2)))
        asked = asyncio.Event()
        asyncio.get_running_loop().call_later(0.02, asked.set)
        await asked.wait()
        answered: list[bytes] = []

        async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            head = await reader.readuntil(b"\r\n\r\n")
            length = next(int(line[16:]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:"))
            answered.append(await reader.readexactly(length))
            body = b'{"results":[],"accepted":2,"duplicate":0,"refused":0}'
            writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%s" % (len(body), body))
            await writer.drain()
            writer.close()

        async with await asyncio.start_server(answer, sock=listener):
            totals, _ = await sending
    assert totals.accepted == 2
    assert len(answered) == 1


async def test_answer_of_another_service_is_a_sentence() -> None:
    door = Door()
    door.script = [Response("<html>", 200)]
    async with serving(door.app) as url:
        with pytest.raises(PublishFailed, match="is it this product's address"):
            await send(url, charges(1))


@pytest.mark.parametrize(("url", "key"), [("localhost:8080", None), ("ftp://x", None), ("http://127.0.0.1:1", "a\nb")])
async def test_address_and_key_that_cannot_be_are_wrong_use(url: str, key: str | None) -> None:
    with pytest.raises(WrongUse):
        await send(url, charges(1), key=key)
