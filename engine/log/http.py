"""The notification log of an engine in another process, over its HTTP API (``/v1/log``, ``/v1/consumers``).

Nothing is tried again here: a failure that may pass is raised as Unavailable and the consumer decides. A ``commit``
whose answer was lost may have been done; doing it again moves no position back.
"""

from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Final, Self, TypeVar
from urllib.parse import quote

import httpx
import msgspec

from engine.log.ports import LogRecord, Unavailable
from schemas.outputs import Delivery

_CONNECT_SECONDS: Final = 5.0
_ANSWER_SECONDS: Final = 15.0
"""Beyond the time that was asked to wait: an engine that commits to a slow disk still answers within it."""
_RETRIABLE: Final = frozenset({408, 429, 500, 502, 503, 504})
_PATH: Final = "/v1/log/notifications"

T = TypeVar("T")


class RemoteLogError(Exception):
    """The engine refused a request that will not be taken later either: a wrong key, address or position."""

    retriable = False


class _Page(msgspec.Struct, frozen=True):
    partitions: int
    records: list[LogRecord]


class _Positions(msgspec.Struct, frozen=True):
    positions: dict[int, int]


class _Settled(msgspec.Struct, frozen=True):
    settled: list[str]


class _Problem(msgspec.Struct, frozen=True):
    detail: str


class HttpNotificationLog:
    """NotificationLog over HTTP; made by ``open``, used and closed by ``async with``."""

    def __init__(self, client: httpx.AsyncClient, partitions: int) -> None:
        self._client = client
        self._partitions = partitions
        self._seen: dict[int, int] = {}

    @classmethod
    async def open(cls, url: str, key: str | None, transport: httpx.AsyncBaseTransport | None = None) -> Self:
        """Connects to ``url`` (``http://host:port``) with a key of scope operate, or none where keys are off.

        Raises Unavailable or RemoteLogError.
        """
        headers = {} if key is None else {"authorization": f"Bearer {key}"}
        timeout = httpx.Timeout(_ANSWER_SECONDS, connect=_CONNECT_SECONDS)
        client = httpx.AsyncClient(base_url=url, headers=headers, timeout=timeout, transport=transport, trust_env=False)
        log = cls(client, 0)
        try:
            log._partitions = (await log._page({})).partitions
        except BaseException:
            await client.aclose()
            raise
        return log

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._client.aclose()

    @property
    def partitions(self) -> int:
        """How many partitions the topic has, fixed for life."""
        return self._partitions

    async def positions(self, consumer: str) -> Mapping[int, int]:
        """Where the consumer stands; a partition that is absent stands at the start."""
        answer = await self._request("GET", f"/v1/consumers/{quote(consumer, safe='')}/positions")
        return _decoded(answer, _Positions).positions

    async def read(self, partition: int, offset: int, records_max: int) -> Sequence[LogRecord]:
        """Durable records from ``offset`` on, in order; empty where there are none now."""
        page = await self._page({"partition": partition, "offset": offset, "max": records_max})
        self._seen[partition] = page.records[-1].offset + 1 if page.records else offset
        return page.records

    async def wait(self, timeout_seconds: float) -> None:
        """Returns when there may be something after what was read last, at the latest after the timeout."""
        seen = ",".join(f"{partition}:{offset}" for partition, offset in self._seen.items())
        await self._page({"wait_seconds": timeout_seconds, "seen": seen}, timeout_seconds)

    async def settled(self, consumer: str, notifications: Sequence[str]) -> frozenset[str]:
        """Which of these notification ids already have a delivery recorded by this consumer."""
        body = msgspec.json.encode({"notifications": notifications})
        answer = await self._request("POST", f"/v1/consumers/{quote(consumer, safe='')}/settled", body)
        return frozenset(_decoded(answer, _Settled).settled)

    async def commit(self, consumer: str, positions: Mapping[int, int], deliveries: Sequence[Delivery]) -> None:
        """Records deliveries and moves positions forward, in one durable step."""
        body = msgspec.json.encode({"positions": dict(positions), "deliveries": deliveries})
        await self._request("POST", f"/v1/consumers/{quote(consumer, safe='')}/commit", body)

    async def _page(self, query: Mapping[str, str | int | float], wait_seconds: float = 0.0) -> _Page:
        return _decoded(await self._request("GET", _PATH, query=query, wait_seconds=wait_seconds), _Page)

    async def _request(
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        query: Mapping[str, str | int | float] | None = None,
        wait_seconds: float = 0.0,
    ) -> bytes:
        timeout = httpx.Timeout(_ANSWER_SECONDS + wait_seconds, connect=_CONNECT_SECONDS)
        headers = None if body is None else {"content-type": "application/json"}
        try:
            answer = await self._client.request(
                method, path, content=body, params=query, headers=headers, timeout=timeout
            )
        except httpx.TransportError as error:
            what = str(error) or type(error).__name__
            raise Unavailable(f"the engine at {self._client.base_url} does not answer: {what}") from None
        if answer.is_success:
            return answer.content
        sentence = f"the engine at {self._client.base_url} answered {answer.status_code}: {_detail(answer.content)}"
        if answer.status_code in _RETRIABLE:
            raise Unavailable(sentence)
        raise RemoteLogError(sentence)


def _decoded(content: bytes, type_: type[T]) -> T:
    try:
        return msgspec.json.decode(content, type=type_)
    except msgspec.MsgspecError as error:
        raise RemoteLogError(f"the engine's answer was not understood, is it of another version? {error}") from None


def _detail(content: bytes) -> str:
    try:
        return msgspec.json.decode(content, type=_Problem).detail
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return "with no further word; is the address right?"
