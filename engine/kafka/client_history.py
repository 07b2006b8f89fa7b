"""A client's history out of `events` of its partition, for readers (``engine.history``); ``histories`` is for moves.

The whole log of the partition is read up to where its task is, and all but the client's records and configuration is
skipped, most of it undecoded. That is bounded: in records, in seconds, in readers at a time. It is done in a thread,
which rests for as long as it has worked, so that the tasks keep most of the core.
"""

import asyncio
import threading
import time
from collections import defaultdict, deque
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack
from typing import Final

from aiokafka import TopicPartition
from aiokafka.structs import ConsumerRecord

from engine.core.fold import Record
from engine.core.outcome import Outcome
from engine.core.state import State
from engine.failures import OperationalError
from engine.history import FOR_OTHERS, HistoryFold, refused_for_others
from engine.kafka.clients import Consumer, open_consumer
from engine.kafka.folding import Moved, Revised, fold_records, read_record
from engine.kafka.options import TaskOptions
from engine.log.ports import Unavailable
from engine.partition.revisions import Decided, MemoryRevisions
from schemas.answers import History
from schemas.codec import decode
from schemas.events import ConfigEvent, Tick
from schemas.reasons import Refusal
from schemas.topics import Topic

SECONDS_MAX: Final = 50.0
"""For one answer; whoever asks waits for a little longer."""
_WAITING_MAX: Final = 8
_RECORDS_MAX: Final = 1_000  # of one turn: a few milliseconds without a rest
_WAIT_MS: Final = 500
_OTHERS_SENTENCE: Final = "other histories are being read; ask again in a moment"
_CLOSED_SENTENCE: Final = "this worker is handing over; ask again in a moment"

Refused = Mapping[tuple[str, str], Sequence[int]]
"""By source and id of configuration that was refused for the sake of clients: about when, in milliseconds, in order."""


class BrokenHistoryError(OperationalError):
    """An event of the log at which the engine breaks: what comes after it cannot be told for one client alone."""


class LogHistory:
    """Folds one client out of the records of its partition of `events`, in order."""

    def __init__(self, client: str, refused: Refused, *, limit: int, before: int | None) -> None:
        """``refused``: a rejection has the time of its commit, which began at or before the record that it is of."""
        self._client = client
        self._key = client.encode()
        self._refused = {name: deque(times) for name, times in refused.items()}
        self._revisions = MemoryRevisions()
        self._folded = HistoryFold(client, limit=limit, before=before, folding=self._fold)

    def take(self, record: "ConsumerRecord[bytes, bytes]") -> None:
        """The next record. Raises BrokenHistoryError."""
        key, raw = record.key or b"", record.value or b""
        if key and key != self._key and self._key not in raw and b"\\" not in raw:
            return  # of another client, whatever it is: only an escape could spell this one's name another way
        read = read_record(record)
        event = read.event
        try:
            if isinstance(read, Revised):
                self._take_configuration(read)
            elif isinstance(event, Refusal):
                if key == self._key:
                    name = decode(raw) if isinstance(read, Moved) else None
                    self._folded.put(Record(read.at, event, raw), own=True, name=name)
            elif isinstance(event, Tick):
                self._folded.put(read, own=False)
            elif not isinstance(event, ConfigEvent) and event.client == self._client:
                self._folded.put(Record(read.at, event, raw), own=True)  # legs that it causes are in the log
        except (AssertionError, OperationalError, MemoryError):
            raise
        except Exception as error:
            raise BrokenHistoryError(
                f"the engine breaks at record {record.offset} of the client's partition ({type(error).__name__}), which"
                " it refused, and cannot tell what came after it: report it"
            ) from error

    def history(self, clock: int) -> History:
        """The entries, once the clock of the partition has reached that log time."""
        self._folded.move_clock(clock)
        return self._folded.history()

    def _take_configuration(self, read: Revised) -> None:
        event, at = read.event, read.at
        if not read.asks and isinstance(event, ConfigEvent) and at is not None:
            times = self._refused.get((event.source, event.id))
            if times and times[0] <= at // 1000:
                times.popleft()
                self._folded.move_clock(at)
                self._revisions.put(read.kind, read.key, Decided(read.revision, "refused"))
                return
        self._folded.put(read, own=False)

    def _fold(self, state: State, record: Record, out: Outcome) -> None:
        fold_records(state, self._revisions, (record,), out)


