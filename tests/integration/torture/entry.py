"""A command of ours with a fault in it: ``python -m tests.integration.torture.entry worker ...``.

Beside the commands of `plimsoll` it knows ``configure BOOTSTRAP PREFIX PARTITIONS``, which writes one exchange rate.

TORTURE_KILL=POINT:PASSES ends the process by SIGKILL, from inside, when it passes a point for the so-manieth time:

sent        all of a transaction is with the broker, and the commit is not asked for: it stays open
legs        the same, of a transaction that writes into a partition of `events` that is not the writer's own
committing  the commit is asked for, the answer is on its way
committed   the commit is answered, the store is not written: between 4's commit and its WriteBatch
written     the store is written
restoring   a WriteBatch of a restore is written, before any commit

TORTURE_PLANTED=store-first plants a bug: the store is written before the transaction is committed.

The engine's own code runs as it is; the client library's producer, the store's ``write`` and the core's ``fold`` are
wrapped from outside, the last to raise at poisonous events (``poison``).
"""

import asyncio
import json
import os
import signal
import sys
import time
from typing import Any, Final

from aiokafka import AIOKafkaProducer

from engine.cli import main
from engine.kafka import folding
from engine.kafka.clients import Connection
from engine.kafka.configuration import ConfigurationWriter, WriterOptions
from engine.store.ports import Batch
from engine.store.rocks import RocksStore
from schemas.times import format_time
from schemas.topics import Topic
from tests.integration.torture import poison

KILL: Final = "TORTURE_KILL"
PLANTED: Final = "TORTURE_PLANTED"
STORE_FIRST: Final = "store-first"
_ANSWER_SECONDS: Final = 0.002  # about what a broker takes: some are before the commit, some after

# Any: the client library has no annotations.
_begin: Any = AIOKafkaProducer.begin_transaction
_commit: Any = AIOKafkaProducer.commit_transaction
_send: Any = AIOKafkaProducer.send_batch
_write = RocksStore.write


class Faults:
    """The point at which this process dies, and what the wrapped calls say of where it is."""

    def __init__(self, kill: str | None, planted: str | None) -> None:
        self.point, _, passes = (kill or "").partition(":")
        self.passes = int(passes or 0)
        self.store_first = planted == STORE_FIRST
        self.commits = 0
        self.foreign: set[AIOKafkaProducer] = set()
        """Producers whose open transaction has written into somebody else's partition."""
        self.late: dict[AIOKafkaProducer, asyncio.Task[None]] = {}

    def passed(self, point: str) -> bool:
        """Whether this was the pass to die at."""
        if point != self.point:
            return False
        self.passes -= 1
        return self.passes == 0

    def reach(self, point: str) -> None:
        """Dies here if it is time."""
        if self.passed(point):
            die()


def die() -> None:
    """SIGKILL, as from outside: nothing is flushed, nobody is told."""
    os.kill(os.getpid(), signal.SIGKILL)


_faults = Faults(os.environ.get(KILL), os.environ.get(PLANTED))


async def begin_transaction(self: AIOKafkaProducer) -> None:
    if self in _faults.late:
        await _faults.late.pop(self)
    _faults.foreign.discard(self)
    await _begin(self)


async def send_batch(self: AIOKafkaProducer, batch: Any, topic: str, *, partition: int) -> Any:  # Any: as there
    own = str(self._txn_manager.transactional_id).rpartition("-")[2]
    if topic.endswith(Topic.EVENTS.value) and own != str(partition):
        _faults.foreign.add(self)
    return await _send(self, batch, topic, partition=partition)


async def commit_transaction(self: AIOKafkaProducer) -> None:
    if _faults.store_first:  # the caller writes its store at once, the commit follows
        _faults.late[self] = asyncio.create_task(_commit_with_faults(self))
    else:
        await _commit_with_faults(self)


async def _commit_with_faults(self: AIOKafkaProducer) -> None:
    _faults.reach("sent")
    if self in _faults.foreign:
        _faults.reach("legs")
    if _faults.passed("committing"):
        asyncio.get_running_loop().call_later(_ANSWER_SECONDS, die)
    await _commit(self)
    _faults.commits += 1
    _faults.reach("committed")


def write(self: RocksStore, batch: Batch) -> None:
    _write(self, batch)
    _faults.reach("written" if _faults.commits else "restoring")


def run() -> None:
    """A command, in this process, with the faults in place."""
    for name, wrapper in (
        ("begin_transaction", begin_transaction),
        ("send_batch", send_batch),
        ("commit_transaction", commit_transaction),
    ):
        setattr(AIOKafkaProducer, name, wrapper)
    folding.fold = poison.fold  # type: ignore[attr-defined]  # it names the core's own
    RocksStore.write = write  # type: ignore[method-assign]  # a fault from outside is what this file is for
    if sys.argv[1] == "configure":
        asyncio.run(_configure(*sys.argv[2:]))
    else:
        sys.argv[0] = "plimsoll"
        main()


async def _configure(bootstrap: str, prefix: str, partitions: str) -> None:
    """One rate, by the writer of configuration; fails where it is not accepted everywhere."""
    now = time.time_ns()
    rate = {"type": "exchange_rate", "base": "EUR", "quote": "USD", "rate": f"1.{now % 1000:03}1"}
    event = rate | {"source": "configure", "id": str(now), "time": format_time(now // 1000)}
    connection = Connection(bootstrap=bootstrap)
    app = f"{prefix}plimsoll"
    options = WriterOptions(connection=connection, app=app, prefix=prefix, partitions=int(partitions))
    async with ConfigurationWriter(options) as writer:
        (written,) = await writer.submit([json.dumps(event).encode()])
    assert written.status == "accepted", written


if __name__ == "__main__":
    run()
