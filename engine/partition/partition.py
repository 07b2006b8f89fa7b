"""One partition over a store: its state with loaders, its commit, its recovery (architecture, "State of a partition").

A commit writes, in one batch and in this order: the records appended to the log, the state that changed, the
identities seen, the outputs, and last meta, which says how far all of it goes. Opening reads meta and configuration;
everything else is loaded when it is asked for.
"""

from collections.abc import Callable, Collection, Iterator, Sequence
from itertools import islice
from sys import intern
from typing import Final, TypeVar

import msgspec

from engine.core.configuration import Config
from engine.core.encoded_view import encoded_views
from engine.core.outcome import Outcome
from engine.core.records import Account, Balance, Grants, Ledger, shared
from engine.core.state import State, Table
from engine.log.chunks import TOPIC_NUMBERS, Entry, Row, chunk_key, encode_chunk
from engine.partition import keys
from engine.partition.dues import StoredDueIndex
from engine.partition.references import StoredReferences
from engine.partition.revisions import StoredRevisions
from engine.partition.seen import SeenFamilies, StoredSeen
from engine.store.ports import LOG, STATE, Batch, Store
from schemas.events import Configuration
from schemas.outputs import AnyOutput, Change, Delivery, Notification, Rejection, encode_output
from schemas.times import NEVER
from schemas.topics import Topic

T = TypeVar("T")
Columns = tuple[Topic, int, Collection[str], Sequence[bytes]]
"""Records of one topic and one log time: their keys and their values."""
_KEEP: Final = 0.9  # what is kept when a table is over its bound: evicting a tenth at a time is cheap

_EVENTS: Final = TOPIC_NUMBERS[Topic.EVENTS]

_encode = msgspec.msgpack.Encoder().encode
_decode_configuration = msgspec.msgpack.Decoder(Configuration).decode


class Meta(msgspec.Struct, array_like=True):
    """How far a partition is: its clock, and for each topic the offset of the next record."""

    clock: int = -NEVER
    offsets: list[int] = msgspec.field(default_factory=lambda: [0] * len(Topic))


class Bounds(msgspec.Struct, frozen=True):
    """How many records by client a partition keeps in memory between batches."""

    balances_max: int = 20_000
    accounts_max: int = 4_000


_decode_meta = msgspec.msgpack.Decoder(Meta).decode


