"""The work of a partition that is owned and restored: steps 3 and 4 of a partition task (``engine.kafka.task``)."""

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from engine.core.configured import CONFIGURATION, DELETED
from engine.core.fold import Record
from engine.core.outcome import Outcome
from engine.kafka.clients import Producer
from engine.kafka.folding import ENGINE_HEADER, Folding
from engine.kafka.metrics import TaskMetrics
from engine.kafka.options import TaskOptions
from engine.kafka.recording import Pair, RecordedBatch, chunks_before, write_pairs
from engine.kafka.restore import standing_of
from engine.kafka.spans import drop_spans, span_before
from engine.kafka.standing import write_standing
from engine.kafka.transactions import Place, Sent, Uniform, transact
from engine.log.chunks import TOPIC_NUMBERS
from engine.partition import keys
from engine.partition.partition import Bounds, Partition
from engine.partition.seen import SeenFamilies
from engine.store.ports import STATE, Batch
from engine.store.rocks import RocksStore
from schemas.engine_events import encode_engine_event
from schemas.events import AnyEvent, EngineEvent, Tick, TransferLeg, TransferOutcome
from schemas.reasons import Refusal
from schemas.topics import Topic, partition_of

_ENDED_CHUNKS_MAX: Final = 500  # deleted with one commit
_LEARNT_MAX: Final = 250  # keys: half a millisecond, between two commits or in a tenth of a second without one
# A charge that they do not know of costs as much again as all of it, a key that they learn half a microsecond: so the
# sooner they know, the less it costs in all.
_LEARNT_PER_RECORD: Final = 4
_EVENTS: Final = TOPIC_NUMBERS[Topic.EVENTS]
_OWN: Final = frozenset((TransferLeg, TransferOutcome, Tick))


