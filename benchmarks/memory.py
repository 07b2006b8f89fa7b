"""What does a client cost in memory, at 1,000, 100,000 and 1,000,000 clients, and does a million fit into 512 MiB?

Bar: <= 400 bytes of Python memory per idle client with nothing in flight, bounded by configuration. The engine runs
with its default bounds; Python memory is what its allocator holds (``tracemalloc`` would double the time and count
itself), resident memory is the whole process with RocksDB.
"""

import asyncio
import gc
import multiprocessing
import shutil
import sys
import tempfile
import time
from pathlib import Path

from prometheus_client import CollectorRegistry

from benchmarks.embedded import batches, prepare
from benchmarks.report import table
from benchmarks.sender import pump, request
from benchmarks.server import running
from benchmarks.workload import charges, client, configuration, payment
from engine.embedded.engine import EmbeddedEngine, EmbeddedOptions
from engine.metrics import EngineMetrics
from engine.store.rocks import RocksStore

_LIMIT_BYTES = 512 * 1024 * 1024
_CHARGES = 200_000


def _resident() -> int:
    fields = Path("/proc/self/statm").read_text(encoding="ascii").split()
    return int(fields[1]) * 4096


async def _engine(clients: int, answers: "multiprocessing.Queue[tuple[int, int, int]]") -> None:
    """Makes the clients, charges some, lets everything settle, and says what memory holds."""
    folder = Path(tempfile.mkdtemp(prefix="plimsoll-bench-"))
    engine = EmbeddedEngine(RocksStore(folder), EmbeddedOptions(data=folder), EngineMetrics(CollectorRegistry()))
    stop = asyncio.Event()
    task = asyncio.create_task(engine.run(stop))
    await engine.submit(configuration())
    gc.collect()
    blocks, resident = sys.getallocatedblocks(), _resident()
    for first in range(0, clients, 1_000):
        numbers = range(first, min(first + 1_000, clients))
        await engine.submit([raw for number in numbers for raw in (client(number), payment(number))])
    for part in batches(list(charges(clients, min(_CHARGES, 2 * clients), 1)), 500):
        await engine.submit(part)
    gc.collect()
    held = _sizes(engine)
    answers.put((held, sys.getallocatedblocks() - blocks, _resident() - resident))
    stop.set()
    await task
    engine.close()
    shutil.rmtree(folder, ignore_errors=True)


def _sizes(engine: EmbeddedEngine) -> int:
    """Bytes of everything the engine holds by client: tables, records and what only they refer to, routes."""
    seen: set[int] = set()
    total = sys.getsizeof(engine._routes)
    stack: list[object] = []
    for partition in engine.partitions:
        for held in partition.state.tables:
            total += dict.__sizeof__(held)
            stack.extend(held.keys())
            stack.extend(held.values())
    while stack:
        value = stack.pop()
        if id(value) in seen or value is None or isinstance(value, bool) or sys.getrefcount(value) > 1_000_000:
            continue
        seen.add(id(value))
        total += sys.getsizeof(value)
        fields = getattr(value, "__struct_fields__", ())
        stack.extend(getattr(value, name) for name in fields)
        if isinstance(value, dict):
            stack.extend((*value.keys(), *value.values()))
        elif isinstance(value, list | tuple):
            stack.extend(value)
    return total


def _run(clients: int, answers: "multiprocessing.Queue[tuple[int, int, int]]") -> None:
    asyncio.run(_engine(clients, answers))


def _measured(clients: int) -> list[str]:
    context = multiprocessing.get_context("spawn")
    answers: multiprocessing.Queue[tuple[int, int, int]] = context.Queue()
    process = context.Process(target=_run, args=(clients, answers))
    process.start()
    held, _, resident = answers.get()
    process.join()
    return [f"{clients:,}", f"{held / clients:,.0f}", f"{resident / clients:,.0f}", f"{resident / 2**20:,.0f}"]


async def _million() -> list[str]:
    """A million clients through HTTP under a memory limit that the kernel enforces on the product's data segment."""
    clients = 1_000_000
    with running(prefix=("prlimit", f"--data={_LIMIT_BYTES}")) as product:
        started = time.perf_counter()
        await prepare(product.port, clients)
        made = 2 * clients / (time.perf_counter() - started)
        started = time.perf_counter()
        requests = [request(part) for part in batches(list(charges(clients, 300_000, 7)), 500)]
        await pump(product.port, requests, 8)
        speed = 300_000 / (time.perf_counter() - started)
        peak = product.resident_bytes(peak=True)
    return [f"{clients:,}", f"{_LIMIT_BYTES / 2**20:,.0f}", f"{peak / 2**20:,.0f}", f"{made:,.0f}", f"{speed:,.0f}"]


def main() -> str:
    """The tables of this question."""
    memory = table(
        "Memory per idle client, default bounds, bytes",
        ["clients", "Python objects", "whole process", "whole process, MiB"],
        [_measured(clients) for clients in (1_000, 100_000, 1_000_000)],
    )
    limited = table(
        "A million clients under a memory limit (kernel limit on the data segment, RLIMIT_DATA)",
        ["clients", "limit, MiB", "peak resident, MiB", "set-up events/s", "charges/s on random clients"],
        [asyncio.run(_million())],
    )
    return memory + "\n" + limited


if __name__ == "__main__":
    print(main())
