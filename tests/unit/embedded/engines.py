"""An engine for a test: over RocksDB, behind a store that can be held up or broken, at a clock of its own."""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import msgspec
from prometheus_client import CollectorRegistry

from engine.embedded.engine import EmbeddedEngine, EmbeddedOptions
from engine.log.chunks import chunk_key, decode_chunk
from engine.log.ports import Answer
from engine.metrics import EngineMetrics
from engine.store.ports import LOG, Batch, Store, StoreError
from engine.store.rocks import RocksStore
from schemas.times import parse_time
from schemas.topics import Topic, partition_of

START = parse_time("2026-03-01T10:00:00Z")
SECONDS_MAX = 120.0
PARTITIONS = 4


class GatedStore:
    """A store whose ``sync`` waits for ``gate``, and whose writes and syncs fail once ``failure`` is set.

    ``writes`` and ``syncs`` count what came through; ``syncing`` is set while a sync waits. ``scanned``: the families
    of scans that came to their end.
    """

    def __init__(self, inner: Store) -> None:
        self.gate = threading.Event()
        self.gate.set()
        self.syncing = threading.Event()
        self.failure: StoreError | None = None
        self.writes = 0
        self.syncs = 0
        self.scanned: list[str] = []
        self._inner = inner
        self.get = inner.get
        self.reader = inner.reader
        self.last_before = inner.last_before
        self.families = inner.families
        self.add_family = inner.add_family
        self.drop_family = inner.drop_family
        self.batch = inner.batch
        self.bytes_on_disk = inner.bytes_on_disk
        self.close = inner.close

    def scan(self, family: str, begin: bytes, end: bytes) -> Iterator[tuple[bytes, bytes]]:
        return self._noted(family, self._inner.scan(family, begin, end))

    def _noted(self, family: str, found: Iterator[tuple[bytes, bytes]]) -> Iterator[tuple[bytes, bytes]]:
        yield from found
        self.scanned.append(family)

    def write(self, batch: Batch) -> None:
        if self.failure is not None:
            raise self.failure
        self._inner.write(batch)
        self.writes += 1

    def sync(self) -> None:
        self.syncing.set()
        assert self.gate.wait(SECONDS_MAX), "the gate was never opened"
        self.syncing.clear()
        if self.failure is not None:
            raise self.failure
        self._inner.sync()
        self.syncs += 1


class Clock:
    """The engine's clock: stands still until it is set."""

    def __init__(self, now: int = START) -> None:
        self.now = now

    def __call__(self) -> int:
        return self.now


class Running:
    """An engine that runs, with what a test needs of it."""

    def __init__(self, store: GatedStore, engine: EmbeddedEngine, clock: Clock, registry: CollectorRegistry) -> None:
        self.store = store
        self.engine = engine
        self.clock = clock
        self.registry = registry
        self.stop = asyncio.Event()
        self.task = asyncio.create_task(engine.run(self.stop))

    async def send(self, *events: bytes) -> list[Answer]:
        """The answers to one submission; fails after a while."""
        async with asyncio.timeout(SECONDS_MAX):
            return await self.engine.submit(events)

    async def statuses(self, *events: bytes) -> list[str]:
        """What became of each: a status, or the reason of a refusal."""
        return [answer.reason or answer.status for answer in await self.send(*events)]

    async def ended(self) -> None:
        """Waits for the end of the engine; raises what it raised."""
        async with asyncio.timeout(SECONDS_MAX):
            await self.task

    def log(self, topic: Topic, partition: int | None = None) -> list[bytes]:
        """The records of a topic, of one partition or of all in order."""
        numbers = range(len(self.engine.partitions)) if partition is None else (partition,)
        return [value for number in numbers for value in records(self.store, number, topic)]


@asynccontextmanager
async def running(folder: Path, clock: Clock | None = None, **options: object) -> AsyncIterator[Running]:
    """An engine over ``folder`` while the block lasts; stopped and closed after it, if it still runs."""
    chosen = msgspec.convert({"data": folder, "partitions": PARTITIONS, **options}, EmbeddedOptions)
    registry = CollectorRegistry()
    now = clock or Clock()
    store = GatedStore(RocksStore(folder))
    try:
        found = Running(store, EmbeddedEngine(store, chosen, EngineMetrics(registry), clock=now), now, registry)
        try:
            yield found
        finally:
            found.stop.set()
            store.gate.set()
            with suppress(StoreError):
                await found.ended()
    finally:
        store.close()


def records(store: Store, partition: int, topic: Topic) -> list[bytes]:
    """The values of a topic's records in a partition."""
    scanned = store.scan(LOG, chunk_key(partition, topic, 0), chunk_key(partition, topic, 2**63))
    return [entry.value for _, chunk in scanned for entry in decode_chunk(chunk)]


def event(type_: str, id_: str, **fields: object) -> bytes:
    """An event as a sender writes it."""
    return msgspec.json.encode({"type": type_, "id": id_, "source": "s", "time": "2026-03-01T10:00:00Z", **fields})


def client(name: str, **fields: object) -> bytes:
    """A client in EUR with an e-mail address."""
    settings = {"currency": "EUR", "billing_email": f"{name}@example.net", **fields}
    return event("client", f"new-{name}", client=name, **settings)


def names_on(partition: int, count: int) -> list[str]:
    """Clients of one partition."""
    found = (f"c-{number}" for number in range(100_000))
    return [name for _, name in zip(range(count), (one for one in found if _is_on(one, partition)), strict=False)]


def _is_on(name: str, partition: int) -> bool:
    return partition_of(name, PARTITIONS) == partition


async def until(condition: Callable[[], bool]) -> None:
    """Returns once the condition holds; for what has no event to wait for."""
    async with asyncio.timeout(SECONDS_MAX):
        for _ in iter(condition, True):
            await asyncio.sleep(0.005)


def outputs(values: Sequence[bytes], name: str) -> list[object]:
    """One field of each output."""
    return [msgspec.json.decode(value)[name] for value in values]
