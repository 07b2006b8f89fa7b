"""How fast is the engine on a real Kafka, exactly once, and how fast are Faust and Quix Streams at the same charges?

Bars: >= 150,000 events/s a core by client CPU, all outputs; >= 25 times stock Faust with a table; >= 3 times Quix
Streams; event to committed balance p99 <= 100 ms at 5,000/s; restore >= 100,000 records/s. All in one run on one
broker: ``PLIMSOLL_TEST_KAFKA`` names it, else ``deploy/kafka/run.sh`` starts one.
"""

import asyncio
import logging
import os
import re
import secrets
import shutil
import statistics
import tempfile
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Final

import uvloop

from benchmarks.kafka_cluster import PARTITIONS, Broker, Cluster, NoBroker, connected, running_broker
from benchmarks.kafka_latency import Paced, Paces, paced
from benchmarks.kafka_restore import Restored, restore
from benchmarks.kafka_throughput import Ours, Round, Sizes, peer_rounds, peers, say
from benchmarks.report import table
from schemas.topics import Topic

_FULL: Final = Sizes(100_000, 600_000, {"Quix": 200_000, "Faust": 30_000}, 3)
_QUICK: Final = Sizes(500, 3_000, {"Quix": 1_000, "Faust": 500}, 1)
_PACES: Final = Paces((5_000, 1_000, 20_000), 60.0, 3.0, 10.0)
_PACES_QUICK: Final = Paces((200,), 0.5, 0.5, 1.0)
_FEWER: Final = (100, 10)  # times fewer clients, whose charges of one commit share state and changes
_HALF: Final = PARTITIONS // 2
_ALL: Final = f"0-{PARTITIONS - 1}"
_POM: Final = Path(__file__).parents[1] / "deploy" / "kafka" / "pom.xml"
_OURS: Final = "this engine, `plimsoll worker`"

_HEAD: Final = ["engine", "guarantee", "charges", "events/s by its CPU", "CPU, µs", "events/s, wall", "broker CPU, µs"]


class _Report:
    """The tables, as they come."""

    def __init__(self) -> None:
        self.rows: list[list[str]] = []
        self.speeds: dict[tuple[str, str], float] = {}
        self.scaling: list[list[str]] = []
        self.by_clients: list[list[str]] = []
        self.latency: list[Paced] = []
        self.restored: Restored | None = None
        self.missing: list[str] = []

    def add(self, name: str, guarantee: str, rounds: Sequence[Round]) -> None:
        self.speeds[name, guarantee] = statistics.median(each.events / each.cpu for each in rounds)
        self.rows.append([name, guarantee, *_cells(rounds)])

    def text(self, sizes: Sizes, paces: Paces) -> str:
        found = table(
            f"Charges on Kafka, {PARTITIONS} partitions, {sizes.clients:,} clients, outputs read back and balances "
            f"checked ({sizes.rounds} rounds: median, range; CPU is a charge's)",
            _HEAD,
            self.rows,
        )
        found += "\n" + "\n".join(self._ratios()) + "\n"
        found += "".join(f"\n**NOT MEASURED**: {sentence}\n" for sentence in self.missing)
        found += "\n" + table(
            "One worker by the number of clients: charges of one commit and one client are one change",
            ["clients", *_HEAD[2:]],
            self.by_clients,
        )
        found += "\n" + table(
            "One worker and two on this machine's cores, which the broker and the benchmark use too",
            ["workers", *_HEAD[2:]],
            self.scaling,
        )
        found += "\n" + table(
            f"Event to committed balance, ms, at a fixed rate for {paces.seconds:.0f} s",
            ["events/s", "events", "p50", "p90", "p99", "p99.9", "worker, of a core"],
            [each.row() for each in self.latency],
        )
        if self.restored is not None:
            found += "\n" + _restored(self.restored)
        return found

    def _ratios(self) -> list[str]:
        ours = self.speeds[_OURS, "exactly once"]
        return [
            f"By CPU, {ours / speed:,.1f} times {name}, {guarantee}."
            for (name, guarantee), speed in self.speeds.items()
            if name != _OURS
        ]


def _cells(rounds: Sequence[Round]) -> list[str]:
    broker_cpu = statistics.median(each.broker_cpu / each.events for each in rounds) * 1e6
    return [
        f"{rounds[0].events:,}",
        _spread([each.events / each.cpu for each in rounds]),
        f"{statistics.median(each.cpu / each.events for each in rounds) * 1e6:,.1f}",
        _spread([each.events / each.wall for each in rounds]),
        f"{broker_cpu:,.1f}" if broker_cpu else "not known",
    ]


def _spread(values: Sequence[float]) -> str:
    return f"{statistics.median(values):,.0f} ({min(values):,.0f} to {max(values):,.0f})"


