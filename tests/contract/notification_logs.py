"""Every adapter of NotificationLog, by name, as the contract suite opens it.

To add one: a function that opens a Bench over an empty log, entered in BENCHES. Nothing else changes.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final, Protocol

import httpx
from prometheus_client import CollectorRegistry

from engine.core.fold import new_outcome
from engine.embedded.journal import EmbeddedNotificationLog
from engine.log.chunks import Entry
from engine.log.http import HttpNotificationLog
from engine.log.ports import NotificationLog
from engine.partition.partition import Bounds, Partition
from engine.partition.seen import SeenFamilies
from engine.store.ports import Batch
from engine.store.rocks import RocksStore
from projections.api import ApiKey, ApiOptions, create_app, listen, new_key, serve
from schemas.topics import Topic, partition_of
from tests.fakes.ingest import FakeIngest
from tests.fakes.log import FakeNotificationLog
from tests.fakes.views import FakeViews

_AT: Final = 1_769_853_600_000_000


class Bench(Protocol):
    """A log to be tested, with what only a test may do to it. It has at least two partitions and no record."""

    @property
    def log(self) -> NotificationLog:
        """The adapter; another object after ``reopen``."""
        ...

    async def append(self, partition: int, key: str, value: bytes) -> None:
        """Makes a notification durable at the end of a partition; whoever waits is told."""
        ...

    async def reopen(self) -> None:
        """Closes the adapter and opens it again on the same data, as a new process would."""
        ...


class _FakeBench:
    def __init__(self, log: FakeNotificationLog) -> None:
        self.log: NotificationLog = log
        self._fake = log

    async def append(self, partition: int, key: str, value: bytes) -> None:
        self._fake.append(partition, key, value, at=_AT)

    async def reopen(self) -> None:
        """Its data is the object itself."""


class _HttpBench(_FakeBench):
    def __init__(
        self, fake: FakeNotificationLog, url: str, key: str | None, transport: httpx.AsyncBaseTransport
    ) -> None:
        super().__init__(fake)
        self._url = url
        self._key = key
        self._transport = transport
        self.opened: HttpNotificationLog | None = None

    async def reopen(self) -> None:
        # The adapter before is left open: closing it would close the transport that both share.
        self.opened = await HttpNotificationLog.open(self._url, self._key, self._transport)
        self.log = self.opened


@asynccontextmanager
async def _fake() -> AsyncIterator[Bench]:
    yield _FakeBench(FakeNotificationLog())


@asynccontextmanager
async def _http() -> AsyncIterator[Bench]:
    """The HTTP adapter at the real application, with keys on and no socket between, over the fake."""
    key, digest = new_key()
    options = ApiOptions(keys=(ApiKey("mailer", digest, ("operate",)),))
    fake = FakeNotificationLog()
    app = create_app(FakeIngest(), FakeViews(), fake, options, CollectorRegistry())
    bench = _HttpBench(fake, "http://localhost", key, httpx.ASGITransport(app))
    await bench.reopen()
    assert bench.opened is not None
    async with bench.opened:
        yield bench


@asynccontextmanager
async def _socket() -> AsyncIterator[Bench]:
    """The HTTP adapter at the real server over a socket, with keys off, over the fake."""
    options = ApiOptions(port=0, auth="off")
    bound = listen(options)
    url = f"http://127.0.0.1:{bound.getsockname()[1]}"
    fake = FakeNotificationLog()
    app = create_app(FakeIngest(), FakeViews(), fake, options, CollectorRegistry())
    stop = asyncio.Event()
    serving = asyncio.create_task(serve(app, options, stop, bound))
    bench = _HttpBench(fake, url, None, httpx.AsyncHTTPTransport())
    await bench.reopen()
    assert bench.opened is not None
    try:
        async with bench.opened:
            yield bench
    finally:
        stop.set()
        await serving


class _EmbeddedBench:
    """The embedded adapter over RocksDB, with its positions and deliveries written as the engine writes them."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._open()

    def _open(self) -> None:
        self._store = RocksStore(self._folder)
        families = SeenFamilies(self._store)
        self._partitions = [Partition(self._store, number, families, Bounds()) for number in range(2)]
        self._adapter = EmbeddedNotificationLog(
            self._store, self._partitions, lambda client: partition_of(client, 2), self._end, self._write, lambda: _AT
        )
        self.log: NotificationLog = self._adapter

    def _end(self, partition: int, topic: Topic) -> int:
        return self._partitions[partition].next_offset(topic)

    def _write(self, batch: Batch) -> "asyncio.Future[None]":
        self._store.write(batch)
        self._store.sync()
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        done.set_result(None)
        return done

    async def append(self, partition: int, key: str, value: bytes) -> None:
        batch = self._store.batch()
        self._partitions[partition].append(batch, Topic.NOTIFICATIONS, [Entry(key, _AT, value)])
        self._partitions[partition].commit(batch, new_outcome())
        self._store.write(batch)
        self._partitions[partition].committed()
        self._adapter.announce()

    async def reopen(self) -> None:
        self._store.close()
        self._open()

    def close(self) -> None:
        """Closes the store."""
        self._store.close()


@asynccontextmanager
async def _embedded() -> AsyncIterator[Bench]:
    with TemporaryDirectory() as folder:
        bench = _EmbeddedBench(Path(folder))
        try:
            yield bench
        finally:
            bench.close()


BENCHES: Final[dict[str, Callable[[], AbstractAsyncContextManager[Bench]]]] = {
    "embedded": _embedded,
    "fake": _fake,
    "http": _http,
    "socket": _socket,
}
