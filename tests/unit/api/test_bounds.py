"""What one sender, and all together, can make the door hold: bodies, events, requests in flight."""

import asyncio
import tracemalloc
from collections.abc import AsyncIterator, Sequence

import pytest

from engine.log.ports import Answer
from projections.api.service import Service
from tests.fakes.ingest import charge
from tests.unit.api.doors import JSON, NDJSON, Door, opened, problem, with_limits


async def _chunks(*chunks: bytes) -> AsyncIterator[bytes]:
    for chunk in chunks:
        yield chunk


def _service(door: Door) -> Service:
    service: Service = door.app.state.service
    return service


async def test_a_body_at_the_limit_is_taken_and_one_byte_more_is_not() -> None:
    size = len(charge("1"))
    async with opened(with_limits(body_bytes_max=size)) as door:
        assert (await door.events(charge("1"))).status_code == 200
        answer = await door.events(charge("1") + b" ")
        assert problem(answer) == (413, "body_too_large")
        assert answer.headers["connection"] == "close"


async def test_a_chunked_body_is_cut_off_where_it_passes_the_limit() -> None:
    taken = 0

    async def far_too_long() -> AsyncIterator[bytes]:
        nonlocal taken
        for _ in range(1_000):
            taken += 1
            yield b"x" * 100

    async with opened(with_limits(body_bytes_max=1_000)) as door:
        answer = await door.client.post("/v1/events", content=far_too_long(), headers=NDJSON)
        assert problem(answer) == (413, "body_too_large")
        assert taken == 11
        assert _service(door).bodies.bytes_held == 0


async def test_an_event_too_long_is_refused_alone() -> None:
    size = len(charge("1"))
    async with opened(with_limits(event_bytes_max=size)) as door:
        lines = b"\n".join([charge("1"), charge("22"), charge("3"), charge("44")])
        for body, headers in (
            (lines, NDJSON),
            (b"[" + lines.replace(b"\n", b",").replace(b'"id":"', b'"id":"') + b"]", JSON),
        ):
            answer = await door.client.post("/v1/events", content=body, headers=headers)
            refused = [item.get("reason") for item in answer.json()["results"]]
            assert refused == [None, "malformed", None, "malformed"]
        assert door.ingest.submitted == [charge("1"), charge("3")] * 2


async def test_one_event_too_long_is_a_bad_request() -> None:
    async with opened(with_limits(event_bytes_max=10)) as door:
        answer = await door.events(charge("1"))
        assert problem(answer) == (400, "event_refused")
        assert answer.json()["reason"] == "malformed"


@pytest.mark.parametrize("media", ["application/json", "application/x-ndjson"])
async def test_events_at_the_limit_are_taken_and_one_more_is_not(media: str) -> None:
    async with opened(with_limits(events_max=3)) as door:
        for count, status in ((3, 200), (4, 413), (1_000, 413)):
            items = [charge(f"{count}-{index}") for index in range(count)]
            body = b"\n".join(items) if media.endswith("ndjson") else b"[" + b",".join(items) + b"]"
            assert (await door.events(body, media)).status_code == status
        assert len(door.ingest.submitted) == 3


async def test_millions_of_tiny_values_are_not_built() -> None:
    async with opened() as door:
        body = b"[" + b"1," * 4_000_000 + b"1]"
        tracemalloc.start()
        try:
            answer = await door.events(body)
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert problem(answer) == (413, "events_too_many")
        assert peak < 4 * len(body)


async def test_a_sender_that_stands_still_is_answered() -> None:
    async def stalled() -> AsyncIterator[bytes]:
        yield b"{"
        await asyncio.Event().wait()

    async with opened(with_limits(body_seconds_max=0.05)) as door:
        answer = await door.client.post("/v1/events", content=stalled(), headers=JSON)
        assert problem(answer) == (408, "body_too_slow")
        assert _service(door).bodies.bytes_held == 0


class _HeldIngest:
    """Answers nothing until released."""

    def __init__(self) -> None:
        self.reached, self.release = asyncio.Event(), asyncio.Event()

    async def submit(self, events: Sequence[bytes]) -> list[Answer]:
        self.reached.set()
        await self.release.wait()
        return [Answer("duplicate")] * len(events)


async def test_bodies_together_stay_within_their_bound() -> None:
    size = len(charge("1"))
    async with opened(with_limits(body_bytes_max=size, bodies_bytes_max=2 * size - 1)) as door:
        held = _service(door).ingest = _HeldIngest()
        first = asyncio.create_task(door.events(charge("1")))
        await held.reached.wait()
        assert _service(door).bodies.bytes_held == size
        answer = await door.events(charge("2"))
        assert problem(answer) == (503, "bodies_too_many")
        assert answer.headers["retry-after"] == "2"
        held.release.set()
        assert (await first).status_code == 200
        assert (await door.events(charge("2"))).status_code == 200
        assert _service(door).bodies.bytes_held == 0


async def test_requests_in_flight_are_bounded_and_health_is_still_answered() -> None:
    async with opened(with_limits(requests_max=1)) as door:
        held = _service(door).ingest = _HeldIngest()
        first = asyncio.create_task(door.events(charge("1")))
        await held.reached.wait()
        answer = await door.events(charge("2"))
        assert problem(answer) == (503, "requests_too_many")
        assert answer.headers["retry-after"] == "2"
        assert (await door.client.get("/healthz")).status_code == 200
        held.release.set()
        assert (await first).status_code == 200


async def test_chunks_are_joined_as_they_came() -> None:
    raw = charge("1")
    async with opened() as door:
        answer = await door.client.post("/v1/events", content=_chunks(raw[:7], b"", raw[7:]), headers=JSON)
        assert answer.json()["status"] == "accepted"
        assert door.ingest.submitted == [raw]
