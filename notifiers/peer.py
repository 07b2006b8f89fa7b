"""Whether the peer of a channel takes messages, and when to try one that does not: a circuit breaker."""

import logging
from typing import Final

from notifiers.addresses import mask_text
from notifiers.attempts import Attempt, Failure, FailureKind, back_off
from notifiers.config import DeliveryOptions
from schemas.events import Channel

_log: Final = logging.getLogger(__name__)
_JUDGED: Final = frozenset({FailureKind.DEFERRED, FailureKind.REFUSED})
"""Only a peer that is up looks at a message closely enough to say these."""


class PeerState:
    """Up: as many sends as the options allow. Down: none until the back-off has passed, then one as a probe.

    Times are the event loop's, in seconds. ``acceptances`` counts what the peer has taken.
    """

    def __init__(self, channel: Channel, options: DeliveryOptions) -> None:
        self._channel = channel
        self._options = options
        self._tries = 0
        self._resume_at = 0.0
        self.acceptances = 0

    @property
    def is_up(self) -> bool:
        """Whether the last that was heard of the peer was an answer to a message."""
        return self._tries == 0

    @property
    def resume_at(self) -> float | None:
        """When a peer that is down is tried again; None while it is up."""
        return None if self.is_up else self._resume_at

    def slots(self, under_way: int, now: float) -> int:
        """How many more sends may start now."""
        if self.is_up:
            return self._options.concurrency_max - under_way
        return 1 - under_way if now >= self._resume_at else 0

    def heard(self, attempt: Attempt, now: float) -> None:
        """Takes in how an attempt went. One that never asked the peer says nothing about it."""
        if not attempt.asked:
            return
        judged = any(failure.kind in _JUDGED for failure in attempt.failures)
        if attempt.accepted or judged:
            if not self.is_up:
                _log.info("%s: the peer takes messages again", self._channel)
            self._tries = 0
            self.acceptances += bool(attempt.accepted)
        worst = attempt.worst
        if worst is not None and worst.kind not in _JUDGED:
            self._fell(worst, now)

    def _fell(self, failure: Failure, now: float) -> None:
        if not self.is_up and now < self._resume_at:  # of a send that was started before the pause
            return
        self._tries += 1
        options = self._options
        wait = back_off(self._tries, options.down_first_seconds, options.down_max_seconds)
        if failure.retry_after_seconds is not None:
            wait = max(wait, min(failure.retry_after_seconds, options.retry_after_seconds_max))
        self._resume_at = now + wait
        log = _log.warning if self._tries == 1 else _log.info
        log("%s: %s; nothing is lost, next try in %.1f s", self._channel, mask_text(failure.detail), wait)
