"""aiokafka's clients as far as they are used here, with the types that it does not state, and with our settings."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any, Final, Protocol

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import TopicAuthorizationFailedError
from aiokafka.protocol.metadata import MetadataRequest
from aiokafka.structs import ConsumerRecord, OffsetAndMetadata, RecordMetadata

from engine.connection import Connection

__all__ = [
    "TRANSACTION_MS_MAX",
    "BatchBuilder",
    "Connection",
    "Consumer",
    "Producer",
    "Records",
    "open_admin",
    "open_consumer",
]
__all__ += ["open_producer", "security", "visible_topics"]

TRANSACTION_MS_MAX: Final = 10_000  # an open transaction holds up every partition that it has written into
BATCH_BYTES_MAX: Final = 512 * 1024  # half of what a broker takes by default in one batch
_FETCH_BYTES_MAX: Final = 1024 * 1024  # compressed: a few batches of records, held until they are asked for
_FETCH_WAIT_MS: Final = 500

Records = Mapping[TopicPartition, "Sequence[ConsumerRecord[bytes, bytes]]"]


class Consumer(Protocol):
    """Reads assigned partitions; sees only what was committed."""

    async def start(self) -> None: ...

    async def stop(self) -> None: ...

    def assign(self, partitions: list[TopicPartition]) -> None: ...

    def seek(self, partition: TopicPartition, offset: int) -> None: ...

    def pause(self, *partitions: TopicPartition) -> None: ...

    def resume(self, *partitions: TopicPartition) -> None: ...

    async def getmany(self, *partitions: TopicPartition, timeout_ms: int, max_records: int) -> Records: ...

    async def position(self, partition: TopicPartition) -> int: ...

    def highwater(self, partition: TopicPartition) -> int | None: ...

    async def beginning_offsets(self, partitions: list[TopicPartition]) -> dict[TopicPartition, int]: ...

    async def end_offsets(self, partitions: list[TopicPartition]) -> dict[TopicPartition, int]: ...


class BatchBuilder(Protocol):
    """Records of one partition; ``append`` gives None where it is full, never for the first."""

    def append(
        self, *, timestamp: int, key: bytes | None, value: bytes | None, headers: list[tuple[str, bytes]]
    ) -> object | None: ...

    def close(self) -> None: ...

    def record_count(self) -> int: ...


class Producer(Protocol):
    """A transactional producer; starting it fences the former one of its id."""

    _txn_manager: Any  # aiokafka's own, which has no annotations

    async def start(self) -> None: ...

    async def stop(self) -> None: ...

    async def begin_transaction(self) -> None: ...

    async def commit_transaction(self) -> None: ...

    async def send(
        self,
        topic: str,
        value: bytes,
        *,
        key: bytes,
        partition: int,
        timestamp_ms: int,
        headers: list[tuple[str, bytes]],
    ) -> "asyncio.Future[RecordMetadata]": ...

    async def send_offsets_to_transaction(
        self, offsets: dict[TopicPartition, OffsetAndMetadata], group_id: str
    ) -> None: ...

    def create_batch(self) -> BatchBuilder: ...

    async def send_batch(
        self, batch: BatchBuilder, topic: str, *, partition: int
    ) -> "asyncio.Future[RecordMetadata]": ...


def security(connection: Connection) -> dict[str, Any]:  # Any: keyword arguments of aiokafka's clients
    """The arguments that every client of aiokafka takes: brokers, TLS, SASL. Raises WrongUse for a file that is not
    what it should be."""
    return {
        "bootstrap_servers": [address.strip() for address in connection.bootstrap.split(",")],
        "security_protocol": connection.protocol,
        "ssl_context": connection.tls_context(),
        "sasl_mechanism": "PLAIN" if connection.sasl == "none" else connection.sasl.upper(),
        "sasl_plain_username": connection.username,
        "sasl_plain_password": connection.password,
    }


class _Admin(AIOKafkaAdminClient):
    """Asks for topics without making them: a broker with auto.create.topics.enable makes whatever is asked for."""

    async def describe_topics(self, topics: list[str] | None = None) -> list[Any]:  # Any: as aiokafka has it
        answer: Any = await self._send_request(MetadataRequest(topics, allow_auto_topic_creation=False))
        described: list[Any] = answer.to_object()["topics"]
        return described


async def visible_topics(admin: AIOKafkaAdminClient, names: Sequence[str]) -> dict[str, Any]:  # Any: as aiokafka has it
    """Those of the topics that are there, by name. Raises TopicAuthorizationFailedError, with names, where it cannot be
    told: whether a topic is there a cluster tells only to who may describe it."""
    if not names:
        return {}
    described: list[Any] = await admin.describe_topics(list(names))
    hidden = [topic["topic"] for topic in described if topic["error_code"] == TopicAuthorizationFailedError.errno]
    if hidden:
        raise TopicAuthorizationFailedError(hidden)
    return {topic["topic"]: topic for topic in described if topic["error_code"] == 0}


def open_admin(connection: Connection, client: str = "plimsoll") -> AIOKafkaAdminClient:
    """An administration client, not started."""
    return _Admin(client_id=client, **security(connection))


def open_consumer(
    connection: Connection, client: str, *, fetch_bytes_max: int = _FETCH_BYTES_MAX, fetch_wait_ms: int = _FETCH_WAIT_MS
) -> Consumer:
    """A consumer outside of any group, at read_committed, not started. ``fetch_bytes_max``: of one partition.

    ``fetch_wait_ms``: how long a broker waits for records; it answers nothing else on that connection meanwhile.
    """
    consumer: Consumer = AIOKafkaConsumer(
        client_id=client,
        group_id=None,
        enable_auto_commit=False,
        auto_offset_reset="none",  # a position that the log no longer has is a failure, never a jump
        isolation_level="read_committed",
        max_partition_fetch_bytes=fetch_bytes_max,
        fetch_max_wait_ms=fetch_wait_ms,
        **security(connection),
    )
    return consumer


def open_producer(connection: Connection, transactional_id: str) -> Producer:
    """A producer under that transactional id, not started."""
    producer: Producer = AIOKafkaProducer(
        client_id=transactional_id,
        transactional_id=transactional_id,
        transaction_timeout_ms=TRANSACTION_MS_MAX,
        max_batch_size=BATCH_BYTES_MAX,
        compression_type="zstd",
        **security(connection),
    )
    return producer
