"""Where a consumer of notifications stands and what it has settled, on the cluster (ADR 21).

One transaction holds deliveries and positions: the positions as offsets of the consumer's group, so that the usual
tools show its lag. The transactional id is the consumer's name: a copy that starts fences the one before, and signs the
positions. So whoever is fenced, or begins anew, finds out whether a copy has taken over: then it ends. Where none has,
a transaction of its own was open for too long, and it goes on.
"""

import asyncio
import time
import uuid
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Final

from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import GroupAuthorizationFailedError, InvalidProducerEpoch, KafkaError, ProducerFenced
from aiokafka.structs import OffsetAndMetadata, RecordMetadata

from engine.failures import OperationalError
from engine.kafka.clients import Connection, Producer, open_consumer, open_producer
from engine.kafka.settled import SettledIds
from schemas.outputs import Delivery, encode_output
from schemas.topics import Topic, partition_of

CONSUMER_HEADER: Final = "plimsoll-consumer"
"""Says on a delivery which consumer it is of: of one notification several may have an outcome."""
REFRESH_SECONDS: Final = 43_200.0  # brokers forget offsets that nobody wrote for offsets.retention.minutes, a week
_SCAN_RECORDS_MAX: Final = 10_000
_SCAN_WAIT_MS: Final = 500
_STOP_SECONDS_MAX: Final = 5.0
_COORDINATOR_TRIES_MAX: Final = 50
_COORDINATOR_SECONDS: Final = 0.2  # a cluster that never had a group makes the topic of offsets first: a second or two


class TakenOver(OperationalError):  # noqa: N818  # it names a state
    """Another process of the same consumer has started; nothing that this one had not recorded will be.

    ``exit_code`` is its own: a supervisor that started this one again would end the other, and so on for ever.
    """

    exit_code = 3


