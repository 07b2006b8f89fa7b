"""One transaction of a producer: records by topic and partition, sent in batches, all or none."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from aiokafka.errors import IllegalOperation, KafkaError, TopicAuthorizationFailedError
from aiokafka.structs import RecordMetadata

from engine.kafka.batches import fill_batches
from engine.kafka.clients import BatchBuilder, Producer

Sent = tuple[int, bytes | None, bytes | None, list[tuple[str, bytes]]]
"""Milliseconds, key, value, headers."""


class Uniform(msgspec.Struct, frozen=True):
    """Records of one time without headers, keys and values: what a commit writes by the thousand."""

    at_ms: int
    pairs: Sequence[tuple[bytes | None, bytes | None]]

    def __len__(self) -> int:
        return len(self.pairs)


Place = tuple[str, int]
"""Topic and partition."""


async def transact(producer: Producer, sent: Mapping[Place, Sequence[Sent] | Uniform]) -> dict[Place, int]:
    """One transaction; by place the offset after the last record. After an exception the producer is not used again.

    Raises what the first batch failed by, ProducerFenced above all: a producer that finds itself fenced between two
    batches refuses the second with IllegalOperation, and only the first one's future says why. Where a topic may not be
    written, that: batches of the others fail too, and do not name it.
    """
    await producer.begin_transaction()
    waiting: list[tuple[Place, int, asyncio.Future[RecordMetadata]]] = []
    refused: IllegalOperation | None = None
    try:
        for place, records in sent.items():
            for builder in _builders(producer, records):
                done = await producer.send_batch(builder, place[0], partition=place[1])
                done.add_done_callback(_looked_at)
                waiting.append((place, builder.record_count(), done))
    except IllegalOperation as error:
        refused = error
    answers = await asyncio.gather(*(done for _, _, done in waiting), return_exceptions=True)
    for answer in answers:
        if isinstance(answer, TopicAuthorizationFailedError):
            raise answer
    ends: dict[Place, int] = {}
    for (place, count, _), answer in zip(waiting, answers, strict=True):
        if isinstance(answer, BaseException):
            raise answer
        ends[place] = answer.offset + count
    if refused is not None:
        raise refused
    await producer.commit_transaction()
    return ends


def _builders(producer: Producer, records: Sequence[Sent] | Uniform) -> Sequence[BatchBuilder]:
    if isinstance(records, Uniform):
        return fill_batches(records.at_ms, records.pairs)
    builder = producer.create_batch()
    builders = [builder]
    for at, key, value, headers in records:
        if builder.append(timestamp=at, key=key, value=value, headers=headers) is None:
            builder = producer.create_batch()
            builders.append(builder)
            added = builder.append(timestamp=at, key=key, value=value, headers=headers)
            assert added is not None
    for each in builders:
        each.close()
    return builders


def _looked_at(done: "asyncio.Future[RecordMetadata]") -> None:
    """Takes note of a failure that nobody awaits: another one ended the transaction before."""
    if not done.cancelled():
        done.exception()


def tell_failures_once(loop: asyncio.AbstractEventLoop) -> None:
    """Keeps asyncio from writing tracebacks of failures that were raised already.

    For each batch that fails aiokafka sets the failure on a future of its own besides, which nobody can await.
    """

    def handle(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:  # Any: as asyncio has it
        if not isinstance(context.get("exception"), KafkaError):
            loop.default_exception_handler(context)

    loop.set_exception_handler(handle)
