"""A real HTTP server on a free loopback port, with a door that answers as it is told."""

import asyncio
import contextlib
import json
import socket
from collections.abc import AsyncIterator, Callable

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from projections.api.problems import Problem, problem_response

Respond = Callable[[list[bytes]], Response | None]


class Door:
    """Takes NDJSON events, tells repeats by (client, source, id), and refuses what is no JSON.

    ``script`` holds what to answer the next requests instead, in order; None in it answers as usual. ``lose_answers``
    applies so many requests and then breaks the connection.
    """

    def __init__(self) -> None:
        self.requests: list[list[bytes]] = []
        self.keys: list[str | None] = []
        self.taken: dict[tuple[str, ...], bytes] = {}
        self.order: list[str] = []
        self.script: list[Response | None] = []
        self.lose_answers = 0
        self.events_max = 10_000
        self.app = Starlette(routes=[Route("/v1/events", self._post, methods=["POST"])])

    async def _post(self, request: Request) -> Response:
        assert request.query_params["answers"] == "refused"
        assert request.headers["content-type"] == "application/x-ndjson"
        lines = (await request.body()).split(b"\n")
        self.requests.append(lines)
        self.keys.append(request.headers.get("authorization"))
        if self.script:
            scripted = self.script.pop(0)
            if scripted is not None:
                return scripted
        if len(lines) > self.events_max:
            return problem_response(Problem("Too large", 413, "events_too_many", "too many"))
        answer = self._answer(lines)
        if self.lose_answers:
            self.lose_answers -= 1
            raise ConnectionAbortedError  # uvicorn answers 500: the sender cannot know that it was applied
        return answer

    def _answer(self, lines: list[bytes]) -> Response:
        refused: list[dict[str, object]] = []
        accepted = duplicate = 0
        for index, line in enumerate(lines):
            try:
                event = json.loads(line)
                identity = (event.get("client", ""), event["source"], event["id"])
            except (ValueError, KeyError):
                refused.append({"index": index, "status": "refused", "reason": "malformed", "message": "no event"})
                continue
            if identity in self.taken:
                duplicate += 1
                continue
            self.taken[identity] = line
            self.order.append(event["id"])
            accepted += 1
        counts = {"accepted": accepted, "duplicate": duplicate, "refused": len(refused)}
        return JSONResponse({"results": refused, **counts})


class _Server(uvicorn.Server):
    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.ready = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets=sockets)
        self.ready.set()


@contextlib.asynccontextmanager
async def serving(app: Starlette) -> AsyncIterator[str]:
    """The address of the app while it is served."""
    server = _Server(uvicorn.Config(app, host="127.0.0.1", port=0, log_level="critical", lifespan="off"))
    task = asyncio.create_task(server.serve())
    try:
        await server.ready.wait()
        port = server.servers[0].sockets[0].getsockname()[1]
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        await task


def charges(count: int) -> list[bytes]:
    """Charges of two clients in turn, ids from 0."""
    return [
        json.dumps({"type": "charge", "id": str(n), "source": "s", "client": f"c-{n % 2}", "amount": "0.1"}).encode()
        for n in range(count)
    ]
