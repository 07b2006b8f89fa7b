"""The notification log on a Kafka cluster: read committed, positions and deliveries in one transaction (ADR 21).

Nothing that a consumer decides is tried again here: a failure that may pass is raised as Unavailable.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from types import TracebackType
from typing import Final, Self

from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaConnectionError, KafkaError

from engine.failures import OperationalError
from engine.kafka.clients import Connection, Consumer, open_admin, open_consumer, visible_topics
from engine.kafka.ledger import Ledger
from engine.kafka.refusals import why_denied, why_unreachable
from engine.kafka.topics import TopicError
from engine.log.ports import LogRecord, Unavailable
from schemas.outputs import Delivery
from schemas.topics import Topic

_ANSWER_SECONDS: Final = 15.0
"""For one step: the election of a leader takes seconds, and a stop must not wait for longer."""
_OPEN_SECONDS: Final = 300.0  # 30 days of deliveries are read first, at 100,000 a second or more
_READ_WAIT_MS: Final = 200
_READ_AHEAD_MS: Final = 50  # a partition's next records are asked for at once; another one's are, after so long
_WATCH_BYTES_MAX: Final = 4096  # that there is something is all that is asked
_WATCH_RECORDS_MAX: Final = 10_000
_CLIENT: Final = "plimsoll-notifications"

_log: Final = logging.getLogger(__name__)


class KafkaNotificationLog:
    """NotificationLog on Kafka; made by ``open``, used and closed by ``async with``.

    One process at a time reads and one waits; a consumer that is asked for is taken over from any other process.
    """

    def __init__(self, connection: Connection, prefix: str, admin: AIOKafkaAdminClient, partitions: int) -> None:
        self._connection = connection
        self._prefix = prefix
        self._admin = admin
        self._places = [TopicPartition(prefix + Topic.NOTIFICATIONS.value, number) for number in range(partitions)]
        # Fetches of one partition, and only while it is read: whatever is asked of a broker on the same connection
        # waits for the fetch before it, and of 64 partitions each would have to.
        self._reader: Consumer = open_consumer(connection, _CLIENT, fetch_wait_ms=_READ_AHEAD_MS)
        # Another, because the wait goes on while the first is read and sought; a third fetches nothing: it is asked how
        # far the partitions go, and answers at once.
        self._asked: Consumer = open_consumer(connection, _CLIENT)
        self._watcher: Consumer = open_consumer(connection, _CLIENT, fetch_bytes_max=_WATCH_BYTES_MAX)
        self._resume: dict[int, int] = {}
        self._ledgers: dict[str, Ledger] = {}

    @classmethod
    async def open(cls, connection: Connection, prefix: str = "") -> Self:
        """Connects. Raises Unavailable, OperationalError where we are not let in, TopicError without the topics."""
        admin = open_admin(connection, _CLIENT)
        try:
            async with _reaching(connection):
                await admin.start()
                log = cls(connection, prefix, admin, await _partitions(admin, prefix))
        except BaseException:
            await admin.close()
            raise
        try:
            async with _reaching(connection):
                await log._start()
        except BaseException:
            await log._close()
            raise
        return log

    async def _start(self) -> None:
        await self._asked.start()
        ends = await self._asked.end_offsets(self._places)
        for consumer in (self._reader, self._watcher):
            await consumer.start()
            consumer.assign(self._places)
            for place, end in ends.items():
                consumer.seek(place, end)
        self._reader.pause(*self._places)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._close()

    async def _close(self) -> None:
        for ledger in self._ledgers.values():
            await ledger.close()
        for consumer in (self._reader, self._watcher, self._asked):
            with suppress(KafkaError):
                await consumer.stop()
        await self._admin.close()

    @property
    def partitions(self) -> int:
        """How many partitions the topic has, fixed for life."""
        return len(self._places)

    async def positions(self, consumer: str) -> Mapping[int, int]:
        """Where the consumer stands; a partition that is absent stands at the start."""
        async with _reaching(self._connection, _OPEN_SECONDS):
            return await self._ledger(consumer).positions()

    async def read(self, partition: int, offset: int, records_max: int) -> Sequence[LogRecord]:
        """Committed records from ``offset`` on, in order; empty where there are none now.

        Where the cluster no longer keeps that offset, from the first one that it keeps.
        """
        try:
            async with _reaching(self._connection):
                return await self._read(self._places[partition], offset, records_max)
        except BaseException:
            self._resume.pop(partition, None)
            raise

    async def wait(self, timeout_seconds: float) -> None:
        """Returns when there may be something new, at the latest after the timeout."""
        async with _reaching(self._connection, timeout_seconds + _ANSWER_SECONDS):
            for ledger in tuple(self._ledgers.values()):
                await ledger.refresh()
            timeout_ms = int(timeout_seconds * 1000)
            if await self._watcher.getmany(timeout_ms=timeout_ms, max_records=_WATCH_RECORDS_MAX):
                # What is there by now is read after this: only what comes later is news again.
                for place, end in (await self._asked.end_offsets(self._places)).items():
                    self._watcher.seek(place, end)

    async def settled(self, consumer: str, notifications: Sequence[str]) -> frozenset[str]:
        """Which of these notification ids already have a delivery recorded by this consumer."""
        async with _reaching(self._connection, _OPEN_SECONDS):
            return await self._ledger(consumer).settled(notifications)

    async def commit(self, consumer: str, positions: Mapping[int, int], deliveries: Sequence[Delivery]) -> None:
        """Records deliveries and moves positions forward, in one transaction. Raises TakenOver besides."""
        async with _reaching(self._connection):
            await self._ledger(consumer).commit(positions, deliveries)

    def _ledger(self, consumer: str) -> Ledger:
        if consumer not in self._ledgers:
            self._ledgers[consumer] = Ledger(self._connection, self._admin, self._prefix, consumer, self.partitions)
        return self._ledgers[consumer]

    async def _read(self, place: TopicPartition, offset: int, records_max: int) -> list[LogRecord]:
        end = (await self._asked.end_offsets([place]))[place]
        if offset >= end:
            return []
        if self._resume.get(place.partition) != offset:
            begin = (await self._asked.beginning_offsets([place]))[place]
            if offset < begin:
                _log.warning(
                    "%s/%d: %d is no longer kept, reading from %d", place.topic, place.partition, offset, begin
                )
            self._reader.seek(place, max(offset, begin))
            self._resume[place.partition] = offset
        records: list[LogRecord] = []
        self._reader.resume(place)
        try:
            while len(records) < records_max and await self._reader.position(place) < end:
                records += await self._fetched(place, _READ_WAIT_MS, records_max - len(records))
        finally:
            self._reader.pause(place)
        if records:
            self._resume[place.partition] = records[-1].offset + 1
        return records

    async def _fetched(self, place: TopicPartition, timeout_ms: int, records_max: int) -> list[LogRecord]:
        found = await self._reader.getmany(place, timeout_ms=timeout_ms, max_records=records_max)
        return [
            LogRecord(
                Topic.NOTIFICATIONS,
                place.partition,
                record.offset,
                record.timestamp * 1000,
                (record.key or b"").decode(errors="replace"),
                record.value or b"",
            )
            for record in found.get(place, ())
        ]


async def _partitions(admin: AIOKafkaAdminClient, prefix: str) -> int:
    """How many partitions notifications and deliveries have."""
    names = [prefix + topic.value for topic in (Topic.NOTIFICATIONS, Topic.DELIVERIES)]
    counts = {name: len(topic["partitions"]) for name, topic in (await visible_topics(admin, names)).items()}
    for name in names:
        if name not in counts:
            raise TopicError(f"expected the topic {name}, found none: run `plimsoll topics create` first")
    if len(set(counts.values())) > 1:
        found = ", ".join(f"{name} {count}" for name, count in counts.items())
        raise TopicError(f"expected topics with one partition count, found {found}")
    return counts[names[0]]


@asynccontextmanager
async def _reaching(connection: Connection, seconds_max: float = _ANSWER_SECONDS) -> AsyncIterator[None]:
    """Bounds a step, and turns what the cluster has against it into the port's failures."""
    where = f"the Kafka cluster at {connection.bootstrap}"
    try:
        async with asyncio.timeout(seconds_max):
            yield
    except TimeoutError:
        raise Unavailable(f"{where} did not answer within {seconds_max:.0f} s") from None
    except KafkaConnectionError as error:
        reason = await why_unreachable(connection)
        if reason is not None and not reason.passes:
            raise OperationalError(f"{where} could not be reached: {reason.text}") from error
        raise Unavailable(f"{where} could not be reached: {reason.text if reason else error}") from error
    except KafkaError as error:
        denied = why_denied(error, connection)
        if denied is not None:
            raise OperationalError(denied) from error
        raise Unavailable(f"{where}: {str(error) or type(error).__name__}") from error
