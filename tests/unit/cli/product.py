"""A product that answers on a free loopback port from another thread, for commands that have a loop of their own."""

import asyncio
import contextlib
import threading
from collections.abc import Iterator

from starlette.applications import Starlette

from tests.unit.publish.door import serving


@contextlib.contextmanager
def running(app: Starlette) -> Iterator[str]:
    """The address of the app while it is served."""
    started = threading.Event()
    addresses: list[str] = []
    stops: list[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = []

    async def serve() -> None:
        stop = asyncio.Event()
        async with serving(app) as address:
            addresses.append(address)
            stops.append((asyncio.get_running_loop(), stop))
            started.set()
            await stop.wait()

    thread = threading.Thread(target=lambda: asyncio.run(serve()))
    thread.start()
    try:
        assert started.wait(10), "the product did not start"
        yield addresses[0]
    finally:
        for loop, stop in stops:
            loop.call_soon_threadsafe(stop.set)
        thread.join()
