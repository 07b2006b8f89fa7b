"""What became of notifications: each once in the log, at least once with a reader, with one outcome (audit, 8)."""

from collections import Counter
from collections.abc import Sequence
from typing import Final

import msgspec

from engine.store.ports import STATE, Store
from schemas.outputs import Delivery, Notification, encode_output
from schemas.topics import Topic
from tests.simulation.folding import Folded, PartitionLog
from tests.simulation.world import Violation, World

_POSITIONS: Final = b"\xff\xffp"
_CONSUMERS: Final = (("mailer", "email"), ("sms", "sms"))


def check_notifications(
    store: Store, logs: Sequence[PartitionLog], folded: Sequence[Sequence[Folded]], world: World, *, final: bool
) -> None:
    """Raises Violation. ``final``: every notification must have its outcome."""
    decided: dict[str, bytes] = {}
    for record in (record for records in folded for record in records):
        for output in record.outputs:
            if isinstance(output, Notification):
                if output.notification in decided:
                    raise Violation(f"8. {output.notification} was decided twice")
                decided[output.notification] = encode_output(output)
    for received in world.received:
        if decided.get(received.notification) != received.value:
            found = decided.get(received.notification)
            raise Violation(f"8. a peer took {received.value!r}, which the log decides as {found!r}")
    deliveries = [
        msgspec.json.decode(entry.value, type=Delivery) for log in logs for entry in log.topics[Topic.DELIVERIES]
    ]
    _check_deliveries(deliveries, logs, world)
    for consumer, channel in _CONSUMERS:
        _check_consumer(store, logs, world, consumer, channel, final=final)


def _check_deliveries(deliveries: list[Delivery], logs: Sequence[PartitionLog], world: World) -> None:
    counts = Counter(delivery.notification for delivery in deliveries)
    twice = [name for name, count in counts.items() if count > 1]
    if twice:
        raise Violation(f"8. {twice} have two outcomes in the log")
    taken = {(received.consumer, received.notification) for received in world.received}
    for consumer, channel in _CONSUMERS:
        for delivery in deliveries:
            name = delivery.notification
            if delivery.channel == channel and delivery.outcome == "sent" and (consumer, name) not in taken:
                raise Violation(f"8. {name} is recorded as sent, and no peer took it")
    if not any(log.first[Topic.DELIVERIES] for log in logs):  # else the old ones are deleted
        for consumer, settled in world.settled.items():
            if settled.keys() - counts.keys():
                raise Violation(f"8. {consumer}: recorded outcomes are lost: {settled.keys() - counts.keys()}")
    world.recorded.update(counts)


def _check_consumer(
    store: Store, logs: Sequence[PartitionLog], world: World, consumer: str, channel: str, *, final: bool
) -> None:
    stored = store.get(STATE, _POSITIONS + consumer.encode())
    positions = {} if stored is None else msgspec.msgpack.decode(stored, type=dict[int, int])
    for log in logs:
        position, end = positions.get(log.partition, 0), log.next_offset(Topic.NOTIFICATIONS)
        known = world.positions[consumer].get(log.partition, 0)
        if not known <= position <= end:
            raise Violation(
                f"8. {consumer}: position {position} in partition {log.partition}, was {known}, end is {end}"
            )
        passed = None if final else max(0, position - log.first[Topic.NOTIFICATIONS])
        for entry in log.topics[Topic.NOTIFICATIONS][:passed]:
            notification = msgspec.json.decode(entry.value, type=Notification)
            if notification.channel == channel and notification.notification not in world.recorded:
                raise Violation(f"8. {consumer}: {notification.notification} was passed without an outcome")
