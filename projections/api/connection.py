"""A connection that bounds what uvicorn's does not: how large a request's head may be and how long it may take."""

import asyncio
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from projections.api.bodies import WHOLE


class _BoundedConnection(HttpToolsProtocol):
    """``_idle_bytes``: what came in since the last thing of use, a whole head or a piece of body.

    So a head, a trailer or a chunk's extension that never ends is cut off, and one that stands still too.
    """

    head_bytes_max: int
    head_seconds_max: float

    def __init__(self, *args: Any, **kwargs: Any) -> None:  # Any: uvicorn's own signature, passed on whole
        super().__init__(*args, **kwargs)
        self._idle_bytes = 0
        self._head_timer: asyncio.TimerHandle | None = None
        self._in_head = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn's
        super().connection_made(transport)
        self._start_head_timer()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_head_timer()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        self._idle_bytes += len(data)
        super().data_received(data)
        if self._idle_bytes > self.head_bytes_max and not self.transport.is_closing():
            self.send_400_response("Request head, trailer or chunk extension too large.")
        if self._in_head:  # a head that came in one piece needs no timer
            self._start_head_timer()

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._in_head = True

    def on_headers_complete(self) -> None:
        self._in_head = False
        self._stop_head_timer()
        self._idle_bytes = 0
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        self._idle_bytes = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        self.scope[WHOLE] = True  # type: ignore[typeddict-unknown-key]  # an extension of ours
        super().on_message_complete()

    def _start_head_timer(self) -> None:
        if self._head_timer is None:
            self._head_timer = self.loop.call_later(self.head_seconds_max, self._head_too_slow)

    def _stop_head_timer(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _head_too_slow(self) -> None:
        self._head_timer = None
        if self.cycle is not None and not self.cycle.response_complete:  # type: ignore[redundant-expr]  # None at first
            self._start_head_timer()  # a pipelined head: the answer before it comes first
        elif not self.transport.is_closing():
            self.transport.close()


def bounded_connection(head_bytes_max: int, head_seconds_max: float) -> type[asyncio.Protocol]:
    """The protocol class with its bounds; uvicorn makes one instance a connection and gives it no options of ours."""
    bounds = {"head_bytes_max": head_bytes_max, "head_seconds_max": head_seconds_max}
    return type("BoundedConnection", (_BoundedConnection,), bounds)
