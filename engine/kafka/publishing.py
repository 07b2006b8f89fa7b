"""Events of a sender to `events`: keyed by client, configuration through its writer, what is no event refused here.

Accepted means that it is in the log: what the engine decides about it comes later, in the outputs. Configuration is
waited for, within bounds, because partitions can refuse it. What this door refuses goes to `rejections`, as at the HTTP
door, marked so that a replay of the log can tell it from what the engine refused.
"""

import asyncio
import random
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import AsyncExitStack, suppress
from itertools import groupby
from typing import Any, Final, Self

import msgspec
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from engine.kafka.clients import Connection, security
from engine.kafka.configuration import ConfigurationWriter, WriterFenced, WriterOptions, Written, is_configuration
from engine.kafka.refusals import why_denied
from engine.kafka.transactions import tell_failures_once
from engine.kafka.worker import cluster_of
from engine.publish import OnBatch, Piece, PublishFailed, RefusedEvent, Totals, publish_through
from schemas.codec import decode
from schemas.events import AnyEvent, ConfigEvent, Tick
from schemas.outputs import encode_output, rejection_of
from schemas.readers import tag_of
from schemas.reasons import Reason, Refusal
from schemas.times import format_time
from schemas.topics import Topic, partition_of

DOOR_HEADER: Final = "plimsoll-door"
"""The mark of a rejection that no engine decided."""
TICK_REFUSED: Final = Refusal(Reason.UNKNOWN_TYPE, "type: 'tick' is the clock's own; log time is the append time")
_LINGER_MS: Final = 5
_BATCH_BYTES_MAX: Final = 512 * 1024  # half of what a broker takes by default in one batch
_REQUEST_MS_MAX: Final = 30_000
_FENCED_MAX: Final = 10  # two senders of configuration take turns; more of them should not send at once
_AGAIN: Final = "Run the same command again: what was taken already is not applied twice"


class KafkaPublishOptions(msgspec.Struct, frozen=True, kw_only=True):
    """Where events go and how patiently. Times in seconds."""

    connection: Connection
    app: str = "plimsoll"
    prefix: str = ""
    batch_events_max: int = 1000
    """Events in flight: all of a batch are acknowledged before the next."""
    batch_bytes_max: int = 1024 * 1024
    give_up_seconds: float = 300.0
    answer_seconds: float = 10.0
    backoff_first_seconds: float = 0.5
    backoff_max_seconds: float = 15.0


async def publish_to_kafka(
    pieces: Iterable[Piece], options: KafkaPublishOptions, on_batch: OnBatch, tell: Callable[[str], None]
) -> Totals:
    """Sends every piece in order; ``on_batch`` is told what became of each batch once it is in the log, and ``tell``
    once where partitions do not answer for configuration.

    Raises PublishFailed where the cluster takes nothing for ``give_up_seconds``, TopicError where its topics are not as
    they should be, KafkaError where it cannot be reached at all.
    """
    tell_failures_once(asyncio.get_running_loop())
    _, partitions = await cluster_of(options.connection, options.prefix)
    async with KafkaDoor(options, partitions, tell) as door:
        return await publish_through(door, pieces, options.batch_events_max, options.batch_bytes_max, on_batch)


