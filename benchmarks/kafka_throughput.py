"""Charges through one engine after another: the real worker, Quix Streams and Faust, each in its own process.

Every engine is up, has its partitions, and has worked on some charges; it is stopped by SIGSTOP while its input is
written, and let go. Counted are its processor time, user and system, all threads, and the wall until the last of its
outputs is committed. Then everything that it put out is read back, and the balances are held against a sum.
"""

import asyncio
import os
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Final, NamedTuple

import msgspec

from benchmarks.kafka_cluster import PARTITIONS, Broker, Cluster, Line, configured
from benchmarks.kafka_process import Measured, Worker, cpu_seconds
from benchmarks.peers import environment
from benchmarks.workload import charges, client, configuration, payment
from engine.kafka.topics import CHANGELOG
from schemas.money import Micros, format_money
from schemas.topics import Topic

OPENING_MICROS: Final = 100_000_000  # the peers begin with it; ours has it from a payment
_LOOK_SECONDS: Final = 0.05
_QUIET_SECONDS: Final = 0.5  # without a commit, before it is asked whether that was the last one
_ROUND_SECONDS_MAX: Final = 300.0
_PEERS: Final = Path(__file__).with_name("peers")


class Sizes(NamedTuple):
    """How much is measured."""

    clients: int
    charges: int
    peer_charges: dict[str, int]
    rounds: int


class Round(NamedTuple):
    """One measured round of one engine."""

    events: int
    wall: float
    cpu: float
    broker_cpu: float


class _Charge(msgspec.Struct):
    client: str
    amount: str


class _Change(msgspec.Struct):
    client: str
    version: int
    live: str = ""
    live_micros: int = 0


_charge = msgspec.json.Decoder(_Charge).decode
_change = msgspec.json.Decoder(_Change).decode


class Book:
    """What every client's balance must be at the end: what it began with, less the sum of its charges."""

    def __init__(self) -> None:
        self.spent: dict[str, int] = {}

    def lines(self, clients: int, count: int, seed: int) -> list[Line]:
        """Charges to write; they are in the book from then on."""
        found = []
        for raw in charges(clients, count, seed):
            event = _charge(raw)
            self.spent[event.client] = self.spent.get(event.client, 0) + int(event.amount.partition(".")[2])
            found.append(Line(event.client, raw))
        return found

    async def agrees(self, cluster: Cluster, topic: str) -> int:
        """Reads every change back and holds the last of each client against the book; how many there were.

        Raises AssertionError where a balance differs.
        """
        last: dict[str, _Change] = {}
        count = 0
        async for record in cluster.read(topic):
            change = _change(record.value)
            last[change.client] = change
            count += 1
        for name, spent in self.spent.items():
            found, expected = last[name], OPENING_MICROS - spent
            said = found.live or format_money(Micros(found.live_micros))
            assert said == format_money(Micros(expected)), f"{topic}: {name} has {said}, expected {expected} micros"
        return count


async def timed(
    processes: Sequence[Measured],
    broker: Broker,
    committed: Callable[[], Awaitable[int]],
    finished: Callable[[], Awaitable[bool]],
    events: int,
) -> Round:
    """Lets stopped processes go, until the last of their outputs is committed. Raises TimeoutError."""
    before = await committed()
    cpu, broker_cpu = sum(each.cpu() for each in processes), _broker(broker)
    last, last_cpu, last_broker = time.perf_counter(), cpu, broker_cpu
    for each in processes:
        each.resume()
    started = time.perf_counter()
    while True:
        await asyncio.sleep(_LOOK_SECONDS)
        now = await committed()
        at = time.perf_counter()
        if now != before:
            before, last = now, at
            last_cpu, last_broker = sum(each.cpu() for each in processes), _broker(broker)
        elif at - last > _QUIET_SECONDS:
            if await finished():
                return Round(events, last - started, last_cpu - cpu, last_broker - broker_cpu)
            for each in processes:
                each.hear()
        if at - started > _ROUND_SECONDS_MAX:
            raise TimeoutError(f"{events} events were not worked off in {_ROUND_SECONDS_MAX:.0f} s")


def _broker(broker: Broker) -> float:
    return 0.0 if broker.pid is None else cpu_seconds(broker.pid)


