"""How many events a second does the embedded product take, durable, and how long does an answer take?

Bars: >= 60,000 events/s (fsync, all outputs); answer p99 <= 20 ms at 10,000/s. Through ``POST /v1/events`` from this
process, 100,000 clients; beside it the same work from the log append on, in one process, without HTTP.
"""

import asyncio
import resource
import shutil
import tempfile
import time
from pathlib import Path

from prometheus_client import CollectorRegistry

from benchmarks.report import percentile, spread, table
from benchmarks.sender import pace, pump, request
from benchmarks.server import Product, running
from benchmarks.workload import charges, client, configuration, payment
from engine.embedded.engine import EmbeddedEngine, EmbeddedOptions
from engine.metrics import EngineMetrics
from engine.store.rocks import RocksStore

_CLIENTS = 100_000
_EVENTS = 300_000
_PER_REQUEST = 500
_CONNECTIONS = 32  # enough that the next batch is there while answers to the last are on their way
_RUNS = 3
_PACED_SECONDS = 10
_PACED_PER_REQUEST = 50


def batches(raws: list[bytes], size: int) -> list[list[bytes]]:
    """The events in groups."""
    return [raws[first : first + size] for first in range(0, len(raws), size)]


def setup_requests(clients: int) -> list[bytes]:
    """Requests that make the clients, in an order that any concurrency keeps: configuration is sent before."""
    made = [raw for number in range(clients) for raw in (client(number), payment(number))]
    return [request(part) for part in batches(made, 1_000)]


async def prepare(port: int, clients: int) -> None:
    """Configuration and clients into a running product."""
    await pump(port, [request(configuration())], 1)
    await pump(port, setup_requests(clients), 4)


def _own_cpu() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


async def _through_http(product: Product) -> tuple[list[float], list[float], list[float]]:
    """Events a second, the product's CPU microseconds an event, and this sender's, for each run."""
    speeds: list[float] = []
    costs: list[float] = []
    own: list[float] = []
    for run in range(_RUNS):
        requests = [request(part) for part in batches(list(charges(_CLIENTS, _EVENTS, run)), _PER_REQUEST)]
        cpu, mine, started = product.cpu_seconds(), _own_cpu(), time.perf_counter()
        await pump(product.port, requests, _CONNECTIONS)
        seconds = time.perf_counter() - started
        speeds.append(_EVENTS / seconds)
        costs.append((product.cpu_seconds() - cpu) / _EVENTS * 1e6)
        own.append((_own_cpu() - mine) / _EVENTS * 1e6)
    return speeds, costs, own


async def _answers_at(product: Product, rate: int) -> list[float]:
    events = rate * _PACED_SECONDS
    raws = list(charges(_CLIENTS, events, 1_000 + rate))
    requests = [request(part) for part in batches(raws, _PACED_PER_REQUEST)]
    return sorted(await pace(product.port, requests, _PACED_PER_REQUEST / rate, 64))


async def _from_append() -> list[float]:
    """The engine alone: submit to durable answer, in this process."""
    folder = Path(tempfile.mkdtemp(prefix="plimsoll-bench-"))
    engine = EmbeddedEngine(
        RocksStore(folder), EmbeddedOptions(data=folder), EngineMetrics(CollectorRegistry())
    )
    stop = asyncio.Event()
    task = asyncio.create_task(engine.run(stop))
    await engine.submit(configuration())
    for number in range(0, _CLIENTS, 1_000):
        await engine.submit([raw for each in range(number, number + 1_000) for raw in (client(each), payment(each))])
    speeds: list[float] = []
    for run in range(_RUNS):
        parts = batches(list(charges(_CLIENTS, _EVENTS, run)), _PER_REQUEST)
        started = time.perf_counter()
        for first in range(0, len(parts), _CONNECTIONS):
            await asyncio.gather(*(engine.submit(part) for part in parts[first : first + _CONNECTIONS]))
        speeds.append(_EVENTS / (time.perf_counter() - started))
    stop.set()
    await task
    engine.close()
    shutil.rmtree(folder, ignore_errors=True)
    return speeds


async def _http() -> tuple[list[list[str]], list[list[str]]]:
    with running() as product:
        await prepare(product.port, _CLIENTS)
        latency = []
        for rate in (1_000, 5_000, 10_000):
            took = await _answers_at(product, rate)
            cells = [f"{percentile(took, share) * 1e3:.1f}" for share in (0.5, 0.9, 0.99, 0.999)]
            latency.append([f"{rate:,}", *cells])
        speeds, costs, own = await _through_http(product)
    middle = sorted(costs)[len(costs) // 2], sorted(own)[len(own) // 2]
    rows = [["POST /v1/events, another process", spread(speeds), f"{middle[0]:.1f}", f"{middle[1]:.1f}"]]
    return rows, latency


def main() -> str:
    """The tables of this question."""
    rows, latency = asyncio.run(_http())
    rows.append(["from the log append on, no HTTP", spread(asyncio.run(_from_append())), "", ""])
    throughput = table(
        f"Embedded, durable (fsync), all outputs: {_CLIENTS:,} clients, {_EVENTS:,} charges in requests of "
        f"{_PER_REQUEST}, {_CONNECTIONS} connections, {_RUNS} runs, median and range",
        ["path", "events/s", "product CPU, µs an event", "generator CPU, µs an event"],
        rows,
    )
    answers = table(
        f"Answer after it is durable, ms, at a fixed rate for {_PACED_SECONDS} s (requests of {_PACED_PER_REQUEST} "
        "events, sent when due whether the last was answered or not)",
        ["events/s", "p50", "p90", "p99", "p99.9"],
        latency,
    )
    return throughput + "\n" + answers


if __name__ == "__main__":
    print(main())
