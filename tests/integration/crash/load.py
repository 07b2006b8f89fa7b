"""A sender that remembers: every event is sent, with the same bytes, until it has an answer.

It tells what a kill hit: events whose request was under way then, and whether they turned out to be durable (sent
again, they are duplicates) or absent (they are accepted only now).
"""

import asyncio
import random
import time
from collections import Counter, deque
from collections.abc import Iterable, Iterator
from itertools import islice
from statistics import median
from typing import Final

import httpx
import msgspec

from engine.demo.traffic import Traffic, TrafficOptions

SENDERS: Final = 4
_BATCH_MAX: Final = 30
_RETRY_SECONDS: Final = 0.05
_LATENCIES_MAX: Final = 31
_OPTIONS: Final = TrafficOptions(
    clients=120, charges_per_second=40.0, payments_per_second=1.0, others_per_second=3.0, burst_charges=100
)
_NDJSON: Final = {"content-type": "application/x-ndjson"}

Identity = tuple[str, str]


class _Answer(msgspec.Struct):
    status: str


class _Answers(msgspec.Struct):
    results: list[_Answer]


class _Named(msgspec.Struct):
    source: str
    id: str
    client: str | None = None


_identity_of = msgspec.json.Decoder(_Named).decode
_decode_answers = msgspec.json.Decoder(_Answers).decode


class Batch:
    """Events of one request. ``hit``: a request with them was under way when the engine was killed, and failed."""

    def __init__(self, events: list[bytes]) -> None:
        self.events = events
        self.at_kill = False
        self.hit = False
        self.under_way = False


def demo_load(url: str, seed: int, pause_seconds: float) -> "Load":
    """A load of the demo's traffic, without an end."""
    traffic = Traffic(msgspec.structs.replace(_OPTIONS, seed=seed), time.time_ns() // 1000)
    return Load(url, seed, pause_seconds, traffic.setup(), (timed.raw for timed in traffic.events()))


class Load:
    """Sends to ``url`` until ``stop`` is called or ``events`` end; what is unanswered is sent until it is answered.

    ``acknowledged``: every identity by its last answer, and ``taken`` those answered with more than a refusal.
    ``durable`` and ``absent`` count the events that kills found under way, by what became of them; ``sent`` every
    identity ever sent, ``configuration`` those that name no client.
    """

    def __init__(
        self, url: str, seed: int, pause_seconds: float, setup: Iterable[bytes], events: Iterator[bytes]
    ) -> None:
        self.url = url
        self.acknowledged: dict[Identity, str] = {}
        self.taken: set[Identity] = set()
        self.sent: set[Identity] = set()
        self.configuration: set[Identity] = set()
        self.answers: Counter[str] = Counter()
        self.durable = 0
        self.absent = 0
        self.kills_durable = 0
        self.kills_absent = 0
        self._latencies = deque([0.01], _LATENCIES_MAX)
        self.begun = asyncio.Event()
        self._setup = setup
        self._events = events
        self._chance = random.Random(seed)
        self._pause_seconds = pause_seconds
        self._stopping = False
        self._batches: list[Batch] = []
        self._kill_counted: Counter[str] = Counter()

    async def prepare(self) -> None:
        """Sends what must be there first, in order."""
        events = list(self._setup)
        async with self._client() as client:
            for start in range(0, len(events), 100):
                await self._send(client, Batch(events[start : start + 100]))

    async def run(self) -> None:
        """Sends, several requests at a time, until ``stop`` or the end of the events."""
        async with self._client() as client, asyncio.TaskGroup() as senders:
            for _ in range(SENDERS):
                senders.create_task(self._sender(client))

    def stop(self) -> None:
        """No new events; ``run`` returns once every event has its answer."""
        self._stopping = True

    @property
    def latency_seconds(self) -> float:
        """What an answer takes now: the median of the last, for the first after a start take long."""
        return median(self._latencies)

    @property
    def under_way(self) -> int:
        """Events that were sent and not answered yet."""
        return sum(len(batch.events) for batch in self._batches if batch.under_way)

    def killed(self) -> int:
        """To be called right after a kill: how many events are under way, whose fate is open."""
        self._settle_kill()
        for batch in self._batches:
            if batch.under_way:
                batch.at_kill = True
        return self.under_way

    def _settle_kill(self) -> None:
        self.kills_durable += self._kill_counted["durable"] > 0
        self.kills_absent += self._kill_counted["absent"] > 0
        self._kill_counted.clear()

    def finish(self) -> None:
        """Counts the last kill; after ``run`` has returned."""
        self._settle_kill()

    def _client(self) -> httpx.AsyncClient:
        limits = httpx.Limits(max_connections=SENDERS, max_keepalive_connections=SENDERS)
        return httpx.AsyncClient(base_url=self.url, timeout=120.0, limits=limits, trust_env=False, headers=_NDJSON)

    async def _sender(self, client: httpx.AsyncClient) -> None:
        while not self._stopping:
            batch = Batch(list(islice(self._events, self._chance.randint(1, _BATCH_MAX))))
            if not batch.events:
                return
            self._batches.append(batch)
            await self._send(client, batch)
            self._batches.remove(batch)
            await asyncio.sleep(self._chance.uniform(0, 2 * self._pause_seconds))

    async def _send(self, client: httpx.AsyncClient, batch: Batch) -> None:
        names = [_identity_of(event) for event in batch.events]
        identities = [(named.source, named.id) for named in names]
        self.sent.update(identities)
        self.configuration.update((named.source, named.id) for named in names if named.client is None)
        body = b"\n".join(batch.events)
        while True:
            batch.under_way = True
            self.begun.set()
            started = time.perf_counter()
            try:
                response = await client.post("/v1/events", content=body)
            except httpx.TransportError:
                batch.under_way = False
                batch.hit |= batch.at_kill
                await asyncio.sleep(_RETRY_SECONDS)
                continue
            batch.under_way = False
            if response.status_code == 200:
                break
            assert response.status_code in (429, 503), response.text
            await asyncio.sleep(_RETRY_SECONDS)
        self._latencies.append(time.perf_counter() - started)
        self._count(batch, identities, [answer.status for answer in _decode_answers(response.content).results])

    def _count(self, batch: Batch, identities: list[Identity], statuses: list[str]) -> None:
        assert len(identities) == len(statuses)
        self.answers.update(statuses)
        answered = list(zip(identities, statuses, strict=True))
        self.acknowledged.update(answered)
        self.taken.update(identity for identity, status in answered if status != "refused")
        if batch.hit:  # not where the answer was on its way already
            counts = Counter(statuses)
            self.durable += counts["duplicate"]
            self.absent += counts["accepted"]
            self._kill_counted["durable"] += counts["duplicate"]
            self._kill_counted["absent"] += counts["accepted"]
