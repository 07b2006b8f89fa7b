"""What a record of the control topic does, and which are not acted on."""

import asyncio
import logging
from pathlib import Path

import pytest

from engine.connection import Connection
from engine.kafka.shell.commands import AGE_SECONDS_MAX, Command, Commands, encode_command
from engine.kafka.shell.holdings import Holdings, Role, Work
from engine.kafka.task import PartitionTask, TaskOptions

NOW_MS = 1_700_000_000_000


class IdleTask(PartitionTask):
    """A task that does nothing, and waits."""

    async def run(self, stop: asyncio.Event) -> None:
        await stop.wait()


class Worker:
    """Commands over holdings of idle tasks."""

    def __init__(self, folder: Path) -> None:
        connection = Connection(bootstrap="127.0.0.1:9092")
        options = TaskOptions(connection=connection, cluster="c", app="a", prefix="", partitions=4, data=folder)

        def work_on(role: Role, number: int) -> Work:
            return IdleTask(options, number, lambda _: None)

        self.told: list[str] = []
        self.counted: list[str] = []
        self.holdings = Holdings(work_on, lambda _: None, lambda _: None)
        self.commands = Commands(
            self.holdings, self.told.append, lambda _: None, self.counted.append, clock=lambda: NOW_MS * 1000
        )

    async def has(self, *numbers: int) -> None:
        self.holdings.take(numbers, ())
        for _ in range(5):
            await asyncio.sleep(0)

    def paused(self, number: int) -> bool:
        holding = self.holdings.find(number)
        assert holding is not None
        assert isinstance(holding.work, PartitionTask)
        return holding.work.paused


async def test_pause_and_resume_are_for_one_partition(tmp_path: Path) -> None:
    worker = Worker(tmp_path)
    await worker.has(0, 1)
    worker.commands.take(1, encode_command(Command("pause")), NOW_MS)
    assert [worker.paused(number) for number in (0, 1)] == [False, True]
    worker.commands.take(1, encode_command(Command("resume")), NOW_MS)
    assert not worker.paused(1)
    assert worker.told == ["partition 1: paused", "partition 1: goes on"]
    await worker.holdings.close()


async def test_a_pause_outlives_a_rebalance_and_not_the_partition(tmp_path: Path) -> None:
    worker = Worker(tmp_path)
    await worker.has(0, 1)
    worker.commands.take(1, encode_command(Command("pause")), NOW_MS)
    await worker.holdings.release()
    await worker.has(0, 1)
    assert worker.paused(1)
    await worker.holdings.release()
    await worker.has(0)
    await worker.has(0, 1)
    assert not worker.paused(1)
    await worker.holdings.close()


async def test_a_checkpoint_without_a_store_is_told(tmp_path: Path) -> None:
    worker = Worker(tmp_path)
    await worker.has(0)
    worker.commands.take(0, encode_command(Command("checkpoint")), NOW_MS)
    assert worker.told == ["partition 0: no checkpoint: it has no store open now"]
    await worker.holdings.close()


async def test_the_log_level_is_the_process_s(tmp_path: Path) -> None:
    before = logging.getLogger().level
    try:
        Worker(tmp_path).commands.take(0, encode_command(Command("log-level", "debug")), NOW_MS)
        assert logging.getLogger().level == logging.DEBUG
    finally:
        logging.getLogger().setLevel(before)


@pytest.mark.parametrize(
    "value", [b"", b"no json", b"\xff", b'{"command":"dance"}', b'{"command":"pause","level":"loud"}']
)
async def test_what_is_no_command_is_told_and_does_nothing(tmp_path: Path, value: bytes) -> None:
    worker = Worker(tmp_path)
    await worker.has(0)
    worker.commands.take(0, value, NOW_MS)
    assert worker.counted == ["unknown"]
    assert not worker.paused(0)
    await worker.holdings.close()


async def test_an_old_command_is_not_acted_on(tmp_path: Path) -> None:
    worker = Worker(tmp_path)
    await worker.has(0)
    worker.commands.take(0, encode_command(Command("pause")), NOW_MS - AGE_SECONDS_MAX * 1000 - 1)
    assert worker.counted == ["too_old"]
    assert not worker.paused(0)
    await worker.holdings.close()
