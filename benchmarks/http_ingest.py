"""How much of a core does the HTTP door cost an event, with an engine behind it that answers at once?

``python -m benchmarks.http_ingest [--profile]``. The server runs in this process, a raw sender in another; what is
counted is the server's CPU time, so that the sender's share does not blur it.
"""

import argparse
import asyncio
import cProfile
import multiprocessing
import os
import platform
import pstats
import socket
import time
from collections.abc import Sequence
from importlib.metadata import version

import uvloop
from prometheus_client import CollectorRegistry

from engine.log.ports import Answer
from projections.api import ApiOptions, create_app, listen, serve
from tests.fakes.ingest import InstantIngest, charge
from tests.fakes.log import FakeNotificationLog
from tests.fakes.views import FakeViews

_BATCHES = (1, 100, 500, 2_000)
_EVENTS = 400_000
_REQUESTS_MAX = 4_000


def _send(port: int, batch: int, requests: int, query: str) -> None:
    """One connection, one request after the other."""
    body = b"\n".join(charge(f"call-{index:08}", f"client-{index % 100_000:06}") for index in range(batch))
    head = (
        f"POST /v1/events{query} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/x-ndjson\r\n"
        f"content-length: {len(body)}\r\n\r\n"
    )
    whole = head.encode() + body
    with socket.create_connection(("127.0.0.1", port)) as connection:
        for _ in range(requests):
            connection.sendall(whole)
            _receive(connection)


def _receive(connection: socket.socket) -> None:
    received = b""
    while b"\r\n\r\n" not in received:
        received += connection.recv(1 << 20)
    head, _, body = received.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200"), head
    length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
    left = length - len(body)
    while left:
        left -= len(connection.recv(1 << 20))


class _CountedIngest(InstantIngest):
    """Says when the first request came and when the last one did: the sender's own start and end do not count."""

    def __init__(self, requests: int) -> None:
        self.begun, self.done = asyncio.Event(), asyncio.Event()
        self._left = requests

    async def submit(self, events: Sequence[bytes]) -> list[Answer]:
        self.begun.set()
        self._left -= 1
        if self._left == 0:
            self.done.set()
        return await super().submit(events)


async def _measure(batch: int, query: str) -> tuple[float, float]:
    """Events a second by the wall, and microseconds of server CPU an event."""
    options = ApiOptions(port=0, auth="off")
    bound = listen(options)
    port = bound.getsockname()[1]
    requests = min(_REQUESTS_MAX, _EVENTS // batch)
    ingest = _CountedIngest(requests)
    app = create_app(ingest, FakeViews(), FakeNotificationLog(), options, CollectorRegistry())
    stop = asyncio.Event()
    serving = asyncio.create_task(serve(app, options, stop, bound))
    sender = multiprocessing.get_context("spawn").Process(target=_send, args=(port, batch, requests, query))
    sender.start()
    await ingest.begun.wait()
    wall, cpu = time.perf_counter(), time.process_time()
    await ingest.done.wait()
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    await asyncio.to_thread(sender.join)
    stop.set()
    await serving
    assert sender.exitcode == 0
    events = batch * requests
    return events / wall, cpu / events * 1e6


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--profile", action="store_true", help="profile batches of 500 instead")
    if parser.parse_args().profile:
        with cProfile.Profile() as profile:
            uvloop.run(_measure(500, ""))
        pstats.Stats(profile).sort_stats("tottime").print_stats(25)
        return
    packages = ", ".join(f"{name} {version(name)}" for name in ("starlette", "uvicorn", "httptools", "msgspec"))
    print(f"{os.cpu_count()} x {platform.machine()}, Python {platform.python_version()}, {packages}")
    print(f"{'batch':>6} {'answers':>8} {'events/s':>10} {'CPU us/event':>13}  (best of 3, spread)")
    for batch in _BATCHES:
        for query in ("", "?answers=refused"):
            runs = [uvloop.run(_measure(batch, query)) for _ in range(3)]
            rate = max(run[0] for run in runs)
            costs = sorted(run[1] for run in runs)
            answers = "refused" if query else "all"
            print(f"{batch:>6} {answers:>8} {rate:>10,.0f} {costs[0]:>13.2f}  ({costs[-1] - costs[0]:.2f})")


if __name__ == "__main__":
    main()