class Partition:
    """A partition's state, its log offsets, and the batch that makes a fold durable."""

    def __init__(self, store: Store, number: int, families: SeenFamilies, bounds: Bounds) -> None:
        self.number = number
        self._store = store
        self._bounds = bounds
        self._dues = StoredDueIndex(store, number)
        self._references = StoredReferences(store, number)
        self.revisions = StoredRevisions(store, number)
        self._seen = StoredSeen(families)
        self._prefixes = [
            keys.prefix(number, letter) for letter in (keys.BALANCE, keys.ACCOUNT, keys.LEDGER, keys.GRANTS)
        ]
        self._configuration = keys.prefix(number, keys.CONFIGURATION)
        self._meta_key = keys.prefix(number, keys.META)
        stored = store.get(STATE, self._meta_key)
        self.meta = Meta() if stored is None else _decode_meta(stored)
        self._now = self.meta.clock
        self.state = State(
            balances=Table(self._loader(0, Balance)),
            accounts=Table(self._loader(1, Account)),
            ledgers=Table(self._loader(2, Ledger)),
            grants=Table(self._loader(3, Grants)),
            config=self._load_configuration(),
            dues=self._dues,
            references=self._references,
            seen=self._seen,
            clock=self.meta.clock,
        )

    def _loader(self, table: int, cls: type[T]) -> Callable[[str], T | None]:
        read = self._store.reader(STATE)
        begin = self._prefixes[table]
        decode = msgspec.msgpack.Decoder(cls).decode

        def load(client: str) -> T | None:
            value = read(begin + client.encode())
            if value is None:
                return None
            record = decode(value)
            if isinstance(record, Balance):  # the hot table: share what can be shared
                record.client = client
                record.currency = intern(record.currency)
                record.trigger = shared(record.trigger)
            return record

        return load

    def _load_configuration(self) -> Config:
        config = Config()
        for _, value in self._store.scan(STATE, self._configuration, keys.after(self._configuration)):
            config.define(_decode_configuration(value))
        config.dirty.clear()
        return config

    def next_offset(self, topic: Topic) -> int:
        """The offset that the next record of a topic gets."""
        return self.meta.offsets[TOPIC_NUMBERS[topic]]

    @property
    def next_offset_of_events(self) -> int:
        """The offset that the next event gets."""
        return self.meta.offsets[_EVENTS]

    def begin(self, now: int) -> None:
        """A batch of that log time follows."""
        self._now = max(now, self.state.clock)
        self._seen.look_from(self._now)

    def append(self, batch: Batch, topic: Topic, entries: Sequence[Entry] | Sequence[Row]) -> int:
        """Appends records to a topic; the offset of the first. ``commit`` must follow with the same batch."""
        offset = self.next_offset(topic)
        if entries:
            batch.use(LOG)
            batch.put(chunk_key(self.number, topic, offset), encode_chunk(entries))
            self.meta.offsets[TOPIC_NUMBERS[topic]] = offset + len(entries)
        return offset

    def commit(self, batch: Batch, outcome: Outcome) -> None:
        """Adds the state that changed, identities, outputs and meta to the batch."""
        self._put_state(batch)
        for topic, at, keys_of, values in self._outputs(outcome):
            self.append(batch, topic, [(key, at, value, False) for key, value in zip(keys_of, values, strict=True)])
        self._put_meta(batch)

    def commit_state(self, batch: Batch, outcome: Outcome) -> Sequence[Columns]:
        """As ``commit``, for a log that is not this store's: the outputs are given back, not put into the batch."""
        self._put_state(batch)
        outputs = list(self._outputs(outcome))
        self._put_meta(batch)
        return outputs

    def _outputs(self, outcome: Outcome) -> Iterator[Columns]:
        state = self.state
        clock = max(self._now, state.clock)  # a rejection at the door is no event: it may be before the first one
        if outcome.changed:
            yield Topic.CHANGES, clock, outcome.changed, encoded_views(state, outcome.changed)
        for topic, outputs in _by_topic(outcome.outputs).items():
            yield topic, clock, [key_of(output) for output in outputs], [encode_output(output) for output in outputs]

    def _put_state(self, batch: Batch) -> None:
        state = self.state
        batch.use(STATE)
        for table, begin in zip(state.tables, self._prefixes, strict=True):
            put, dirty = batch.put, table.dirty
            for client in sorted(dirty):  # in order, a memtable takes them for less
                put(begin + client.encode(), _encode(dirty[client]))
        self._dues.write(batch)
        self._references.write(batch)
        for (kind, key), definition in state.config.dirty.items():
            name = keys.pair_key(self._configuration, kind, key)
            if definition is None:
                batch.delete(name)
            else:
                batch.put(name, _encode(definition))
        self.revisions.write(batch)
        self._seen.write(batch, state.clock)
        self.meta.clock = state.clock

    def append_deliveries(self, batch: Batch, deliveries: Sequence[Delivery], now: int) -> None:
        """Adds delivery records to the batch, with the meta that counts them; nothing else of the state moves."""
        self.append(
            batch,
            Topic.DELIVERIES,
            [Entry(delivery.notification, now, encode_output(delivery)) for delivery in deliveries],
        )
        self._put_meta(batch)

    def _put_meta(self, batch: Batch) -> None:
        batch.use(STATE)
        batch.put(self._meta_key, _encode(self.meta))

    def written(self) -> None:
        """What ``commit`` added is all there is of it until the batch is in the store; nothing is folded before that.

        Identities and records are let go of here, while they are in the processor's cache, not when all is written.
        """
        for table in self.state.tables:
            table.dirty.clear()
        self._seen.written()

    def committed(self) -> None:
        """The batch is in the store: forget what was pending, and evict what memory has no room for."""
        self.written()
        state = self.state
        state.config.dirty.clear()
        self._dues.written()
        self._references.written()
        self.revisions.written()
        _evict(state.balances, self._bounds.balances_max)
        for table in state.tables[1:]:
            _evict(table, self._bounds.accounts_max)


def _evict(table: Table[T], records_max: int) -> None:
    """Drops the records that came into memory first; they are in the store."""
    if len(table) > records_max:
        for client in list(islice(table, len(table) - int(records_max * _KEEP))):
            del table[client]


def _by_topic(outputs: list[AnyOutput]) -> dict[Topic, list[AnyOutput]]:
    found: dict[Topic, list[AnyOutput]] = {}
    for output in outputs:
        found.setdefault(topic_of(output), []).append(output)
    return found


def topic_of(output: AnyOutput) -> Topic:
    """The topic that an output goes to."""
    if isinstance(output, Change):
        return Topic.CHANGES
    if isinstance(output, Notification):
        return Topic.NOTIFICATIONS
    return Topic.REJECTIONS if isinstance(output, Rejection) else Topic.JOURNAL


def key_of(output: AnyOutput) -> str:
    """The key of an output's record: its client; a rejection has none that could be trusted."""
    return "" if isinstance(output, Rejection) else output.client

