"""One life of the product: the real engine and the real delivery loops, until they stop, fail or are killed."""

import asyncio
from pathlib import Path
from typing import Final, Literal

from prometheus_client import CollectorRegistry

from engine.embedded.engine import EmbeddedEngine, EmbeddedOptions
from engine.embedded.journal import read_topic
from engine.metrics import EngineMetrics
from engine.store.ports import StoreError
from notifiers.delivery import Delivering
from notifiers.metrics import NotifierMetrics
from schemas.times import SECOND
from schemas.topics import Topic
from tests.simulation.loop import ProcessEnded, SimulatedLoop
from tests.simulation.notifying import DELIVERY, PEER_MODES, SimulatedPeer, WatchedLog
from tests.simulation.planted import PlantedEngine, PlantedStore
from tests.simulation.senders import Sender
from tests.simulation.store import SimulatedStore
from tests.simulation.world import SYNC_SECONDS, End, Violation, World

PARTITIONS: Final = 3
ENDING_SECONDS_MAX: Final = 60.0  # of virtual time: a stop, or the end after a failed store
DRAIN_SECONDS_MAX: Final = 600.0
TIMER_SECONDS_MAX: Final = 1.0
_CHECK_STEPS: Final = 64
_METRICS: Final = EngineMetrics(CollectorRegistry())
_NOTIFIER_METRICS: Final = NotifierMetrics(CollectorRegistry())
_CHANNELS: Final[tuple[tuple[str, Literal["email", "sms"]], ...]] = (("mailer", "email"), ("sms", "sms"))


