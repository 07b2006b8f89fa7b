"""Tasks of a test: run for a while, looked at, stopped in time."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final, Protocol

from prometheus_client import CollectorRegistry

from engine.kafka.clients import open_consumer, open_producer
from engine.kafka.metrics import TaskMetrics
from engine.kafka.task import TaskOptions
from engine.kafka.transactions import Sent, transact
from engine.kafka.worker import cluster_of
from engine.partition import keys
from engine.store.ports import LOG, STATE
from engine.store.rocks import RocksStore
from tests.integration.kafka.cluster import Cluster

SECONDS_MAX: Final = 120.0  # a loaded machine is slow; nothing here waits that long otherwise
STOP_SECONDS_MAX: Final = 5.0  # what a hand-over may take
_MOMENT: Final = 0.02


class Runs(Protocol):
    """A task on one partition."""

    async def run(self, stop: asyncio.Event) -> None: ...


async def options_of(cluster: Cluster, data: Path, **settings: Any) -> TaskOptions:
    """Small batches of several steps, so that there are many of them; ``settings`` over it."""
    found, count = await cluster_of(cluster.connection, cluster.prefix)
    return TaskOptions(
        connection=cluster.connection,
        **{
            "cluster": found,
            "app": cluster.prefix,
            "prefix": cluster.prefix,
            "partitions": count,
            "data": data,
            "batch_records_max": 40,
            "step_records_max": 15,
            **settings,
        },
    )


@asynccontextmanager
async def running(task: Runs) -> AsyncIterator[asyncio.Task[None]]:
    """The task, until the end of the block; it has to end in time, and what it raises is raised."""
    stop = asyncio.Event()
    run = asyncio.create_task(task.run(stop))
    try:
        yield run
    finally:
        stop.set()
        began = time.monotonic()
        async with asyncio.timeout(SECONDS_MAX):
            await run
        assert time.monotonic() - began < STOP_SECONDS_MAX


async def until(holds: Callable[[], bool], run: "asyncio.Task[None] | None" = None) -> None:
    """Returns when it holds. Raises what ``run`` raises meanwhile."""
    async with asyncio.timeout(SECONDS_MAX):
        while not holds():
            if run is not None and run.done():
                run.result()
            await asyncio.sleep(_MOMENT)


class Watched:
    """Metrics in a registry of their own, read back by name."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.metrics = TaskMetrics(self.registry)

    def value(self, name: str, **labels: str) -> float | None:
        """A sample; None: there is none."""
        return self.registry.get_sample_value(name, labels)


async def fill_changelog(cluster: Cluster, options: TaskOptions, number: int, records: int) -> None:
    """Balances of that many clients that no event made: for how a restore goes, not for what comes of it."""
    producer = open_producer(cluster.connection, f"{cluster.prefix}filler-{number}")
    await producer.start()
    begin = keys.prefix(number, keys.BALANCE)
    sent: list[Sent] = [(1, begin + b"c-%d" % each, b"x" * 40, []) for each in range(records)]
    await transact(producer, {(options.changelog(number).topic, number): sent})
    await producer.stop()


async def end_of_changelog(cluster: Cluster, options: TaskOptions, number: int) -> int:
    """The offset after everything that is committed in a partition of the changelog."""
    consumer = open_consumer(cluster.connection, "test")
    await consumer.start()
    place = options.changelog(number)
    end = (await consumer.end_offsets([place]))[place]
    await consumer.stop()
    return end


def dumped(options: TaskOptions, number: int) -> dict[tuple[str, bytes], bytes]:
    """What a store holds, but for how far it is in the changelog."""
    store = RocksStore(options.folder(number))
    found = {
        (family, key): value
        for family in store.families()
        if family != LOG
        for key, value in store.scan(family, b"", b"\xff" * 32)
        if family != STATE or key != keys.prefix(number, keys.STANDING)
    }
    store.close()
    return found
