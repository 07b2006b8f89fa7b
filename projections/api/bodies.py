"""Request bodies, read in chunks and within bounds: one body's, all bodies' together, and a time."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from starlette.requests import ClientDisconnect, Request

from projections.api.options import ApiOptions
from projections.api.problems import ProblemError


class Bodies:
    """Counts the bytes of every body that is held, so that senders together stay within one bound."""

    def __init__(self, options: ApiOptions) -> None:
        self._limits = options.limits
        self._retry_after = str(options.retry_after_seconds)
        self.bytes_held = 0

    @asynccontextmanager
    async def read(self, request: Request) -> AsyncIterator[bytes]:
        """The whole body, counted as held until the block ends.

        Raises ProblemError 400 (empty), 408 (too slow), 413 (too large), 415 (encoded), 503 (too many at once) and
        ClientDisconnect.
        """
        self._check_head(request)
        chunks: list[bytes] = []
        try:
            await self._receive(request, chunks)
            body = chunks[0] if len(chunks) == 1 else b"".join(chunks)
            if not body:
                raise ProblemError(400, "body_empty", "expected a body, found none")
            yield body
        finally:
            self.bytes_held -= sum(map(len, chunks))

    async def _receive(self, request: Request, chunks: list[bytes]) -> None:
        size = 0
        try:
            async with asyncio.timeout(self._limits.body_seconds_max):
                more = True
                while more:
                    message = await request.receive()
                    if message["type"] != "http.request":
                        raise ClientDisconnect
                    chunk: bytes = message.get("body", b"")
                    more = message.get("more_body", False)
                    chunks.append(chunk)
                    size += len(chunk)
                    self.bytes_held += len(chunk)
                    self._check_size(size)
        except TimeoutError:
            raise ProblemError(
                408,
                "body_too_slow",
                f"expected the whole body within {self._limits.body_seconds_max:g} s; send smaller batches",
                closing=True,
            ) from None

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