class Process:
    """Opens the disk; ``live`` runs until the end that was drawn, ``drain`` until nothing is left to do."""

    def __init__(self, world: World, senders: list[Sender]) -> None:
        self._world = world
        self._senders = senders
        self._loop = SimulatedLoop(world.random, world.now, world.sync_seconds)
        self._store: SimulatedStore = (
            PlantedStore(world) if world.canary else SimulatedStore(world.disk, world.on_store_step)
        )
        self._options = EmbeddedOptions(
            data=Path("simulated"),
            partitions=PARTITIONS,
            durability="os" if world.canary == "acknowledges_early" else "fsync",
            batch_records_max=world.random.choice((4, 20, 1000)),
            queue_records_max=12 if world.faults.small_queue else 10_000,
            balances_max=world.random.choice((PARTITIONS, 1000)),
            accounts_max=world.random.choice((PARTITIONS, 1000)),
            dedupe_filter_bytes=64,  # soon so full that both of its answers are common
        )
        self._engine: EmbeddedEngine | None = None
        self._stop = asyncio.Event()
        self._notifiers_stop = asyncio.Event()
        self._running: asyncio.Task[None] | None = None
        self._notifying: list[asyncio.Task[None]] = []
        self._sending: list[asyncio.Task[None]] = []

    def live(self) -> None:
        """Until its end; what it leaves behind is on the disk and in the world."""
        world = self._world
        end = End.drawn(world.random, world.faults)
        world.trace(f"a process starts; its end: {end.kind} {end.steps} {end.fails_at or ''}")
        world.alive = True
        world.plan(end)
        try:
            self._start(weather=True)
            until = self._loop.time() + (end.seconds if end.kind == "stop" else 40.0)
            steps = end.steps if end.kind == "loop" else 2**62
            while self._loop.steps < steps and self._loop.time() < until and not self._has_ended():
                self._step()
            if end.kind == "stop" or world.store_failed or self._has_ended():
                self._end_in_order()
        except ProcessEnded:
            pass
        except StoreError as error:
            world.trace(f"the process does not start: {error}")
        finally:
            self._bury()

    def drain(self) -> None:
        """Without faults: everything is answered and delivered, timers fire in time, and it stops in order."""
        try:
            self._drain()
        finally:
            self._bury()

    def _drain(self) -> None:
        world = self._world
        world.calm = world.alive = True
        world.plan(None)
        world.trace("the last process starts; from here on nothing fails")
        self._start(weather=False)
        self._run_dry()
        for hours in (1, 30):
            world.skew += hours * 3600 * SECOND
            due_by = world.clock()
            self._run(TIMER_SECONDS_MAX)
            late = [
                partition.number for partition in self._the_engine.partitions if partition.state.dues.earliest <= due_by
            ]
            if late:
                raise Violation(f"liveness: timers of partitions {late} are not fired within {TIMER_SECONDS_MAX} s")
        self._run_dry()
        self._end_in_order()

    @property
    def _the_engine(self) -> EmbeddedEngine:
        assert self._engine is not None
        return self._engine

    def _start(self, *, weather: bool) -> None:
        world, create = self._world, self._loop.create_task
        kind = PlantedEngine if world.canary == "delivers_early" else EmbeddedEngine
        self._engine = kind(self._store, self._options, _METRICS, clock=world.clock)
        self._running = create(self._engine.run(self._stop), name="engine")
        self._sending = [create(sender.run(self._engine), name=sender.name) for sender in self._senders]
        log = WatchedLog(world, self._engine.notifications)
        for consumer, channel in _CHANNELS:
            peer = SimulatedPeer(world, consumer)
            loop = Delivering(log, consumer, channel, peer, DELIVERY, _NOTIFIER_METRICS, now=world.clock)
            self._notifying.append(create(loop.run(self._notifiers_stop), name=consumer))
        if weather:
            create(self._weather(), name="weather")

    async def _weather(self) -> None:
        """Clocks jump, peers come and go, syncs take long."""
        world = self._world
        while True:
            await asyncio.sleep(world.random.random() ** 2 * 4.0)
            choice = world.random.random()
            if choice < 0.5:
                world.jump()
            elif choice < 0.8 and world.faults.peers:
                consumer = world.random.choice(("mailer", "sms"))
                world.peer_modes[consumer] = world.random.choice(PEER_MODES)
                world.trace(f"the peer of {consumer} is {world.peer_modes[consumer]}")
            elif world.faults.slow_sync:
                world.sync_seconds_max = world.random.choice(SYNC_SECONDS)

    # Steps and what is held after them

    def _step(self) -> None:
        self._loop.step()
        self._world.now = self._loop.time()
        if self._loop.steps % _CHECK_STEPS == 0:
            self._check()

    def _run(self, seconds: float) -> None:
        until = self._loop.time() + seconds
        while self._loop.time() < until:
            self._step()

    def _check(self) -> None:
        engine, options = self._the_engine, self._options
        if engine._queued > max(options.queue_records_max, 24):
            raise Violation(f"bounds: {engine._queued} events in a queue of {options.queue_records_max}")
        for partition in engine.partitions:
            most = max(1, options.balances_max // PARTITIONS)
            if len(partition.state.balances) > most + options.batch_records_max + PARTITIONS * 10:
                raise Violation(f"bounds: {len(partition.state.balances)} balances in a cache of {most}")
        self._check_tasks([*self._sending, *self._notifying])
        if self._loop.errors:
            raise Violation(f"an error was not handled: {self._loop.errors[0]}")

    def _check_tasks(self, tasks: list[asyncio.Task[None]]) -> None:
        for task in tasks:
            if task.done() and not task.cancelled():
                error = task.exception()
                if isinstance(error, Violation):
                    raise error
                if error is not None and not (isinstance(error, StoreError) and self._world.store_failed):
                    raise Violation(f"{task.get_name()} ended with {error!r}") from error

    # Ends

    def _has_ended(self) -> bool:
        return self._running is None or self._running.done()

    def _end_in_order(self) -> None:
        """Everything is asked to stop, or the engine has ended by itself: nobody is left without an answer."""
        world = self._world
        world.trace("the store has failed" if world.store_failed else "stop is asked for")
        if self._has_ended() and not world.store_failed:
            self._check_tasks([task for task in (self._running,) if task is not None])
            raise Violation("the engine ended without a reason")
        self._notifiers_stop.set()
        if not world.store_failed:  # then the engine ends by itself
            self._stop.set()
        assert self._running is not None
        ends = [self._running, *self._notifying]
        until = self._loop.time() + ENDING_SECONDS_MAX
        while not all(task.done() for task in ends) or any(sender.waiting for sender in self._senders):
            if self._loop.time() > until:
                left = [task.get_name() for task in ends if not task.done()]
                left += [f"{sender.name} waits for an answer" for sender in self._senders if sender.waiting]
                raise Violation(f"after the end of the engine: {'; '.join(left)} for {ENDING_SECONDS_MAX:.0f} s")
            self._step()
        self._check_tasks([*ends, *self._sending])
        if not world.store_failed:
            self._the_engine.close()

    def _bury(self) -> None:
        world = self._world
        if world.store_failed and self._running is not None and not self._running.done():
            world.trace("the store failed just before the end")
        world.alive = False
        self._store.kill()
        self._loop.clear()
        for sender in self._senders:
            sender.waiting = 0
        world.now = self._loop.time()

    # Liveness

    def _run_dry(self) -> None:
        until = self._loop.time() + DRAIN_SECONDS_MAX
        while left := self._left():
            self._step()
            if self._loop.time() > until:
                raise Violation(f"liveness: after {DRAIN_SECONDS_MAX:.0f} s: {left}")

    def _left(self) -> list[str]:
        world, engine = self._world, self._the_engine
        left = [f"{task.get_name()} has not ended" for task in self._sending if not task.done()]
        for consumer, _ in _CHANNELS:
            for partition in engine.partitions:
                number, end = partition.number, partition.next_offset(Topic.NOTIFICATIONS)
                position = world.positions[consumer].get(number, 0)
                # What is past its keeping is deleted even if nobody read it: only what is there can be waited for.
                if read_topic(self._store, number, Topic.NOTIFICATIONS, position, end, 1):
                    left.append(f"{consumer} stands at {position} of {end} in partition {number}")
        return left
