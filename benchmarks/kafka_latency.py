"""How long from an event to its committed balance, at a fixed rate?

This process writes events when they are due, whether earlier ones have come back or not, and reads `changes` at
read_committed. A time counts from when the event was due to when a change that includes it was read: in it are this
process's own waiting, the broker twice, the worker's batch and its transaction.
"""

import asyncio
import gc
import time
from collections import deque
from typing import Any, Final, NamedTuple

import msgspec
from aiokafka import TopicPartition

from benchmarks.kafka_cluster import PARTITIONS, Cluster, open_reader
from benchmarks.kafka_process import Measured
from benchmarks.kafka_throughput import Ours
from benchmarks.report import percentile
from schemas.topics import Topic

_STEP_SECONDS: Final = 0.01  # half of it costs this process and the broker a tenth of a core more
_DRAIN_SECONDS_MAX: Final = 30.0


class Paces(NamedTuple):
    """Events a second, one after another; how long each is held, and how long it is held before that uncounted.

    ``broker_warm_seconds``: how long the first rate is held before all, until Java has compiled what a broker does for
    small transactions; a broker that works has been up for days.
    """

    rates: tuple[int, ...]
    broker_warm_seconds: float
    warm_seconds: float
    seconds: float


class Paced(NamedTuple):
    """The times of one rate, sorted, in seconds; what share of a core the worker took; events that never came back."""

    rate: int
    took: list[float]
    share: float
    lost: int

    def row(self) -> list[str]:
        """Cells of the report."""
        shares = (0.5, 0.9, 0.99, 0.999)
        cells = [f"{percentile(self.took, share) * 1e3:,.1f}" if self.took else "none" for share in shares]
        rate = f"{self.rate:,} (fell behind: {self.lost:,} not back in time)" if self.lost else f"{self.rate:,}"
        return [rate, f"{len(self.took):,}", *cells, f"{self.share * 100:.0f} %"]


class _Cause(msgspec.Struct):
    id: str


class _Change(msgspec.Struct):
    client: str
    cause: _Cause | None


_change = msgspec.json.Decoder(_Change).decode


async def paced(cluster: Cluster, ours: Ours, worker: Measured, rate: int, paces: Paces) -> Paced:
    """Events at that rate, after some that are not counted."""
    lines = ours.charges(int(rate * (paces.warm_seconds + paces.seconds)))
    reader = open_reader(cluster.bootstrap)
    await reader.start()
    places = [TopicPartition(ours.prefix + Topic.CHANGES.value, number) for number in range(PARTITIONS)]
    reader.assign(places)
    await reader.seek_to_end(*places)
    for place in places:
        await reader.position(place)
    waiting: dict[str, deque[tuple[int, float]]] = {}
    took: list[float] = []
    open_events = len(lines)
    warm = int(rate * paces.warm_seconds)
    sent: list[Any] = []  # Any: aiokafka's futures

    async def read() -> None:
        nonlocal open_events
        while open_events:
            found = await reader.getmany(timeout_ms=1000)
            now = time.perf_counter()
            for records in found.values():
                for record in records:
                    change = _change(record.value)
                    assert change.cause is not None  # the clock has nothing to do here
                    serial = int(change.cause.id.rpartition("-")[2])
                    of_client = waiting[change.client]
                    while of_client and of_client[0][0] <= serial:
                        number, due = of_client.popleft()
                        open_events -= 1
                        if number >= warm:
                            took.append(now - due)

    async def write() -> float:
        start = time.perf_counter()
        number, cpu = 0, worker.cpu()
        while number < len(lines):
            until = min(len(lines), int((time.perf_counter() - start) * rate) + 1)
            part = lines[number:until]
            for serial, line in enumerate(part, number):
                assert line.client is not None
                waiting.setdefault(line.client, deque()).append((serial, start + serial / rate))
            sent.extend(await cluster.send_now(ours.prefix + Topic.EVENTS.value, part))
            number = until
            await asyncio.sleep(_STEP_SECONDS)
        return (worker.cpu() - cpu) / (time.perf_counter() - start)

    reading = asyncio.create_task(read())
    gc.collect()
    gc.disable()  # a look at all that this process holds would delay events and readings by tens of milliseconds
    try:
        share = await write()
        await asyncio.wait({reading}, timeout=_DRAIN_SECONDS_MAX)
        await asyncio.gather(*sent)
        if reading.done():
            reading.result()
    finally:
        gc.enable()
        reading.cancel()
        await reader.stop()
    worker.hear()
    return Paced(rate, sorted(took), share, open_events)
