"""A reader may ask any worker: what another one has is asked of that one, in one hop at most."""

from contextvars import ContextVar
from typing import Final

import httpx
from prometheus_client import Counter
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Receive, Scope, Send

from engine.log.ports import Unavailable

HOP_HEADER: Final = "plimsoll-hop"
"""On what one worker asks of another: it is answered from there, or not at all."""

_ASK_SECONDS_MAX: Final = 5.0
_CONNECTIONS_MAX: Final = 64
_ANSWER_BYTES_MAX: Final = 4 * 1024 * 1024

_asked: ContextVar[MutableHeaders | Headers] = ContextVar("asked")


class Asked:
    """Middleware that keeps, for the time of a request, what it was asked with."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            _asked.set(Headers(scope=scope))
        await self._app(scope, receive, send)


class Others:
    """The other workers, asked over HTTP with the key of whoever asks this one."""

    def __init__(self, forwarded: Counter) -> None:
        self._forwarded = forwarded
        self._client = httpx.AsyncClient(
            limits=httpx.Limits(max_connections=_CONNECTIONS_MAX),
            trust_env=False,  # a proxy of the environment is for what is outside of the cluster
        )

    async def ask(
        self, url: str, path: str, params: dict[str, str] | None = None, *, seconds: float = _ASK_SECONDS_MAX
    ) -> httpx.Response:
        """Raises Unavailable where this request has come by another worker, and where that one does not answer."""
        return await self._ask("GET", url, path, params=params, seconds=seconds)

    async def post(self, url: str, path: str, body: bytes) -> httpx.Response:
        """As ``ask``, with a body of JSON."""
        return await self._ask("POST", url, path, body=body)

    async def _ask(
        self,
        method: str,
        url: str,
        path: str,
        *,
        params: dict[str, str] | None = None,
        body: bytes | None = None,
        seconds: float = _ASK_SECONDS_MAX,
    ) -> httpx.Response:
        given = _asked.get(Headers())
        if HOP_HEADER in given:
            self._forwarded.labels("refused").inc()
            raise Unavailable("the partition of this client is changing hands; ask again in a moment")
        headers = {HOP_HEADER: "1"}
        if "authorization" in given:
            headers["authorization"] = given["authorization"]
        if body is not None:
            headers["content-type"] = "application/json"
        try:
            response = await self._client.request(
                method, url.rstrip("/") + path, params=params, content=body, headers=headers, timeout=seconds
            )
        except httpx.HTTPError as error:
            self._forwarded.labels("failed").inc()
            raise Unavailable(f"the worker at {url} has this client and does not answer: {_named(error)}") from None
        self._forwarded.labels("answered").inc()
        if response.status_code in (200, 404, 422) and len(response.content) <= _ANSWER_BYTES_MAX:
            return response
        raise Unavailable(f"the worker at {url} has this client and answered {response.status_code}; ask again")

    async def close(self) -> None:
        """Closes the connections."""
        await self._client.aclose()


def _named(error: Exception) -> str:
    return str(error) or type(error).__name__
