"""One attempt to send a notification: what the peer took, what it did not, and which kind of failure that was.

The kind decides what happens next (``delivery``): see the table in the package's README.
"""

import random
from collections.abc import Callable, Sequence
from enum import Enum
from typing import Final, Protocol

import msgspec

from schemas.outputs import Notification

DETAIL_CHARACTERS_MAX: Final = 500
"""What a peer said, kept in a delivery record: long enough for any SMTP reply, bounded against a page of HTML."""


class FailureKind(Enum):
    """Why an address was not served, in the order in which it speaks for the whole attempt."""

    DOWN = "down"
    """The peer took no message at all: refused, timed out, no session, too many requests. Nothing was said about
    this message, so it never counts against it; the whole channel waits."""
    UNAVAILABLE = "unavailable"
    """The peer broke off, or turned us away for what need not be the message: connection lost, no answer, wrong
    credentials or address of a gateway, overload. The channel waits; it counts only while other messages are taken."""
    DEFERRED = "deferred"
    """The peer asks to try this message again later. Only this message waits."""
    REFUSED = "refused"
    """The peer will never take this message for this address."""


class Failure(msgspec.Struct, frozen=True):
    """What kept ``addresses`` from being served, in the peer's words; it may ask for a wait."""

    kind: FailureKind
    addresses: tuple[str, ...]
    detail: str
    retry_after_seconds: float | None = None


class Attempt(msgspec.Struct, frozen=True):
    """What became of one attempt: every address it was for is in ``accepted`` or in one of ``failures``.

    ``asked`` is false where the peer was never spoken to, so that the attempt says nothing about it.
    """

    accepted: tuple[str, ...]
    failures: tuple[Failure, ...] = ()
    asked: bool = True

    @property
    def owed(self) -> tuple[str, ...]:
        """The addresses that are worth another attempt."""
        return tuple(
            address
            for failure in self.failures
            if failure.kind is not FailureKind.REFUSED
            for address in failure.addresses
        )

    @property
    def worst(self) -> Failure | None:
        """The failure that decides the wait: the first kind, in order, of those worth another attempt."""
        for kind in (FailureKind.DOWN, FailureKind.UNAVAILABLE, FailureKind.DEFERRED):
            for failure in self.failures:
                if failure.kind is kind:
                    return failure
        return None


class Sender(Protocol):
    """One channel's way out: renders a notification and gives it to the peer."""

    async def send(self, notification: Notification, to: Sequence[str]) -> Attempt:
        """One attempt for these addresses. What the peer does or says is a value; only defects of ours raise."""
        ...

    async def close(self) -> None:
        """Ends every connection."""
        ...


def failed(kind: FailureKind, to: Sequence[str], detail: str, retry_after: float | None = None) -> Attempt:
    """An attempt that served no address, all for one reason."""
    return Attempt((), (Failure(kind, tuple(to), shorten_detail(detail), retry_after),))


def unsendable(to: Sequence[str], detail: str) -> Attempt:
    """A message that could not even be made, so that the peer was not asked."""
    return Attempt((), (Failure(FailureKind.REFUSED, tuple(to), shorten_detail(detail)),), asked=False)


def shorten_detail(text: str) -> str:
    """One line of at most ``DETAIL_CHARACTERS_MAX`` printable characters."""
    line = " ".join(text.split())
    line = "".join(character if character.isprintable() else "?" for character in line)
    return line if len(line) <= DETAIL_CHARACTERS_MAX else line[: DETAIL_CHARACTERS_MAX - 3] + "..."


def back_off(
    tries: int, first_seconds: float, max_seconds: float, chance: Callable[[], float] = random.random
) -> float:
    """Seconds to wait after ``tries`` >= 1 failures: doubling, capped, then up to a quarter less by chance, so that
    what failed together does not come back together."""
    assert tries >= 1
    longest = min(max_seconds, first_seconds * 2.0 ** min(tries - 1, 40))
    return longest * (1.0 - 0.25 * chance())
