"""Who owns a partition, as its changelog says: each owner signs it, once, before it does anything else.

A broker fences a producer for two reasons and tells nobody which of them it was: another one started under the same id,
or a transaction was open for too long, because the broker was away or this process was frozen. The first ends the task.
After the second, and after any other failure, it may begin again, unless another owner has signed meanwhile.

A signature is a deletion of a key that nobody ever sets: it leaves nothing in a store, and the changelog forgets it.
"""

import time
import uuid
from contextlib import AsyncExitStack
from typing import Final

from aiokafka.errors import KafkaTimeoutError

from engine.kafka.clients import TRANSACTION_MS_MAX, Producer, open_consumer
from engine.kafka.failing import client_stopped
from engine.kafka.options import TaskOptions
from engine.kafka.transactions import transact
from engine.partition import keys

_WAIT_MS: Final = 500
_RECORDS_MAX: Final = 2_000
_STALL_SECONDS_MAX: Final = 2 * TRANSACTION_MS_MAX / 1000  # a transaction that somebody left open ends before


class Signature:
    """The signature of one task, the same each time it begins again."""

    def __init__(self, options: TaskOptions, number: int) -> None:
        self._options = options
        self._number = number
        self._place = options.changelog(number)
        self._owners = keys.prefix(number, keys.OWNER)
        self._own = self._owners + uuid.uuid4().bytes

    async def sign(self, producer: Producer, now: int) -> int:
        """Says that the partition is this task's; the offset after that. ``now``: microseconds."""
        place = (self._place.topic, self._number)
        return (await transact(producer, {place: [(now // 1000, self._own, None, [])]}))[place]

    async def is_superseded(self, since: int) -> bool:
        """Whether another owner has signed at that offset or later. Raises KafkaTimeoutError where it cannot be told.

        ``since``: after the last transaction that this task knows to be committed; nobody else signed before it.
        """
        async with AsyncExitStack() as stack:
            consumer = open_consumer(self._options.connection, f"{self._options.app}-{self._number}")
            stack.push_async_callback(client_stopped, consumer.stop)
            await consumer.start()
            begin = (await consumer.beginning_offsets([self._place]))[self._place]
            end = (await consumer.end_offsets([self._place]))[self._place]
            consumer.assign([self._place])
            position = max(begin, since)
            consumer.seek(self._place, position)
            progressed = time.monotonic()
            while position < end:
                found = await consumer.getmany(self._place, timeout_ms=_WAIT_MS, max_records=_RECORDS_MAX)
                for record in found.get(self._place, ()):
                    if (record.key or b"").startswith(self._owners) and record.key != self._own:
                        return True
                reached = await consumer.position(self._place)
                if reached > position:
                    position, progressed = reached, time.monotonic()
                elif time.monotonic() - progressed > _STALL_SECONDS_MAX:
                    raise KafkaTimeoutError(f"the changelog gives nothing at {position}, it should reach {end}")
        return False
