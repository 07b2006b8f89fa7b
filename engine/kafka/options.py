"""What the tasks of a worker share, and the places that follow from it."""

import asyncio
import time
from functools import cached_property
from pathlib import Path

import msgspec
from aiokafka import TopicPartition

from engine.connection import Connection
from engine.kafka.source import Source
from engine.kafka.topics import CHANGELOG
from engine.kafka.turns import Turns
from schemas.topics import Topic


class TaskOptions(msgspec.Struct, frozen=True, kw_only=True, dict=True):
    """What the tasks of a worker share. ``app`` and partition name the transactional id."""

    connection: Connection
    cluster: str
    app: str
    prefix: str
    partitions: int
    data: Path
    batch_records_max: int = 50_000
    """Records of one transaction, where so many wait: a client's changes in it are written once."""
    step_records_max: int = 2_000
    """Records folded at a time, in which nothing else runs. Where more are known to wait, a partition has a backlog."""
    batch_wait_ms: int = 100
    balances_max: int = 20_000
    accounts_max: int = 4_000
    dedupe_filter_bytes: int = 4 * 1024 * 1024
    """For each owned partition and span of the dedupe window: a bit an event (``engine.partition.seen``)."""
    restores_max: int = 4
    """Restores side by side, one core's worth: more would only share it and hold more fetches in memory."""
    caught_up_records_max: int = 10_000
    """How far behind the end of `events` a task may be and count as caught up: a tenth of a second of work."""
    commit_interval_ms: int = 50
    """A partition commits once in so long, unless a whole batch waits: a commit costs 2 ms of CPU."""
    commits_max: int = 12
    """Tasks that fold and commit at a time: while some wait for the broker, another one folds."""
    asides_max: int = 2
    """Stores set aside and kept, by partition: they take as much disk as the one in use."""

    @cached_property
    def restores(self) -> asyncio.Semaphore:
        """Admits ``restores_max`` restores of owned partitions."""
        return asyncio.Semaphore(self.restores_max)

    @cached_property
    def standby_restores(self) -> asyncio.Semaphore:
        """Admits one standby that is far behind: nobody waits for it, as clients do for owned partitions."""
        return asyncio.Semaphore(1)

    @cached_property
    def turns(self) -> Turns:
        """Admits ``commits_max`` tasks to fold and commit."""
        return Turns(self.commits_max)

    @cached_property
    def source(self) -> Source:
        """Reads `events` for all tasks."""
        return Source(self.connection, self.prefix + Topic.EVENTS.value, self.app)

    def folder(self, number: int) -> Path:
        """Where the local store of a partition is."""
        return self.data / f"{self.prefix}partition-{number}"

    def changelog(self, number: int) -> TopicPartition:
        """A partition of the changelog."""
        return TopicPartition(self.prefix + CHANGELOG, number)

    def events(self, number: int) -> TopicPartition:
        """A partition of `events`."""
        return TopicPartition(self.prefix + Topic.EVENTS.value, number)


def wall_clock() -> int:
    """Microseconds since the epoch: for when to ask for a tick, never for what is decided."""
    return time.time_ns() // 1000
