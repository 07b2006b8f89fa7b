"""A transaction tells why it failed, whatever its producer says about that."""

import asyncio
from collections.abc import Sequence

import pytest
from aiokafka import TopicPartition
from aiokafka.errors import IllegalOperation, ProducerFenced
from aiokafka.structs import RecordMetadata

from engine.kafka.clients import BatchBuilder, Producer
from engine.kafka.transactions import Sent, transact

RECORD: Sent = (0, None, b"{}", [])


class Builder:
    """Takes one record."""

    def append(
        self, *, timestamp: int, key: bytes | None, value: bytes | None, headers: list[tuple[str, bytes]]
    ) -> object:
        return self

    def close(self) -> None:
        pass

    def record_count(self) -> int:
        return 1


class Scripted:
    """A producer whose batches end as the script says; an IllegalOperation is raised, anything else is the future's."""

    def __init__(self, script: Sequence[Exception | int]) -> None:
        self.committed = False
        self._script = list(script)

    async def begin_transaction(self) -> None:
        pass

    async def commit_transaction(self) -> None:
        self.committed = True

    def create_batch(self) -> BatchBuilder:
        return Builder()

    async def send_batch(self, batch: BatchBuilder, topic: str, *, partition: int) -> "asyncio.Future[RecordMetadata]":
        outcome = self._script.pop(0)
        if isinstance(outcome, IllegalOperation):
            raise outcome
        done: asyncio.Future[RecordMetadata] = asyncio.get_running_loop().create_future()
        if isinstance(outcome, Exception):
            done.set_exception(outcome)
        else:
            done.set_result(RecordMetadata(topic, partition, TopicPartition(topic, partition), outcome, 0, 0, None))
        return done


async def written(producer: Scripted) -> dict[tuple[str, int], int]:
    given: Producer = producer  # type: ignore[assignment]  # what a transaction uses of one
    return await transact(given, {("events", 0): [RECORD], ("events", 1): [RECORD]})


async def test_where_each_partition_ends() -> None:
    producer = Scripted([7, 9])
    assert await written(producer) == {("events", 0): 8, ("events", 1): 10}
    assert producer.committed


async def test_a_fence_found_between_two_batches_is_a_fence() -> None:
    producer = Scripted([ProducerFenced(), IllegalOperation("not in transaction")])
    with pytest.raises(ProducerFenced):
        await written(producer)
    assert not producer.committed


async def test_what_no_batch_explains_is_raised_as_it_is() -> None:
    producer = Scripted([7, IllegalOperation("not in transaction")])
    with pytest.raises(IllegalOperation):
        await written(producer)
    assert not producer.committed
