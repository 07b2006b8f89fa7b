"""A worker that the group gives its partitions: membership, tasks and door, from start to hand-over."""

import asyncio
import signal
from collections.abc import Callable
from contextlib import AsyncExitStack

from engine.kafka.shell.holdings import Holdings, Role, Work
from engine.kafka.shell.membership import Assignment, Hooks, MemberOptions, Membership
from engine.kafka.shell.topics import make_shell_topics
from engine.kafka.task import PartitionTask, TaskOptions


async def run_member(options: TaskOptions, member: MemberOptions, tell: Callable[[str], None]) -> None:
    """Works on what the group gives until SIGTERM or SIGINT, then hands over. Raises what ends the process:
    MembershipError, StoreError, AssertionError, KafkaError."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    await make_shell_topics(options.connection, options.prefix, options.app, options.partitions)
    failures: list[Exception] = []

    def failed(error: Exception) -> None:
        failures.append(error)
        stop.set()

    def work_on(role: Role, number: int) -> Work:
        return PartitionTask(options, number, tell)

    holdings = Holdings(work_on, tell, failed)

    def assigned(assignment: Assignment) -> None:
        tell(f"works on {_numbers(assignment.actives)}, stands by for {_numbers(assignment.standbys)}")
        holdings.take(assignment.actives, ())

    membership = Membership(member, Hooks(holdings.release, assigned, lambda number, value, at: None))

    async def watched() -> None:
        try:
            await membership.watch()
        except Exception as error:
            failed(error)

    async with AsyncExitStack() as stack:
        # In the order of a hand-over, last first: the tasks end, then the group is told, while it still hears from us.
        stack.push_async_callback(membership.stop)
        stack.push_async_callback(holdings.close)
        starting = asyncio.create_task(membership.start())
        stopping = asyncio.create_task(stop.wait())
        await asyncio.wait({starting, stopping}, return_when=asyncio.FIRST_COMPLETED)
        if starting.done():
            await starting
            watching = asyncio.create_task(watched())
            await stop.wait()
            watching.cancel()
        else:
            starting.cancel()
        stopping.cancel()
    if failures:
        raise failures[0]
    tell("stopped: its partitions are free for others")


def _numbers(given: frozenset[int]) -> str:
    return ",".join(str(number) for number in sorted(given)) or "none"
