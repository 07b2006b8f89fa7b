"""The notifiers' side: peers that are slow, fail or go away, and the log as the consumers use it, watched."""

import asyncio
from collections.abc import Mapping, Sequence

from engine.log.ports import LogRecord, NotificationLog
from notifiers.attempts import Attempt, Failure, FailureKind, failed
from notifiers.config import DeliveryOptions
from schemas.outputs import Delivery, Notification, encode_output
from tests.simulation.world import Received, Violation, World

PEER_MODES = ("up", "up", "slow", "down", "flaky", "refusing")
DELIVERY = DeliveryOptions(
    window_notifications_max=6,
    read_records_max=4,
    concurrency_max=2,
    attempts_max=3,
    deferral_seconds_max=10,
    backoff_first_seconds=0.2,
    backoff_max_seconds=2.0,
    down_first_seconds=0.1,
    down_max_seconds=1.0,
    stop_seconds=2.0,
)
"""Small bounds, so that a few notifications reach them."""


class SimulatedPeer:
    """The port ``Sender``: a mail server or a gateway. What it took, it has taken, whatever becomes of us."""

    def __init__(self, world: World, consumer: str) -> None:
        self._world = world
        self._consumer = consumer

    async def send(self, notification: Notification, to: Sequence[str]) -> Attempt:
        world, chance = self._world, self._world.random.random
        mode = "up" if world.calm else world.peer_modes[self._consumer]
        await asyncio.sleep(chance() ** 3 * (6.0 if mode == "slow" else 0.05))
        if mode == "down":
            return failed(FailureKind.DOWN, to, "no route")
        if mode == "refusing" and chance() < 0.5:
            return failed(FailureKind.REFUSED, to, "550 no such reader")
        if mode == "flaky" and chance() < 0.6:
            kind = world.random.choice((FailureKind.UNAVAILABLE, FailureKind.DEFERRED, FailureKind.DOWN))
            return failed(kind, to, "451 not now", world.random.choice((None, 0.5)))
        self._take(notification)
        if mode == "flaky" and chance() < 0.3:
            return failed(FailureKind.UNAVAILABLE, to, "the line broke after the message was taken")
        if mode == "flaky" and len(to) > 1 and chance() < 0.5:
            return Attempt(tuple(to[:1]), (Failure(FailureKind.DEFERRED, tuple(to[1:]), "452 one at a time"),))
        await asyncio.sleep(chance() * 0.05)
        return Attempt(tuple(to))

    def _take(self, notification: Notification) -> None:
        world, name = self._world, notification.notification
        if not world.alive:
            return
        settled = world.settled[self._consumer].get(name)
        if settled is not None:
            raise Violation(f"{name} was sent again after its outcome was recorded: {settled.outcome}")
        world.trace(f"{self._consumer}: a peer takes {name}")
        world.received.append(Received(self._consumer, name, encode_output(notification)))
        world.passes("sent")

    async def close(self) -> None:
        """Nothing is open."""


class WatchedLog:
    """The port ``NotificationLog``, passed through; what it promised one consumer is remembered and held against it."""

    def __init__(self, world: World, log: NotificationLog) -> None:
        self._world = world
        self._log = log

    @property
    def partitions(self) -> int:
        return self._log.partitions

    async def positions(self, consumer: str) -> Mapping[int, int]:
        positions = await self._log.positions(consumer)
        known = self._world.positions[consumer]
        for partition, offset in known.items():
            if positions.get(partition, 0) < offset:
                found = positions.get(partition, 0)
                raise Violation(f"{consumer}: position of partition {partition} went back from {offset} to {found}")
        known.update(positions)
        return positions

    async def read(self, partition: int, offset: int, records_max: int) -> Sequence[LogRecord]:
        records = await self._log.read(partition, offset, records_max)
        if len(records) > records_max:
            raise Violation(f"a read of at most {records_max} gave {len(records)} records")
        # The first may be later than asked for where old records were deleted; from there on none is left out.
        for expected, record in enumerate(records, records[0].offset if records else 0):
            if record.offset != expected or record.offset < offset:
                raise Violation(f"a read of partition {partition} from {offset} gave {record.offset} for {expected}")
        return records

    async def wait(self, timeout_seconds: float) -> None:
        await self._log.wait(timeout_seconds)

    async def settled(self, consumer: str, notifications: Sequence[str]) -> frozenset[str]:
        found = await self._log.settled(consumer, notifications)
        lost = [name for name in notifications if name in self._world.settled[consumer] and name not in found]
        if lost:
            raise Violation(f"{consumer}: recorded outcomes are forgotten: {lost}")
        return found

    async def commit(self, consumer: str, positions: Mapping[int, int], deliveries: Sequence[Delivery]) -> None:
        await self._log.commit(consumer, positions, deliveries)
        world = self._world
        if not world.alive:
            return
        for delivery in deliveries:
            if delivery.notification in world.settled[consumer]:
                raise Violation(f"{consumer}: {delivery.notification} has two outcomes")
            world.settled[consumer][delivery.notification] = delivery
        known = world.positions[consumer]
        for partition, offset in positions.items():
            known[partition] = max(offset, known.get(partition, 0))
        world.trace(f"{consumer}: {len(deliveries)} outcomes at {dict(positions)}")
