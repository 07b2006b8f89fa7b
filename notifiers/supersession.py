"""Which reminders are not worth sending any more (semantics 6): a later one of the same episode is at hand.

The engine decides every reminder that was due, also those of an outage. Of the low balance reminders that have been
read ahead, one whose next was due before now is superseded by it: its reader would get both at once.
"""

from schemas.outputs import Notification
from schemas.times import parse_time

_Episode = tuple[str, str, int]


class ReadAhead:
    """The latest sequence of each low balance episode among the notifications held; bounded by what is held."""

    def __init__(self) -> None:
        self._episodes: dict[_Episode, list[int]] = {}  # held, latest

    def add(self, notification: Notification) -> None:
        """A notification has been read."""
        if notification.kind == "low_balance":
            entry = self._episodes.setdefault(_episode(notification), [0, 0])
            entry[0] += 1
            entry[1] = max(entry[1], notification.sequence)

    def remove(self, notification: Notification) -> None:
        """A notification that was added has its outcome."""
        if notification.kind == "low_balance":
            entry = self._episodes[_episode(notification)]
            entry[0] -= 1
            if entry[0] == 0:
                del self._episodes[_episode(notification)]

    def latest(self, notification: Notification) -> int | None:
        """The latest sequence held of this notification's episode; None where none is held."""
        entry = self._episodes.get(_episode(notification)) if notification.kind == "low_balance" else None
        return None if entry is None else entry[1]

    def supersedes(self, notification: Notification, now: int) -> bool:
        """Whether a later reminder that is held makes this one stale at ``now`` (microseconds)."""
        return is_superseded(notification, self.latest(notification), now)


def is_superseded(notification: Notification, latest: int | None, now: int) -> bool:
    """Whether a low balance notification is past its period and ``latest`` > its sequence is at hand."""
    if notification.kind != "low_balance" or latest is None or notification.next_at is None:
        return False
    return latest > notification.sequence and parse_time(notification.next_at) <= now


def _episode(notification: Notification) -> _Episode:
    return notification.client, notification.rule, notification.episode
