"""What the writer of configuration knows: the compact topic `configuration`, partition 0 (ADR 19).

One record for each piece of configuration, written in the transaction that puts it to the partitions, and one that
holds the last revision given. So whoever holds the writer's transactional id finds, whenever the former one was
lost, what is defined, the highest revision, and what was written and not yet seen through.
"""

import time
from typing import Final

import msgspec
from aiokafka import TopicPartition
from aiokafka.errors import KafkaTimeoutError

from engine.core.configuration import Config, Key
from engine.kafka.clients import Consumer
from engine.kafka.topics import CONFIGURATION
from engine.kafka.transactions import Place
from schemas.codec import decode
from schemas.events import Configuration

_LAST: Final = b"\0last"
_RECORDS_MAX: Final = 1_000  # of one fetch
_STALL_SECONDS_MAX: Final = 30.0


class Definition(msgspec.Struct, frozen=True, omit_defaults=True):
    """A piece of configuration. ``raw``: the event that defines it, None: nothing does.

    ``settled``: every partition has answered. Until then ``former`` is what held before, and ``positions`` is where
    the answers in the changelog begin, by partition.
    """

    revision: int
    raw: str | None
    settled: bool = True
    former: str | None = None
    positions: list[int] = []


class _Last(msgspec.Struct, frozen=True):
    revision: int


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Definition).decode
_decode_last = msgspec.json.Decoder(_Last).decode


class Definitions:
    """The topic in memory: as small as the configuration is."""

    def __init__(self, prefix: str) -> None:
        self.place: Place = (prefix + CONFIGURATION, 0)
        self.last = 0
        self._found: dict[Key, Definition] = {}

    def get(self, key: Key) -> Definition:
        """What is known of a piece; revision 0 and no definition where nothing is."""
        return self._found.get(key, Definition(0, None))

    def unsettled(self) -> dict[Key, Definition]:
        """What was written and not seen through."""
        return {key: found for key, found in self._found.items() if not found.settled}

    def config(self) -> Config:
        """What is defined, for the core's own checks."""
        config = Config()
        for found in self._found.values():
            event = None if found.raw is None else decode(found.raw.encode())
            if isinstance(event, Configuration):
                config.define(event)
        return config

    def put(self, key: Key, definition: Definition) -> tuple[bytes, bytes]:
        """Remembers it; the record that says so. It is true once its transaction is committed."""
        self._found[key] = definition
        self.last = max(self.last, definition.revision)
        return "\0".join(key).encode(), _encode(definition)

    def put_last(self, revision: int) -> tuple[bytes, bytes]:
        """Remembers the last revision given; the record that says so."""
        self.last = revision
        return _LAST, _encode(_Last(revision))

    async def read(self, consumer: Consumer) -> None:
        """Reads the topic to its end; the consumer must be at read_committed. Raises KafkaError."""
        place = TopicPartition(*self.place)
        consumer.assign([place])
        begin = (await consumer.beginning_offsets([place]))[place]
        end = (await consumer.end_offsets([place]))[place]
        consumer.seek(place, begin)
        progressed, position = time.monotonic(), begin
        while position < end:
            found = await consumer.getmany(place, timeout_ms=500, max_records=_RECORDS_MAX)
            for record in found.get(place, ()):
                self._take(record.key or b"", record.value)
            reached = await consumer.position(place)
            if reached > position:
                position, progressed = reached, time.monotonic()
            elif time.monotonic() - progressed > _STALL_SECONDS_MAX:
                raise KafkaTimeoutError(f"the topic {place.topic} gives nothing at {position}, it should reach {end}")

    def _take(self, name: bytes, value: bytes | None) -> None:
        if name == _LAST:
            assert value is not None
            self.last = max(self.last, _decode_last(value).revision)
            return
        kind, _, key = name.decode().partition("\0")
        if value is None:
            self._found.pop((kind, key), None)
        else:
            self._found[kind, key] = _decode(value)
            self.last = max(self.last, self._found[kind, key].revision)
