"""What happens to a worker as a member, and what it then does: between who gives partitions and who works on them."""

from collections.abc import Awaitable, Callable
from typing import Final

import msgspec

LOOK_SECONDS: Final = 5.0
"""Between two looks of the leader at the group."""


class Assignment(msgspec.Struct, frozen=True):
    """What the group gives to this worker."""

    actives: frozenset[int]
    standbys: frozenset[int]


class Hooks(msgspec.Struct, frozen=True):
    """What happens to a member. ``revoked`` is waited for before the group goes on; ``assigned`` must not wait."""

    revoked: Callable[[], Awaitable[None]]
    assigned: Callable[[Assignment], None]
    commanded: Callable[[int, bytes, int], None]
    """A record of the control topic: partition, value, milliseconds."""
    led: Callable[[], Awaitable[None]]
    """Called on one worker of the group, every LOOK_SECONDS. Raises nothing: it would break the app."""