class Ledger:
    """Positions and settled notifications of one consumer. After a failure the next use begins anew."""

    def __init__(
        self, connection: Connection, admin: AIOKafkaAdminClient, prefix: str, consumer: str, partitions: int
    ) -> None:
        self._connection = connection
        self._admin = admin
        self._group = f"{prefix}plimsoll-{consumer}"
        self._consumer = consumer
        self._source = prefix + Topic.NOTIFICATIONS.value
        self._deliveries = prefix + Topic.DELIVERIES.value
        self._partitions = partitions
        self._producer: Producer | None = None
        self._positions: dict[int, int] = {}
        self._settled = SettledIds()
        self._scanned: dict[TopicPartition, int] = {}
        self._refreshed = -REFRESH_SECONDS
        self._signature = uuid.uuid4().hex
        self._signed = False
        self._taken: TakenOver | None = None
        self._lock = asyncio.Lock()

    async def positions(self) -> Mapping[int, int]:
        """By partition the offset of the next notification. Raises KafkaError or TakenOver, as all do."""
        async with self._lock:
            await self._opened()
            return dict(self._positions)

    async def settled(self, notifications: Sequence[str]) -> frozenset[str]:
        """Which of these ids have a delivery."""
        async with self._lock:
            await self._opened()
            return frozenset(name for name in notifications if name in self._settled)

    async def commit(self, positions: Mapping[int, int], deliveries: Sequence[Delivery]) -> None:
        """Deliveries that are not there yet, and positions that lead forward, in one transaction."""
        async with self._lock:
            producer = await self._opened()
            moved = {number: offset for number, offset in positions.items() if offset > self._positions.get(number, -1)}
            new = {each.notification: each for each in deliveries if each.notification not in self._settled}
            if moved or new:
                await self._write(producer, moved, list(new.values()))

    async def refresh(self) -> None:
        """Writes the positions again where the cluster would forget them one day."""
        if self._producer is None or time.monotonic() - self._refreshed < REFRESH_SECONDS:
            return
        async with self._lock:
            producer = await self._opened()
            if self._positions:
                await self._write(producer, self._positions, [])
            self._refreshed = time.monotonic()

    async def close(self) -> None:
        """Ends the producer; what was not committed is as if it never was."""
        producer, self._producer = self._producer, None
        if producer is not None:
            with suppress(KafkaError, TimeoutError):
                await asyncio.wait_for(producer.stop(), _STOP_SECONDS_MAX)

    async def _write(self, producer: Producer, positions: Mapping[int, int], deliveries: Sequence[Delivery]) -> None:
        at_ms = time.time_ns() // 1_000_000
        written: list[asyncio.Future[RecordMetadata]] = []
        try:
            await producer.begin_transaction()
            for each in deliveries:
                written.append(
                    await producer.send(
                        self._deliveries,
                        encode_output(each),
                        key=each.notification.encode(),
                        partition=partition_of(each.client, self._partitions),
                        timestamp_ms=at_ms,
                        headers=[(CONSUMER_HEADER, self._consumer.encode())],
                    )
                )
            if positions:
                await producer.send_offsets_to_transaction(self._offsets(positions), self._group)
            await asyncio.gather(*written)
            await producer.commit_transaction()
        except BaseException as error:
            # It may or may not have been done: the next use asks the cluster, which by then has decided.
            await self.close()
            if isinstance(error, ProducerFenced | InvalidProducerEpoch):
                await self._check_owner()
            raise
        self._positions |= positions
        for each in deliveries:
            self._settled.add(each.notification)

    async def _opened(self) -> Producer:
        """The producer, with positions and deliveries as they are once the copy before can write no more."""
        if self._taken is not None:
            raise self._taken
        if self._producer is None:
            await self._check_owner()  # before the start, which would fence it
            producer = open_producer(self._connection, self._group)
            try:
                await producer.start()
                # A place of 0 is none: what was never read is read from the begin.
                found = await self._committed()
                self._positions = {number: each.offset for number, each in found.items() if each.offset > 0}
                await self._sign(producer)
                await self._scan()
            except BaseException:
                with suppress(KafkaError, TimeoutError):
                    await asyncio.wait_for(producer.stop(), _STOP_SECONDS_MAX)
                raise
            self._producer = producer
        return self._producer

    async def _sign(self, producer: Producer) -> None:
        """Writes the positions as they are, so that they are this copy's; where there are none, a first one of 0.

        Who may not write deliveries is told here, by a place of theirs in the transaction: told by the first delivery,
        it would have sent what it cannot record, and would send it again at each start.
        """
        await producer.begin_transaction()
        producer._txn_manager.maybe_add_partition_to_txn(TopicPartition(self._deliveries, 0))
        await producer.send_offsets_to_transaction(self._offsets(self._positions or {0: 0}), self._group)
        await producer.commit_transaction()
        self._signed = True
        self._refreshed = time.monotonic()

    async def _check_owner(self) -> None:
        """Raises TakenOver where another copy has signed since this one did."""
        if self._signed and any(each.metadata != self._signature for each in (await self._committed()).values()):
            self._taken = TakenOver(
                f"another {self._consumer} has started on this cluster: this one ends, so that nothing is sent by two;"
                " run one at a time"
            )
            raise self._taken

    def _offsets(self, positions: Mapping[int, int]) -> dict[TopicPartition, OffsetAndMetadata]:
        return {
            TopicPartition(self._source, number): OffsetAndMetadata(offset, self._signature)
            for number, offset in positions.items()
        }

    async def _committed(self) -> dict[int, OffsetAndMetadata]:
        """The group's offsets, with who signed them."""
        asked = [TopicPartition(self._source, number) for number in range(self._partitions)]
        for left in reversed(range(_COORDINATOR_TRIES_MAX)):
            try:
                found = await self._admin.list_consumer_group_offsets(self._group, partitions=asked)
            except GroupAuthorizationFailedError as error:
                raise GroupAuthorizationFailedError(self._group) from error
            except KafkaError as error:
                if not error.retriable or not left:
                    raise
                await asyncio.sleep(_COORDINATOR_SECONDS)
            else:
                return {place.partition: each for place, each in found.items() if each.offset >= 0}
        raise AssertionError("the last try returns or raises")

    async def _scan(self) -> None:
        """Reads the deliveries that were not read yet: at first all that the cluster keeps, 30 days of them."""
        consumer = open_consumer(self._connection, self._group)
        await consumer.start()
        try:
            places = [TopicPartition(self._deliveries, number) for number in range(self._partitions)]
            ends = await consumer.end_offsets(places)
            begins = await consumer.beginning_offsets(places)
            consumer.assign(places)
            for place in places:
                consumer.seek(place, max(begins[place], min(self._scanned.get(place, 0), ends[place])))
            left = places
            while left := [place for place in left if await consumer.position(place) < ends[place]]:
                found = await consumer.getmany(*left, timeout_ms=_SCAN_WAIT_MS, max_records=_SCAN_RECORDS_MAX)
                for records in found.values():
                    for record in records:
                        if record.key is not None and (CONSUMER_HEADER, self._consumer.encode()) in record.headers:
                            self._settled.add(record.key.decode())
            self._scanned = ends
        finally:
            await consumer.stop()