class Ours:
    """The engine's topics with clients in them, and rounds of charges through workers."""

    def __init__(self, cluster: Cluster, broker: Broker, prefix: str, data: Path, sizes: Sizes) -> None:
        self.prefix = prefix
        self._cluster = cluster
        self._broker = broker
        self._data = data
        self._sizes = sizes
        self._seed = 0
        self.book = Book()

    def worker(self, partitions: str) -> Worker:
        """A worker over some partitions; its data are its partitions' and outlast it."""
        return Worker(self._cluster.bootstrap, self.prefix, partitions, self._data)

    async def prepare(self) -> None:
        """Topics, configuration and clients, worked off."""
        await self._cluster.make_engine_topics(self.prefix)
        await self._write([configured(raw, revision) for revision, raw in enumerate(configuration(), 1)])
        for first in range(0, self._sizes.clients, 10_000):
            numbers = range(first, min(first + 10_000, self._sizes.clients))
            await self._write(
                [Line(f"c-{number:07}", make(number)) for number in numbers for make in (client, payment)]
            )

    async def _write(self, lines: Sequence[Line]) -> None:
        await self._cluster.write(self.prefix + Topic.EVENTS.value, lines)

    async def caught_up(self) -> bool:
        """Whether every event is in the state of the engine, as its changelog says."""
        positions = await self._cluster.engine_positions(self.prefix)
        return positions == await self._cluster.ends(self.prefix + Topic.EVENTS.value)

    async def until_caught_up(self, workers: Sequence[Worker]) -> None:
        """Returns when that is so."""
        async with asyncio.timeout(_ROUND_SECONDS_MAX):
            while not await self.caught_up():
                for worker in workers:
                    worker.hear()
                await asyncio.sleep(_LOOK_SECONDS)
        refused = await self._cluster.ends(self.prefix + Topic.REJECTIONS.value)
        assert not any(refused.values()), f"the engine refused what was to be measured: {refused}"

    def charges(self, count: int) -> list[Line]:
        """Charges that were not made before, in the book from now on."""
        self._seed += 1
        return self.book.lines(self._sizes.clients, count, self._seed)

    async def rounds(self, workers: Sequence[Worker]) -> list[Round]:
        """Charges through running workers that are caught up."""
        found = []
        for _ in range(self._sizes.rounds):
            lines = self.charges(self._sizes.charges)
            for worker in workers:
                worker.pause()
            await self._write(lines)
            found.append(await timed(workers, self._broker, self._commits, self.caught_up, len(lines)))
            say(f"worker: {found[-1]}")
        return found

    async def _commits(self) -> int:
        return sum((await self._cluster.ends(self.prefix + CHANGELOG)).values())


class Peer(NamedTuple):
    """Another stream processor: what it is called in the report, its guarantee, and how it is started."""

    name: str
    guarantee: str
    command: tuple[str, ...]
    settings: dict[str, str]


def peers() -> tuple[list[Peer], list[str]]:
    """Those that can be had, and sentences about those that cannot."""
    missing: list[str] = []
    found: list[Peer] = []
    try:
        python = environment.interpreter()
        name = f"Quix Streams {environment.quix_version(python)}"
        found.append(Peer(name, "exactly once", (python, str(_PEERS / "quix_app.py")), {}))
    except environment.PeerMissing as error:
        missing.append(str(error))
    from importlib.metadata import version

    name = f"Faust {version('faust-streaming')}, table in RocksDB"
    for guarantee in ("at_least_once", "exactly_once"):
        command = (sys.executable, str(_PEERS / "faust_app.py"))
        found.append(Peer(name, guarantee.replace("_", " "), command, {"GUARANTEE": guarantee}))
    return found, missing


async def peer_rounds(
    cluster: Cluster, broker: Broker, prefix: str, data: Path, peer: Peer, sizes: Sizes
) -> list[Round]:
    """Charges through a peer; its balances are checked."""
    source, sink = f"{prefix}charges", f"{prefix}changes"
    await cluster.make_topics(source, sink)
    settings = {
        "BOOTSTRAP": cluster.bootstrap,
        "SOURCE": source,
        "SINK": sink,
        "DATA": str(data / prefix),
        "APP": f"{prefix}app",
        "PARTITIONS": str(PARTITIONS),
    }
    os.makedirs(data / prefix, exist_ok=True)
    process = Measured(peer.command, settings | peer.settings)
    book, found, expected = Book(), [], 0
    count = next(count for name, count in sizes.peer_charges.items() if peer.name.startswith(name))

    async def committed() -> int:
        return sum((await cluster.ends(sink)).values())

    async def finished() -> bool:
        if await committed() < expected:
            return False
        return sum([1 async for _ in cluster.read(sink)]) >= expected

    try:
        for number in range(sizes.rounds + 1):  # the first wakes it up and is not counted
            lines = book.lines(sizes.clients, count if number else 10 * PARTITIONS, number)
            if number:
                process.pause()
            await cluster.write(source, lines)
            expected += len(lines)
            measured = await timed([process], broker, committed, finished, len(lines))
            if number:
                found.append(measured)
                say(f"{peer.name}, {peer.guarantee}: {measured}")
        assert await book.agrees(cluster, sink) == expected
    finally:
        process.stop()
    return found


def say(text: str) -> None:
    """Progress, on standard error."""
    print(text, file=sys.stderr, flush=True)