def _restored(found: Restored) -> str:
    return table(
        "A worker's state made anew, and a start with the state in place",
        ["what", "how many", "seconds", "a second"],
        [
            [
                "changelog to an empty folder, over a start with a full one",
                f"{found.records:,} records",
                f"{found.seconds:.2f} ({found.cpu:.2f} of CPU)",
                f"{found.records / found.seconds:,.0f}",
            ],
            [
                "start with the state in place, process start included; opening reads meta, configuration and the "
                "next due times, and scans nothing else",
                "",
                f"{found.opened_seconds:.2f}",
                "",
            ],
            [
                "scan of the state's keys, were it needed",
                f"{found.keys:,} keys",
                f"{found.scanned_seconds:.2f}",
                f"{found.keys / found.scanned_seconds:,.0f}",
            ],
        ],
    )


async def _engine(cluster: Cluster, broker: Broker, data: Path, sizes: Sizes, report: _Report, paces: Paces) -> Ours:
    ours = Ours(cluster, broker, f"b{secrets.token_hex(3)}-", data / "worker", sizes)
    await ours.prepare()
    worker = ours.worker(_ALL)
    try:
        await ours.until_caught_up([worker])
        rounds = await ours.rounds([worker])
        report.add(_OURS, "exactly once", rounds)
        report.scaling.append(["1", *_cells(rounds)])
        report.by_clients.append([f"{sizes.clients:,}", *_cells(rounds)])
        await paced(cluster, ours, worker, paces.rates[0], paces._replace(warm_seconds=paces.broker_warm_seconds))
        for rate in paces.rates:
            report.latency.append(await paced(cluster, ours, worker, rate, paces))
            say(f"latency: {report.latency[-1].row()}")
            await ours.until_caught_up([worker])
    finally:
        worker.stop()
    return ours


async def _fewer(cluster: Cluster, broker: Broker, data: Path, sizes: Sizes, report: _Report) -> None:
    for times in _FEWER:
        fewer = sizes._replace(clients=sizes.clients // times)
        ours = Ours(cluster, broker, f"b{secrets.token_hex(3)}-", data / f"fewer-{times}", fewer)
        await ours.prepare()
        worker = ours.worker(_ALL)
        try:
            await ours.until_caught_up([worker])
            report.by_clients.insert(-1, [f"{fewer.clients:,}", *_cells(await ours.rounds([worker]))])
        finally:
            worker.stop()
        await ours.book.agrees(cluster, ours.prefix + Topic.CHANGES.value)


async def _two(ours: Ours, report: _Report) -> None:
    workers = [ours.worker(f"0-{_HALF - 1}"), ours.worker(f"{_HALF}-{PARTITIONS - 1}")]
    try:
        for worker in workers:
            await asyncio.to_thread(worker.wait_until_works, _HALF)
        await ours.rounds(workers)  # they have just started, and learn what is in their dedupe windows meanwhile
        report.scaling.append(["2", *_cells(await ours.rounds(workers))])
    finally:
        for worker in workers:
            worker.stop()


async def _measure(broker: Broker, data: Path, sizes: Sizes, paces: Paces) -> str:
    report = _Report()
    async with connected(broker.bootstrap) as cluster:
        ours = await _engine(cluster, broker, data, sizes, report, paces)
        await _fewer(cluster, broker, data, sizes, report)
        found, report.missing = peers()
        for number, peer in enumerate(found):
            prefix = f"{ours.prefix}peer{number}-"
            try:
                report.add(peer.name, peer.guarantee, await peer_rounds(cluster, broker, prefix, data, peer, sizes))
            except (RuntimeError, TimeoutError, AssertionError) as error:
                reason = " ".join(f"{error}".split())[-400:]
                report.missing.append(f"{peer.name}, {peer.guarantee}: {type(error).__name__}: {reason}")
        await _two(ours, report)
        changes = await ours.book.agrees(cluster, ours.prefix + Topic.CHANGES.value)
        say(f"{changes:,} changes of the engine read back, every balance as expected")
        report.restored = await asyncio.to_thread(restore, ours, data / "worker")
    return report.text(sizes, paces)


def main(*, quick: bool = False) -> str:
    """The tables of this question; ``quick`` only shows that everything runs."""
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)  # it warns while new topics find their leaders
    load = os.getloadavg()[0]
    data = Path(tempfile.mkdtemp(prefix="plimsoll-bench-"))
    try:
        with running_broker() as broker:
            sizes, paces = (_QUICK, _PACES_QUICK) if quick else (_FULL, _PACES)
            text = uvloop.run(_measure(broker, data, sizes, paces))  # what measures is to take little itself
    except NoBroker as error:
        return f"**NOT MEASURED**: {error}\n"
    finally:
        shutil.rmtree(data, ignore_errors=True)
    versions = ", ".join(f"{name} {version(name)}" for name in ("aiokafka", "faust-streaming", "cramjam"))
    machine = f"{os.cpu_count()} cores for everything, load {load:.1f} before the run"
    return f"{_broker_version()}, {versions}; {machine}\n\n{text}"


def _broker_version() -> str:
    """Of our own broker; one that was named does not say."""
    if os.environ.get("PLIMSOLL_TEST_KAFKA"):
        return "a broker that PLIMSOLL_TEST_KAFKA names"
    found = re.search(r"<kafka.version>(.*)</kafka.version>", _POM.read_text(encoding="utf-8"))
    assert found is not None
    return f"Kafka {found[1]}, one node"


if __name__ == "__main__":
    import sys

    print(main(quick="--quick" in sys.argv[1:]))