class LogHistories:
    """Histories of the partitions of a worker, one at a time. ``records_max``: of a partition, for one answer."""

    def __init__(self, options: TaskOptions, records_max: int) -> None:
        self._options = options
        self._records_max = records_max
        self._reading = asyncio.Lock()
        self._waiting = 0
        self._closed = threading.Event()

    def close(self) -> None:
        """Whoever waits for a history, or is being read one, is told to ask again; soon, and from now on."""
        self._closed.set()

    async def read(self, client: str, number: int, end: int, clock: int, *, limit: int, before: int | None) -> History:
        """The latest entries before entry ``before``, of what comes before offset ``end``, at log time ``clock``.

        Raises Unavailable where too many are asked for at once, or the log does not give it in time, and KafkaError.
        """
        if self._waiting >= _WAITING_MAX:
            raise Unavailable(_OTHERS_SENTENCE)
        self._waiting += 1
        given_up = threading.Event()
        try:
            async with self._reading:
                if self._closed.is_set():
                    raise Unavailable(_CLOSED_SENTENCE)
                reading = self._read(client, number, end, clock, limit, before, given_up)
                return await asyncio.to_thread(asyncio.run, reading)
        finally:
            given_up.set()
            self._waiting -= 1

    async def _read(
        self,
        client: str,
        number: int,
        end: int,
        clock: int,
        limit: int,
        before: int | None,
        given_up: threading.Event,
    ) -> History:
        events = self._options.events(number)
        rejections = TopicPartition(self._options.prefix + Topic.REJECTIONS.value, number)
        async with AsyncExitStack() as stack:
            consumer = open_consumer(self._options.connection, f"{self._options.app}-history")
            stack.push_async_callback(consumer.stop)
            await consumer.start()
            begins = await consumer.beginning_offsets([events, rejections])
            rejected = (await consumer.end_offsets([rejections]))[rejections]
            sentence = self._cut(begins[events], end - begins[events] + rejected - begins[rejections])
            if sentence is not None:
                return History(client, [], cut=True, sentence=sentence)
            reader = _Reader(consumer, given_up, self._closed)
            refused: dict[tuple[str, str], list[int]] = defaultdict(list)
            async for record in reader.read(rejections, begins[rejections], rejected):
                value = record.value or b""
                if not record.key and any(reason.encode() in value for reason in FOR_OTHERS):
                    name = refused_for_others(value)
                    if name is not None:
                        refused[name].append(record.timestamp)
            folded = LogHistory(client, refused, limit=limit, before=before)
            try:
                async for record in reader.read(events, begins[events], end):
                    folded.take(record)
            except BrokenHistoryError as error:
                return History(client, [], cut=True, sentence=str(error))
            return folded.history(clock)

    def _cut(self, begin: int, count: int) -> str | None:
        """Why there is no answer, where there is none."""
        if begin > 0:
            return f"the log of the client's partition begins at record {begin}: what came before it is not kept"
        if count > self._records_max:
            return (
                f"the log of the client's partition, with what was rejected, has {count} records, and at most"
                f" {self._records_max} are read for an answer (worker.history_records_max): write the history to a file"
                " with `plimsoll move kafka --output FILE`, and `plimsoll replay` it"
            )
        return None


class _Reader:
    """Reads stretches of partitions, with rests, within the time there is for one answer."""

    def __init__(self, consumer: Consumer, given_up: threading.Event, closed: threading.Event) -> None:
        self._consumer = consumer
        self._given_up = given_up
        self._closed = closed
        self._until = time.monotonic() + SECONDS_MAX

    async def read(self, place: TopicPartition, begin: int, end: int) -> "AsyncIterator[ConsumerRecord[bytes, bytes]]":
        """The records of a partition. Raises Unavailable."""
        self._consumer.assign([place])
        self._consumer.seek(place, begin)
        position = begin
        while position < end:
            began = time.thread_time()
            if self._closed.is_set():
                raise Unavailable(_CLOSED_SENTENCE)
            if self._given_up.is_set() or time.monotonic() > self._until:
                raise Unavailable(f"{place.topic}/{place.partition} was not read within {SECONDS_MAX:g} s; ask again")
            found = await self._consumer.getmany(place, timeout_ms=_WAIT_MS, max_records=_RECORDS_MAX)
            for record in found.get(place, ()):
                if record.offset < end:
                    yield record
            position = await self._consumer.position(place)
            await asyncio.sleep(time.thread_time() - began)
