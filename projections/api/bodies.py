"""Request bodies, read in chunks and within bounds: one body's, all bodies' together, and a time."""

import asyncio
from types import TracebackType
from typing import Final

from starlette.requests import ClientDisconnect, Request

from projections.api.options import ApiOptions
from projections.api.problems import ProblemError

WHOLE: Final = "plimsoll.whole"
"""Set in a request's scope by a server that has all of its body already, so that reading it cannot wait."""


class Bodies:
    """Counts the bytes of every body that is held, so that senders together stay within one bound."""

    def __init__(self, options: ApiOptions) -> None:
        self._limits = options.limits
        self._retry_after = str(options.retry_after_seconds)
        self.bytes_held = 0

    def read(self, request: Request) -> "_Held":
        """For ``async with``: the whole body, counted as held until the block ends.

        Raises ProblemError 400 (empty), 408 (too slow), 413 (too large), 415 (encoded), 503 (too many at once) and
        ClientDisconnect.
        """
        return _Held(self, request)

    async def receive(self, request: Request, held: "_Held") -> bytes:
        """The body; ``held`` is told of every byte as it comes in, whatever ends the reading."""
        self._check_head(request)
        if WHOLE in request.scope:  # a timer that is set and taken back is a tenth of what a small request costs
            body = await self._chunks(request, held)
        else:
            try:
                async with asyncio.timeout(self._limits.body_seconds_max):
                    body = await self._chunks(request, held)
            except TimeoutError:
                raise ProblemError(
                    408,
                    "body_too_slow",
                    f"expected the whole body within {self._limits.body_seconds_max:g} s; send smaller batches",
                    closing=True,
                ) from None
        if not body:
            raise ProblemError(400, "body_empty", "expected a body, found none")
        return body

    async def _chunks(self, request: Request, held: "_Held") -> bytes:
        chunks: list[bytes] = []
        more = True
        while more:
            message = await request.receive()
            if message["type"] != "http.request":
                raise ClientDisconnect
            chunk: bytes = message.get("body", b"")
            more = message.get("more_body", False)
            chunks.append(chunk)
            held.size += len(chunk)
            self.bytes_held += len(chunk)
            self._check_size(held.size)
        return chunks[0] if len(chunks) == 1 else b"".join(chunks)

    def _check_head(self, request: Request) -> None:
        encoding = request.headers.get("content-encoding", "identity")
        if encoding.lower() != "identity":
            raise ProblemError(
                415,
                "encoding_unsupported",
                "expected a body without Content-Encoding, found an encoded one: send it as it is",
                headers={"accept-encoding": "identity"},
                closing=True,
            )
        length = request.headers.get("content-length", "")
        if length.isdecimal() and len(length) < 20:
            self._check_size(int(length))

    def _check_size(self, size: int) -> None:
        most = self._limits.body_bytes_max
        if size > most:
            raise ProblemError(
                413, "body_too_large", f"expected a body of at most {most} bytes; send smaller batches", closing=True
            )
        if self.bytes_held > self._limits.bodies_bytes_max:
            raise ProblemError(
                503,
                "bodies_too_many",
                "too much is being received at once; send this again",
                headers={"retry-after": self._retry_after},
                closing=True,
            )


class _Held:
    """One body that is being read or held; ``size``: its bytes so far."""

    __slots__ = ("_bodies", "_request", "size")

    def __init__(self, bodies: Bodies, request: Request) -> None:
        self._bodies, self._request = bodies, request
        self.size = 0

    async def __aenter__(self) -> bytes:
        try:
            return await self._bodies.receive(self._request, self)
        except BaseException:  # raised again: a block that is not entered is not left either
            self._bodies.bytes_held -= self.size
            raise

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bodies.bytes_held -= self.size
