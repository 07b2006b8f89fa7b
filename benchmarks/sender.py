"""A sender that costs little: whole requests made beforehand, raw sockets, answers counted and not parsed."""

import asyncio
import gc
import time
from collections.abc import Sequence
from typing import Final

_READ_BYTES: Final = 1 << 16


def request(events: Sequence[bytes]) -> bytes:
    """One POST of events as NDJSON; only refused ones are listed in the answer."""
    body = b"\n".join(events)
    head = (
        "POST /v1/events?answers=refused HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/x-ndjson\r\n"
        f"content-length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


class Connection:
    """One connection; a request is answered before the next is sent."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer

    @classmethod
    async def open(cls, port: int) -> "Connection":
        return cls(*await asyncio.open_connection("127.0.0.1", port, limit=1 << 22))

    async def send(self, whole: bytes) -> bytes:
        """Sends a request; the body of its answer. Raises RuntimeError for any status but 200."""
        self._writer.write(whole)
        head = await self._reader.readuntil(b"\r\n\r\n")
        length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
        body = await self._reader.readexactly(length)
        if not head.startswith(b"HTTP/1.1 200"):
            raise RuntimeError(body.decode(errors="replace")[:500])
        return body

    def close(self) -> None:
        self._writer.close()


async def pump(port: int, requests: Sequence[bytes], connections: int) -> list[float]:
    """Sends all requests as fast as they are answered; the seconds each took."""
    todo = iter(requests)
    took: list[float] = []

    async def one() -> None:
        connection = await Connection.open(port)
        for whole in todo:
            started = time.perf_counter()
            await connection.send(whole)
            took.append(time.perf_counter() - started)
        connection.close()

    await asyncio.gather(*(one() for _ in range(connections)))
    return took


async def pace(port: int, requests: Sequence[bytes], seconds_between: float, connections: int) -> list[float]:
    """Sends one request every so often, whether the last was answered or not; seconds from when each was due.

    Python's collector is off meanwhile: one look at a benchmark's own requests took up to 130 ms, in which nothing is
    sent or received, and most of a figure's last hundredth was that.
    """
    free: asyncio.Queue[Connection] = asyncio.Queue()
    for _ in range(connections):
        free.put_nowait(await Connection.open(port))
    took: list[float] = []
    tasks: list[asyncio.Task[None]] = []

    async def one(whole: bytes, due: float) -> None:
        connection = await free.get()
        await connection.send(whole)
        took.append(time.perf_counter() - due)
        free.put_nowait(connection)

    gc.collect()
    gc.disable()
    try:
        start = time.perf_counter()
        for number, whole in enumerate(requests):
            due = start + number * seconds_between
            await asyncio.sleep(max(0.0, due - time.perf_counter()))
            tasks.append(asyncio.create_task(one(whole, due)))
        await asyncio.gather(*tasks)
    finally:
        gc.enable()
    return took
