"""One seed: processes that fail one after the other, an audit after each, then a last one that drains everything."""

import random
import time
from typing import Final

import msgspec

from tests.simulation.audit import audit
from tests.simulation.process import Process
from tests.simulation.senders import Sender
from tests.simulation.store import SimulatedStore
from tests.simulation.workload import CLIENTS
from tests.simulation.world import Canary, Violation, World

PROCESSES_MAX: Final = 8


class Result(msgspec.Struct, frozen=True):
    """What became of a seed. ``violation`` None: nothing was found. ``lines``: the last steps."""

    seed: int
    violation: str | None
    lines: list[str]
    digest: str
    seconds: float
    processes: int
    events: int
    notifications: int


def simulate(seed: int, canary: Canary | None = None) -> Result:
    """Runs one seed. The same seed gives the same run; ``digest`` shows it."""
    began = time.perf_counter()
    random.seed(seed)  # the notifiers' back-off draws from it
    world = World(seed, canary)
    processes = notifications = 0
    found: str | None = None
    try:
        names = [CLIENTS[0:2], CLIENTS[2:4], CLIENTS[4:6], ()]
        senders = [Sender(world, f"s{number}", clients) for number, clients in enumerate(names)]
        for _ in range(1 + world.random.randrange(PROCESSES_MAX)):
            processes += 1
            Process(world, senders).live()
            _pass_time(world)
            audit(SimulatedStore(world.disk), world)
        Process(world, senders).drain()
        notifications = audit(SimulatedStore(world.disk), world, final=True)
    except Violation as violation:
        found = str(violation)
    except Exception as error:  # whatever the product raises where nobody expects it
        found = f"{error!r} at {_place(error)}"
    seconds = time.perf_counter() - began
    return Result(seed, found, world.last_lines, world.digest, seconds, processes, len(world.answers), notifications)


def _pass_time(world: World) -> None:
    """Between two processes: the machine may end with the process, time passes, the clock may have been set."""
    disk, chance = world.disk, world.random
    if world.faults.machine_ends and chance.random() < 0.75:
        kept = chance.choice((disk.synced, len(disk.journal), chance.randint(disk.synced, len(disk.journal))))
        world.trace(f"the machine ends: {len(disk.journal) - kept} of {len(disk.journal)} bytes are lost")
        world.end_machine(kept)
    world.now += chance.random() * 5
    if chance.random() < 0.3:
        world.jump()


def _place(error: Exception) -> str:
    trace = error.__traceback__
    assert trace is not None
    while trace.tb_next is not None:
        trace = trace.tb_next
    return f"{trace.tb_frame.f_code.co_filename.rpartition('/')[2]}:{trace.tb_lineno}"
