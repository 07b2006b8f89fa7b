"""The door on a real socket: uvicorn with httptools, bounded where uvicorn itself is not."""

import asyncio
import errno
import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import uvicorn
from starlette.applications import Starlette

from projections.api.connection import bounded_connection
from projections.api.options import ApiOptions, check_options
from projections.api.service import Service

_BACKLOG: Final = 1024


class ListenError(Exception):
    """The door cannot open; ``str`` says why and what to do."""

    retriable = False


def listen(options: ApiOptions) -> socket.socket:
    """A bound socket, so that a port in use is known before anything else is started.

    Raises OptionsError or ListenError.
    """
    check_options(options)
    try:
        infos = socket.getaddrinfo(options.host, options.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except socket.gaierror:
        raise ListenError(
            f"the host {options.host} is not known here; set api.host to an address of this machine"
        ) from None
    family, kind, protocol, _, address = infos[0]
    bound = socket.socket(family, kind, protocol)
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind(address)
        bound.listen(_BACKLOG)
        bound.setblocking(False)
    except OSError as error:
        bound.close()
        raise ListenError(_sentence(error, options)) from None
    return bound


def _sentence(error: OSError, options: ApiOptions) -> str:
    place = f"port {options.port} on {options.host}"
    if error.errno == errno.EADDRINUSE:
        return f"{place} is in use by another process; stop that one, or choose another port"
    if error.errno == errno.EACCES:
        return f"{place} may not be opened by this user; choose a port above 1023"
    if error.errno == errno.EADDRNOTAVAIL:
        return f"{options.host} is no address of this machine; set api.host to one that is, or to 127.0.0.1"
    return f"{place} cannot be opened: {error.strerror}"


async def serve(app: Starlette, options: ApiOptions, stop: asyncio.Event, bound: socket.socket | None = None) -> None:
    """Serves ``app`` until ``stop`` is set, then answers what is in flight and returns.

    ``bound`` is a socket from ``listen``; without one it listens itself. Closes the socket. Handles no signals: who
    sets ``stop`` does. Raises OptionsError or ListenError.
    """
    bound = listen(options) if bound is None else bound
    service: Service = app.state.service
    try:
        server = _Server(_config(app, options))
    except ListenError:
        bound.close()
        raise
    serving = asyncio.create_task(server.serve(sockets=[bound]))
    stopping = asyncio.create_task(stop.wait())
    try:
        await asyncio.wait((serving, stopping), return_when=asyncio.FIRST_COMPLETED)
    finally:
        service.stopping.set()
        server.should_exit = True
        stopping.cancel()
        await asyncio.gather(stopping, return_exceptions=True)
        await serving
        bound.close()


def _config(app: Starlette, options: ApiOptions) -> uvicorn.Config:
    limits = options.limits
    config = uvicorn.Config(
        app,
        http=bounded_connection(limits.head_bytes_max, limits.head_seconds_max),
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        backlog=_BACKLOG,
        limit_concurrency=limits.connections_max,
        timeout_keep_alive=int(limits.keep_alive_seconds_max),
        timeout_graceful_shutdown=max(1, int(options.stop_seconds_max)),
        ssl_certfile=options.tls_certificate,
        ssl_keyfile=options.tls_key,
    )
    try:
        config.load()
    except (OSError, ssl.SSLError) as error:
        names = " and ".join(str(Path(name)) for name in (options.tls_certificate, options.tls_key) if name)
        raise ListenError(f"{names} cannot be used as certificate and key in PEM: {error}") from None
    return config


class _Server(uvicorn.Server):
    """Leaves the process's signals to whoever owns the process."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield
