"""What a channel holds of one partition: the notifications read ahead, and the position they allow."""

from collections import deque

import msgspec

from schemas.outputs import Notification


class Parcel(msgspec.Struct, eq=False):
    """A notification on its way. ``owed`` are the addresses not yet served; times are the event loop's."""

    notification: Notification
    partition: int
    offset: int
    at: int
    owed: tuple[str, ...]
    accepted: tuple[str, ...] = ()
    refusals: tuple[str, ...] = ()
    attempts: int = 0
    setbacks: int = 0
    """Failed attempts in which the peer had seen the message."""
    counted: int = 0
    """Those of them since whose predecessor the peer took another message."""
    acceptances_seen: int = -1
    deferred_since: float | None = None
    done: bool = False

    @property
    def reader(self) -> tuple[str, tuple[str, ...]]:
        """Whom it is for. Parcels of one reader are sent one after the other, in order."""
        return self.notification.client, self.notification.to


class Lane:
    """One partition's parcels in order. The position never passes a parcel without an outcome."""

    def __init__(self, partition: int, position: int) -> None:
        self.partition = partition
        self.committed = position
        """The position that is durable."""
        self.next_offset = position
        """The offset of the next record to read."""
        self.drained = False
        """Whether there was nothing more to read, and no news since."""
        self.parcels: deque[Parcel] = deque()
        self._ids: set[str] = set()

    def __contains__(self, notification: str) -> bool:
        """Whether a notification of this id is held."""
        return notification in self._ids

    def add(self, parcel: Parcel) -> None:
        """Holds a parcel, in the order of the log."""
        assert not self.parcels or self.parcels[-1].offset < parcel.offset
        self.parcels.append(parcel)
        self._ids.add(parcel.notification.notification)

    @property
    def position(self) -> int:
        """Where the consumer may stand: at the first parcel without an outcome, else behind all that was read."""
        return next((parcel.offset for parcel in self.parcels if not parcel.done), self.next_offset)

    def commit(self, position: int) -> None:
        """The position and every outcome before it are durable: those parcels are let go."""
        assert self.committed <= position <= self.position
        self.committed = position
        while self.parcels and self.parcels[0].offset < position:
            self._ids.discard(self.parcels.popleft().notification.notification)
