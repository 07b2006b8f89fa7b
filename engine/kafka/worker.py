"""A worker with partitions given to it by hand: tasks side by side, until one of them cannot go on."""

import asyncio
import signal
from collections.abc import Callable, Sequence
from typing import Final

from engine.failures import WrongUse
from engine.kafka.clients import Connection, open_admin
from engine.kafka.task import Fenced, PartitionTask, TaskOptions
from engine.kafka.topics import CHANGELOG, POLICIES, TopicError

_STOP_SECONDS_MAX: Final = 5.0  # a commit takes milliseconds; what is cut off is what a kill would cut off


async def cluster_of(connection: Connection, prefix: str) -> tuple[str, int]:
    """The cluster's id, and how many partitions every topic has. Raises TopicError where they differ or lack."""
    admin = open_admin(connection, "plimsoll-worker")
    try:
        await admin.start()
        cluster = await admin.describe_cluster()
        described = await admin.describe_topics([prefix + name for name in POLICIES])
    finally:
        await admin.close()
    counts = {topic["topic"]: len(topic["partitions"]) for topic in described if topic["error_code"] == 0}
    missing = [prefix + name for name in POLICIES if prefix + name not in counts]
    if missing:
        raise TopicError(f"expected the topic {missing[0]}, found none: run `plimsoll topics create` first")
    if len(set(counts.values())) > 1:
        found = ", ".join(f"{name} {count}" for name, count in counts.items())
        raise TopicError(f"expected topics with one partition count, found {found}")
    return str(cluster["cluster_id"]), counts[prefix + CHANGELOG]


async def run_worker(options: TaskOptions, partitions: Sequence[int], tell: Callable[[str], None]) -> None:
    """Works on those partitions until SIGTERM or SIGINT. Raises what a task raised; Fenced when all were taken over."""
    if max(partitions) >= options.partitions:
        raise WrongUse(f"--partitions: expected 0 to {options.partitions - 1}, found {max(partitions)}")
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    running = {asyncio.create_task(PartitionTask(options, number, tell).run(stop)) for number in partitions}
    stopping = asyncio.create_task(stop.wait())
    fenced: list[Fenced] = []
    try:
        while running and not stop.is_set():
            done, _ = await asyncio.wait({*running, stopping}, return_when=asyncio.FIRST_COMPLETED)
            for task in done & running:
                try:
                    await task
                except Fenced as error:
                    tell(str(error))
                    fenced.append(error)
            running -= done
        if running:
            await asyncio.wait(running, timeout=_STOP_SECONDS_MAX)
    finally:
        for each in (stopping, *running):
            each.cancel()
        ended = await asyncio.gather(*running, return_exceptions=True)
    for result in ended:
        if isinstance(result, Exception) and not isinstance(result, Fenced):
            raise result
    if len(fenced) == len(partitions):
        raise fenced[-1]