class KafkaDoor:
    """An idempotent producer, and the writer of configuration once it is needed."""

    def __init__(self, options: KafkaPublishOptions, partitions: int, tell: Callable[[str], None]) -> None:
        self._options = options
        self._tell: Callable[[str], None] | None = tell
        self._partitions = partitions
        self._stack = AsyncExitStack()
        self._producer: Any = None  # Any: aiokafka's producer has no annotations
        self._writer: ConfigurationWriter | None = None
        self._taken_at = time.monotonic()

    async def __aenter__(self) -> Self:
        await self._open()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    async def send(self, batch: list[Piece], totals: Totals) -> list[RefusedEvent]:
        """Sends one batch until all of it is in the log; gives what was refused of it."""
        attempt = fenced = 0
        while True:
            counted, refused = Totals(), list[RefusedEvent]()
            try:
                if self._producer is None:
                    await self._open()
                await self._send(batch, counted, refused)
            except WriterFenced as error:
                fenced += 1
                if fenced == _FENCED_MAX:
                    raise PublishFailed(str(error)) from error
                await self._close()
                options = self._options  # the other one needs some time without us to come to its end
                longest = min(options.backoff_max_seconds, options.backoff_first_seconds * 2**fenced)
                await asyncio.sleep(random.uniform(0, longest))
            except KafkaError as error:
                denied = why_denied(error, self._options.connection)
                if denied is not None:
                    raise PublishFailed(f"{denied}. {_AGAIN}") from error
                await self._pause(error, attempt)
                attempt += 1
            else:
                self._taken_at = time.monotonic()
                totals.accepted += counted.accepted
                totals.duplicate += counted.duplicate
                return refused
            # A producer that failed may have lost its place in the sequence: a new one begins another.
            await self._close()

    async def _send(self, batch: Sequence[Piece], totals: Totals, refused: list[RefusedEvent]) -> None:
        decoded = [(piece, decode(piece.raw, unknown_refused=True)) for piece in batch]
        for configures, run in groupby(decoded, lambda found: is_configuration(found[1])):
            if configures:
                await self._configure([piece for piece, _ in run], totals, refused)
            else:
                await self._append(list(run), totals, refused)

    async def _append(
        self, run: Sequence[tuple[Piece, AnyEvent | Refusal]], totals: Totals, refused: list[RefusedEvent]
    ) -> None:
        events = self._options.prefix + Topic.EVENTS.value
        sent: list[Any] = []  # Any: futures of the producer
        for piece, found in run:
            event = TICK_REFUSED if isinstance(found, Tick) else found
            if isinstance(event, Refusal):
                refused.append(_refused(piece, event))
                sent.append(await self._reject(event, piece.raw))
                continue
            assert not isinstance(event, ConfigEvent)
            sent.append(
                await self._producer.send(
                    events,
                    piece.raw,
                    key=event.client.encode(),
                    partition=partition_of(event.client, self._partitions),
                    headers=cloudevents_headers(event),
                )
            )
            totals.accepted += 1
        await _all(sent)

    async def _configure(self, pieces: Sequence[Piece], totals: Totals, refused: list[RefusedEvent]) -> None:
        if self._writer is None:
            options = WriterOptions(
                connection=self._options.connection,
                app=self._options.app,
                prefix=self._options.prefix,
                partitions=self._partitions,
                answer_seconds=self._options.answer_seconds,
            )
            self._writer = await self._stack.enter_async_context(ConfigurationWriter(options))
        for piece, written in zip(pieces, await self._writer.submit([piece.raw for piece in pieces]), strict=True):
            match written.status:
                case "accepted":
                    totals.accepted += 1
                case "written":
                    totals.accepted += 1
                    if self._tell is not None and written.message is not None:
                        self._tell(f"{piece.place}: {written.message}")
                        self._tell = None
                case "duplicate":
                    totals.duplicate += 1
                case "refused":
                    refusal = _refusal_of(written)
                    refused.append(_refused(piece, refusal))
                    if written.revision is None:  # else the partitions that refused it have said so themselves
                        await _all([await self._reject(refusal, piece.raw)])
                case "unanswered":
                    raise PublishFailed(f"{piece.place}: {written.message}. {_AGAIN}")

    async def _reject(self, refusal: Refusal, raw: bytes) -> Any:  # Any: a future of the producer
        topic = self._options.prefix + Topic.REJECTIONS.value
        value = encode_output(rejection_of(refusal, raw))
        return await self._producer.send(topic, value, partition=0, headers=[(DOOR_HEADER, b"1")])

    async def _open(self) -> None:
        producer = AIOKafkaProducer(
            client_id=f"{self._options.app}-publish",
            enable_idempotence=True,
            acks="all",
            compression_type="zstd",
            linger_ms=_LINGER_MS,
            max_batch_size=_BATCH_BYTES_MAX,
            request_timeout_ms=_REQUEST_MS_MAX,
            **security(self._options.connection),
        )
        self._stack.push_async_callback(producer.stop)
        await producer.start()
        self._producer = producer

    async def _close(self) -> None:
        stack, self._stack = self._stack, AsyncExitStack()
        self._producer = self._writer = None
        with suppress(KafkaError):
            await stack.aclose()

    async def _pause(self, error: KafkaError, attempt: int) -> None:
        options = self._options
        wait = min(options.backoff_max_seconds, options.backoff_first_seconds * 2 ** min(attempt, 16))
        wait *= 0.5 + random.random() / 2  # several senders should not come back at one instant
        if time.monotonic() + wait - self._taken_at > options.give_up_seconds:
            raise PublishFailed(
                f"the Kafka cluster at {options.connection.bootstrap} took nothing for {options.give_up_seconds:g} s "
                f"({str(error) or type(error).__name__}). {_AGAIN}"
            ) from error
        await asyncio.sleep(wait)


def cloudevents_headers(event: AnyEvent) -> list[tuple[str, bytes]]:
    """The attributes of an event of a client, as CloudEvents' Kafka binding has them in binary mode."""
    assert not isinstance(event, Tick)
    return [
        ("ce_specversion", b"1.0"),
        ("ce_type", tag_of(type(event)).encode()),
        ("ce_source", event.source.encode()),
        ("ce_id", event.id.encode()),
        ("ce_time", format_time(event.time).encode()),
        ("content-type", b"application/json"),
    ]


async def _all(sent: Sequence[Any]) -> None:  # Any: futures of the producer
    """Waits for every acknowledgement. Raises the first failure."""
    for answer in await asyncio.gather(*sent, return_exceptions=True):
        if isinstance(answer, BaseException):
            raise answer


def _refusal_of(written: Written) -> Refusal:
    assert written.reason is not None
    assert written.message is not None
    return Refusal(Reason(written.reason), written.message)


def _refused(piece: Piece, refusal: Refusal) -> RefusedEvent:
    return RefusedEvent(piece.place, refusal.reason.value, refusal.message, piece.raw.decode(errors="replace"))
