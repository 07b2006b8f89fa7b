"""What the partitions answered to a revision: read from their changelogs, where each decision is part of the state."""

import time
from collections.abc import Mapping, Sequence
from typing import Final

import msgspec
from aiokafka import TopicPartition

from engine.core.configuration import Key
from engine.kafka.clients import Consumer
from engine.kafka.topics import CHANGELOG
from engine.partition.keys import REVISION, pair_key, prefix
from engine.partition.revisions import Decided, decode_decided

_FETCH_MS: Final = 200
_RECORDS_MAX: Final = 10_000  # of one fetch: at a partition's full speed it is a tenth of a second of its changelog


class Answers(msgspec.Struct, frozen=True):
    """By partition, what became of a revision; a partition that did not answer in time is in ``missing``."""

    decided: Mapping[int, Decided]
    missing: Sequence[int]

    @property
    def refused(self) -> Decided | None:
        """The refusal of the first partition that refused."""
        return next((each for each in self.decided.values() if each.verdict == "refused"), None)

    @property
    def is_one(self) -> bool:
        """Whether all partitions answered, and the same."""
        return not self.missing and len({each.verdict for each in self.decided.values()}) == 1


class Verdicts:
    """Reads the changelogs' ends. ``mark`` before a write, ``wait`` after it."""

    def __init__(self, consumer: Consumer, topics_prefix: str, partitions: int) -> None:
        self._consumer = consumer
        self._places = [TopicPartition(topics_prefix + CHANGELOG, number) for number in range(partitions)]
        self._begins = [prefix(number, REVISION) for number in range(partitions)]

    async def mark(self) -> list[int]:
        """Where the changelogs end now: the answers to what is written later come after it."""
        ends = await self._consumer.end_offsets(self._places)
        return [ends[place] for place in self._places]

    async def wait(self, wanted: Mapping[Key, int], positions: Sequence[int], seconds: float) -> dict[Key, Answers]:
        """The answers to those revisions, from those positions on; after ``seconds``, those that are there."""
        names = {pair_key(begin, *key): (number, key) for number, begin in enumerate(self._begins) for key in wanted}
        found: dict[Key, dict[int, Decided]] = {key: {} for key in wanted}
        open_names = set(names)
        begins = await self._consumer.beginning_offsets(self._places)
        self._consumer.assign(list(self._places))
        for place, position in zip(self._places, positions, strict=True):
            self._consumer.seek(place, max(position, begins[place]))
        end = time.monotonic() + seconds
        while open_names and time.monotonic() < end:
            fetched = await self._consumer.getmany(*self._places, timeout_ms=_FETCH_MS, max_records=_RECORDS_MAX)
            for records in fetched.values():
                for record in records:
                    if record.key in names and record.value is not None:
                        decided = decode_decided(record.value)
                        number, key = names[record.key]
                        if decided.revision >= wanted[key]:
                            found[key][number] = decided
                            open_names.discard(record.key)
        return {
            key: Answers(
                dict(sorted(answered.items())),
                [number for number in range(len(self._places)) if number not in answered],
            )
            for key, answered in found.items()
        }