class Work:
    """Folds and commits. After an exception it is not used again: what is in memory may be more than was committed."""

    def __init__(
        self,
        options: TaskOptions,
        number: int,
        store: RocksStore,
        producer: Producer,
        clock: Callable[[], int],
        metrics: TaskMetrics,
        committed_to: int,
    ) -> None:
        """``committed_to``: the offset after the last record of the changelog that is known to be this owner's."""
        self._options = options
        self._number = number
        self._store = store
        self._producer = producer
        self._bounds = Bounds(balances_max=options.balances_max, accounts_max=options.accounts_max)
        self._clock = clock
        self._metrics = metrics
        self._uncounted = _OWN if number == 0 else _OWN.union(CONFIGURATION, DELETED)
        self._changelog = (options.changelog(number).topic, number)
        self.committed_to = committed_to
        self._families = SeenFamilies(store, options.dedupe_filter_bytes)
        self._partition = self._open()
        self._view: Partition | None = None
        self._kinds: list[type[AnyEvent | Refusal]] = []
        self._folding: Folding | None = None
        self._outcome: Outcome | None = None
        self._apply_seconds = 0.0
        self._drop_spans()

    def _open(self) -> Partition:
        return Partition(self._store, self._number, self._families, self._bounds)

    @property
    def position(self) -> int:
        """The offset of the next record of `events`."""
        return self._partition.next_offset_of_events

    @property
    def log_time(self) -> int:
        """The clock of the partition: the log time of the last record, in microseconds."""
        return self._partition.state.clock

    def committed(self) -> Partition:
        """The partition as it was committed last, to be read only, and only until the next ``await``."""
        if self._outcome is None:
            return self._partition
        if self._view is None:  # a batch is folded and not committed: the store has what is
            self._view = self._open()
        return self._view

    @property
    def is_poisoned(self) -> bool:
        """Whether the batch that is being folded should be committed, whatever waits (``engine.kafka.folding``)."""
        return self._folding is not None and self._folding.is_poisoned

    def is_due(self, now: int) -> bool:
        """Whether a timer is due that no record has fired."""
        return self._partition.state.dues.earliest <= now

    def fold(self, records: Sequence[Record], position: int) -> None:
        """Step 3: a batch, or one part of it after another. ``position``: the offset after the last of them."""
        started = time.perf_counter()
        self._families.learn(_LEARNT_PER_RECORD * len(records))  # under load too
        self._kinds += [type(record.event) for record in records]
        folding = self._folding or Folding(self._partition, self._open)
        folding.add(records)
        self._folding, self._partition, self._outcome = folding, folding.partition, folding.outcome
        self._partition.meta.offsets[_EVENTS] = position
        self._apply_seconds += time.perf_counter() - started

    async def commit(self) -> None:
        """Step 4, in its order."""
        outcome, partition = self._outcome, self._partition
        assert outcome is not None
        self._folding = None  # with all its records: none is to be folded again
        recorded = RecordedBatch()
        outputs = partition.commit_state(recorded, outcome)
        pairs = recorded.changelog(self._number, self.position, self._ended_chunks(partition.state.clock))
        sent = self._begun(pairs)
        for topic, at, clients, values in outputs:
            names = [None] * len(values) if topic is Topic.REJECTIONS else map(str.encode, clients)
            records = list(zip(names, values, strict=True))
            sent[self._options.prefix + topic.value, self._number] = Uniform(at // 1000, records)
        legs: dict[Place, list[Sent]] = {}
        for leg in outcome.legs:
            self._add_own(legs, partition_of(leg.client, self._options.partitions), leg, leg.client)
        position = (await self._transact(sent | legs))[self._changelog]
        started = time.perf_counter()
        self.committed_to = position
        batch = self._store.batch()
        recorded.write(self._store, batch, self._number, pairs)
        self._write(batch, position)
        write_seconds = time.perf_counter() - started
        partition.committed()
        self._metrics.engine.observe_fold(
            self._kinds,
            outcome,
            self._uncounted,
            apply_seconds=self._apply_seconds,
            write_seconds=write_seconds,
        )
        self._outcome = self._view = None
        self._kinds, self._apply_seconds = [], 0.0
        self._drop_spans()

    async def renew(self) -> None:
        """A commit of nothing but meta as it is: proves that the partition is still owned, and the store up to date.

        Without it the store of a partition without traffic would one day be too old to be trusted.
        """
        key = keys.prefix(self._number, keys.META)
        pairs = [(key, self._store.get(STATE, key))]
        self.committed_to = (await self._transact(self._begun(pairs)))[self._changelog]
        batch = self._store.batch()
        write_pairs(self._store, batch, self._number, pairs)
        self._write(batch, self.committed_to)

    async def append_tick(self, now: int) -> None:
        """Asks the log for its time: a record of the partition's own, read back like any other."""
        sent: dict[Place, list[Sent]] = {}
        self._add_own(sent, self._number, Tick(time=now), "")
        await self._transact(sent)

    def learn(self) -> None:
        """Lets the dedupe window's filters read some of what was in the store before it was opened."""
        self._families.learn(_LEARNT_MAX)

    def measure(self) -> None:
        """Sizes of store and memory and lateness of timers, into the metrics."""
        self._metrics.observe_store(self._number, self._store, self._partition, self._clock())

    def _begun(self, pairs: list[Pair]) -> dict[Place, list[Sent] | Uniform]:
        return {self._changelog: Uniform(self._clock() // 1000, pairs)}

    def _write(self, batch: Batch, position: int) -> None:
        write_standing(batch, self._number, standing_of(self._options, position, self._clock()))
        self._store.write(batch)

    def _ended_chunks(self, clock: int) -> list[bytes]:
        """Keys of chunks whose span is over; none where no family is left of one, so that it need not be read."""
        if not self._families.has_before(clock):
            return []
        return chunks_before(self._store, self._number, span_before(clock), _ENDED_CHUNKS_MAX)

    def _drop_spans(self) -> None:
        drop_spans(self._store, self._number, self._families, self._partition.state.clock)

    def _add_own(self, sent: dict[Place, list[Sent]], target: int, event: EngineEvent | Tick, client: str) -> None:
        record = (self._clock() // 1000, client.encode() or None, encode_engine_event(event), [(ENGINE_HEADER, b"1")])
        sent.setdefault((self._options.events(target).topic, target), []).append(record)

    async def _transact(self, sent: Mapping[Place, list[Sent] | Uniform]) -> dict[Place, int]:
        started = time.perf_counter()
        ends = await transact(self._producer, sent)
        self._metrics.transaction_seconds.observe(time.perf_counter() - started)
        self._metrics.transaction_records.observe(sum(map(len, sent.values())))
        return ends
