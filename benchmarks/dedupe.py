"""What does a full dedupe window cost? The store is filled with identities, then new charges are looked up in it.

Identities are what 7 days hold; how many of them is given by ``--window`` (604,800,000 at 1,000 events/s are 19 GB).
The figures are of the engine from the append on, with an empty window and with the full one, in one run; the full one
as just after a start, when RocksDB is asked about every event, and once the filters in memory know what is on disk.
"""

import argparse
import asyncio
import shutil
import tempfile
import time
from pathlib import Path

import xxhash
from prometheus_client import CollectorRegistry

from benchmarks.embedded import batches
from benchmarks.report import spread, table
from benchmarks.workload import charges, client, configuration, payment
from engine.embedded.engine import EmbeddedEngine, EmbeddedOptions, wall_clock
from engine.metrics import EngineMetrics
from engine.partition.seen import SeenFamilies
from engine.store.rocks import RocksStore

_CLIENTS = 100_000
_EVENTS = 300_000
_RUNS = 3
_FILL_BATCH = 20_000


def fill(store: RocksStore, identities: int) -> float:
    """Writes that many identities of the running window; how many seconds it took."""
    families = SeenFamilies(store)
    now = wall_clock()
    names = [families.name(now), families.name(now - 7 * 86_400 * 1_000_000)]
    started = time.perf_counter()
    for first in range(0, identities, _FILL_BATCH):
        batch = store.batch()
        batch.use(names[first // _FILL_BATCH % 2])
        for number in range(first, min(first + _FILL_BATCH, identities)):
            batch.put(xxhash.xxh3_128_digest(b"full-%d" % number), b"0123456789abcdef")
        store.write(batch)
    return time.perf_counter() - started


async def _speeds(window: int, *, learnt: bool) -> tuple[list[float], int]:
    folder = Path(tempfile.mkdtemp(prefix="plimsoll-bench-"))
    store = RocksStore(folder)
    fill(store, window)
    engine = EmbeddedEngine(store, EmbeddedOptions(data=folder), EngineMetrics(CollectorRegistry()))
    stop = asyncio.Event()
    task = asyncio.create_task(engine.run(stop))
    await engine.submit(configuration())
    for number in range(0, _CLIENTS, 1_000):
        await engine.submit([raw for each in range(number, number + 1_000) for raw in (client(each), payment(each))])
    while learnt and engine.learn():
        pass
    speeds: list[float] = []
    for run in range(_RUNS):
        parts = batches(list(charges(_CLIENTS, _EVENTS, run)), 500)
        started = time.perf_counter()
        for first in range(0, len(parts), 8):
            await asyncio.gather(*(engine.submit(part) for part in parts[first : first + 8]))
        speeds.append(_EVENTS / (time.perf_counter() - started))
    size = store.bytes_on_disk()
    stop.set()
    await task
    engine.close()
    shutil.rmtree(folder, ignore_errors=True)
    return speeds, size


def main(window: int = 20_000_000) -> str:
    """The table of this question."""
    rows = []
    for identities, learnt in ((0, True), (window, False), (window, True)):
        speeds, size = asyncio.run(_speeds(identities, learnt=learnt))
        knows = "all of it" if learnt else "what came since the start"
        rows.append([f"{identities:,}", knows, spread(speeds), f"{size / 2**20:,.0f}"])
    return table(
        f"Dedupe window in the store, events/s from the append on ({_EVENTS:,} new charges, {_RUNS} runs)",
        ["identities in the window", "filters in memory know", "events/s", "data folder, MiB"],
        rows,
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--window", type=int, default=20_000_000, help="identities to fill the window with")
    print(main(parser.parse_args().window))
