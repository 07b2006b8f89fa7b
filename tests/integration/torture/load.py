"""A sender that remembers: mixed events at a bounded rate, each sent with the same bytes until it is acknowledged."""

import asyncio
import json
import random
import time
from collections import Counter
from contextlib import suppress
from typing import Any, Final

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from engine.kafka.clients import Connection, security
from engine.kafka.configuration import ConfigurationWriter, WriterFenced, WriterOptions
from schemas.times import SECOND, format_time
from schemas.topics import Topic, partition_of
from tests.integration.torture.mirror import Name, field_of, name_of
from tests.integration.torture.poison import SOURCE
from tests.properties.drafts import Json
from tests.simulation.workload import CLIENTS, Author

MANY: Final = 60  # clients besides the author's, so that every partition has some
_STEP_SECONDS: Final = 0.05
_CONFIGURE_SECONDS: Final = 1.0
_LINES_BACK: Final = 300  # how far back repeats look
_REQUEST_MS: Final = 10_000
_RESEND_SECONDS: Final = 0.2
_GARBAGE: Final = (b"\xff\xfe\x00", b"{", b"7", b"", b'{"type":"charge"', b'{"type":"transfer_leg","client":"m-1"}')


class Writer:
    """Writes lines: half of them money of many clients that transfer to each other, half whatever there is."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)
        self._authors = [Author(random.Random(f"{seed}-{name}"), name, some) for name, some in _SHARES]
        self._configurer = Author(random.Random(f"{seed}-conf"), "conf", ())
        self._count = 0
        self._back: list[bytes] = []

    def set_up(self) -> list[bytes]:
        """Configuration: to every partition, in order."""
        rule = {"rule": "low", "audience": "client", "threshold": "5", "emails": ["ops@operator.example"]}
        own: list[Json] = [
            {
                "type": "profile",
                "profile": "many",
                "currency": "EUR",
                "max_qty": 3,
                "period_seconds": 2,
                "rules": [rule],
            },
            {
                "type": "time_balance_plan",
                "plan": "brief",
                "unit": "second",
                "units": 120,
                "usage_types": ["call"],
                "validity_seconds": 3,
                "late_grace_seconds": 1,
                "thresholds": [{"percent": 50}, {"percent": 100}],
            },
        ]
        return [*(self._event(body) for body in own), *self._configurer.set_up(_now())]

    def configuration(self) -> bytes:
        """One piece of configuration, or its deletion."""
        return self._configurer.write(_now())

    def clients(self) -> list[bytes]:
        """The many, with money."""
        lines = []
        for number in range(MANY):
            name = f"m-{number}"
            body: Json = {"type": "client", "client": name, "currency": "EUR", "transfers": "yes", "profile": "many"}
            if number % 3 == 0:
                body["model"] = "postpaid"
            lines += [self._event(body), self._event({"type": "payment", "client": name, "amount": "50"})]
        for author, (_, some) in zip(self._authors, _SHARES, strict=True):
            lines += [author.write(_now()) for _ in some for _ in range(3)]
            for client in some:
                author.knows(client)
        return lines

    def line(self) -> bytes:
        """The next one."""
        chance = self._random.random()
        if chance < 0.04 and self._back:
            line = self._random.choice(self._back)
            return line if chance < 0.03 else line.replace(b'"amount": "', b'"amount": "1', 1)
        if chance < 0.045:
            return self._random.choice(_GARBAGE)
        if chance < 0.05:
            return self._event(self._money(), SOURCE)
        line = self._random.choice(self._authors).write(_now()) if chance < 0.3 else self._event(self._money())
        self._back.append(line)
        del self._back[:-_LINES_BACK]
        return line

    def _money(self) -> Json:
        chance, name = self._random.random(), f"m-{self._random.randrange(MANY)}"
        cents = f"{self._random.randrange(1, 200) / 100:.2f}"
        if chance < 0.6:
            return {"type": "charge", "client": name, "amount": cents}
        if chance < 0.8:
            to = f"m-{self._random.randrange(MANY)}"
            return {"type": "transfer", "client": name, "to": to, "amount": cents}
        if chance < 0.9:
            return {"type": "payment", "client": name, "amount": f"{self._random.randrange(1, 12)}"}
        if chance < 0.95:
            usage = {"type": "call", "quantity": self._random.randrange(1, 90), "unit": "second"}
            return {"type": "charge", "client": name, "amount": "0.5", "usage": usage}
        if chance < 0.98:
            return {
                "type": "time_balance",
                "client": name,
                "action": "grant",
                "plan": "brief",
                "grant": f"g{self._count}",
            }
        soon = format_time(_now() + self._random.randrange(1, 4) * SECOND)
        name = f"m-{self._random.randrange(0, MANY, 3)}"
        return {"type": "temporary_credit", "client": name, "amount": "5", "valid_until": soon}

    def _event(self, body: Json, source: str = "load") -> bytes:
        self._count += 1
        return json.dumps({**body, "source": source, "id": f"l{self._count}", "time": format_time(_now())}).encode()


_SHARES: Final = (("a", CLIENTS[:3]), ("b", CLIENTS[3:]))


class Load:
    """Sends to `events`. ``sent`` and ``acknowledged`` count names by partition; what has none is not counted."""

    def __init__(self, connection: Connection, prefix: str, partitions: int, seed: int, rate: float) -> None:
        self.writer = Writer(seed)
        self.sent: Counter[Name] = Counter()
        self.acknowledged: Counter[Name] = Counter()
        self.lines = 0
        self.configured: Counter[str] = Counter()
        """What the writer of configuration answered."""
        self.writing = WriterOptions(
            connection=connection, app=f"{prefix}plimsoll", prefix=prefix, partitions=partitions
        )
        self._rate = rate
        self._connection = connection
        self._topic = prefix + Topic.EVENTS.value
        self._partitions = partitions
        self._any = random.Random(seed)
        self._open = asyncio.Event()
        self._waiting: dict[int, tuple[bytes, int]] = {}
        self._numbers = 0
        self._flushing = asyncio.Lock()
        self._producer: Any = None  # Any: aiokafka's have no annotations

    async def start(self) -> None:
        await self._renew()

    async def stop(self) -> None:
        with suppress(KafkaError, TimeoutError):
            await asyncio.wait_for(self._producer.stop(), 10)

    async def _renew(self) -> None:
        """A new producer: one that met an error may have given up on what it had."""
        if self._producer is not None:
            await self.stop()
        while True:
            self._producer = AIOKafkaProducer(
                acks="all", enable_idempotence=True, request_timeout_ms=_REQUEST_MS, **security(self._connection)
            )
            try:
                await self._producer.start()
            except KafkaError:
                await self.stop()
                await asyncio.sleep(_RESEND_SECONDS)
            else:
                return

    async def all(self, lines: list[bytes]) -> None:
        """Lines to their clients' partitions, acknowledged."""
        for line in lines:
            self._remember(line, self._place(line))
        await self._flush()

    async def set_up(self) -> None:
        """Configuration, then clients: before any worker there is nobody who could answer for it."""
        async with ConfigurationWriter(self.writing) as writer:
            await writer.append(self.writer.set_up())
        await self.all(self.writer.clients())

    async def configure(self) -> None:
        """Writes configuration while it is let, for ever, and takes note of what every partition has taken."""
        while True:
            try:
                async with ConfigurationWriter(self.writing) as writer:
                    while True:
                        await self._open.wait()
                        line = self.writer.configuration()
                        (written,) = await writer.submit([line])
                        self.configured[written.status] += 1
                        if written.status == "accepted":
                            name = name_of(line, 0)
                            assert name is not None
                            self.acknowledged.update((number, *name[1:]) for number in range(self._partitions))
                        await asyncio.sleep(_CONFIGURE_SECONDS)
            except (KafkaError, WriterFenced):
                await asyncio.sleep(_RESEND_SECONDS)

    async def run(self) -> None:
        """Sends while it is let, for ever."""
        due = time.monotonic()
        while True:
            if not self._open.is_set():
                await self._flush()
                await self._open.wait()
                due = time.monotonic()
            due += _STEP_SECONDS
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            due = max(due, time.monotonic() - 1.0)  # what a stall held up is not all made up for
            wanted = self._rate * _STEP_SECONDS
            for _ in range(int(wanted) + (self._any.random() < wanted % 1)):
                line = self.writer.line()
                self._remember(line, self._place(line))
            await self._flush()

    def go(self) -> None:
        """Lets it send."""
        self._open.set()

    async def pause(self) -> None:
        """Lets it send no more; returns when everything is acknowledged."""
        self._open.clear()
        await self._flush()

    def _remember(self, line: bytes, number: int) -> None:
        self._waiting[self._numbers] = line, number
        self._numbers += 1
        self.lines += 1

    async def _flush(self) -> None:
        """Sends what waits until all of it is acknowledged; in its order, as long as nothing fails."""
        async with self._flushing:
            while self._waiting:
                await self._send()

    async def _send(self) -> None:
        futures: list[tuple[int, Any]] = []
        wanted = list(self._waiting.items())
        try:
            for place, (line, number) in wanted:
                name = name_of(line, number)
                if name is not None:
                    self.sent[name] += 1
                sending = await self._producer.send(self._topic, line, key=_key_of(line), partition=number)
                futures.append((place, sending))
        except KafkaError:
            pass
        answers = await asyncio.gather(*(each for _, each in futures), return_exceptions=True)
        for (place, _), answer in zip(futures, answers, strict=True):
            if not isinstance(answer, BaseException):
                line, number = self._waiting.pop(place)
                name = name_of(line, number)
                if name is not None:
                    self.acknowledged[name] += 1
        if any(place in self._waiting for place, _ in wanted):
            await self._renew()

    def _place(self, line: bytes) -> int:
        client = field_of(line, "client")
        return self._any.randrange(self._partitions) if client is None else partition_of(client, self._partitions)


def _now() -> int:
    return time.time_ns() // 1000


def _key_of(line: bytes) -> bytes | None:
    client = field_of(line, "client")
    return None if client is None else client.encode()
