"""A connection of uvicorn with what it lacks: bounds on a request's head, and answers sent in one piece."""

import asyncio
from typing import Any, Final

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from projections.api.bodies import WHOLE

_HEAD: Final = b"HTTP/1.1 "
_JOINED_MAX: Final = 64 * 1024  # of a body: a longer one is not copied to save a call


class _JoiningTransport:
    """Sends the head of an answer together with its body: one call of the kernel, and one waking of the receiver.

    Whoever uses it calls ``flush`` at the end of every answer, for those that have no body.
    """

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self._head = b""

    def write(self, data: bytes) -> None:
        if self._head and len(data) <= _JOINED_MAX:
            data, self._head = self._head + data, b""
        elif not self._head and data.startswith(_HEAD) and not data.startswith(b"100", len(_HEAD)):
            self._head = data
            return
        self.flush()
        self._transport.write(data)

    def flush(self) -> None:
        if self._head:
            head, self._head = self._head, b""
            self._transport.write(head)

    def close(self) -> None:
        self.flush()
        self._transport.close()

    def __getattr__(self, name: str) -> Any:  # Any: whatever else a transport has
        return getattr(self._transport, name)


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
        self._joining = _JoiningTransport(transport)
        self.transport = self._joining  # type: ignore[assignment]  # what uvicorn uses of a transport, it has
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

    def on_response_complete(self) -> None:
        self._joining.flush()
        super().on_response_complete()

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
