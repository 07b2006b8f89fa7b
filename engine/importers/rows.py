"""What becomes of one call record: an event, nothing on purpose, or a rejection that says why."""

import msgspec


class Imported(msgspec.Struct, frozen=True, gc=False):
    """A record that became an event: one JSON text. ``place`` is ``file:line``."""

    place: str
    event: bytes


class Skipped(msgspec.Struct, frozen=True, gc=False):
    """A record that owes nothing: ``unanswered``, ``other_leg``, ``not_wanted``, ``header``."""

    place: str
    reason: str


class Rejected(msgspec.Struct, frozen=True, gc=False):
    """A record that could not be understood, as it was found, with what was expected."""

    place: str
    message: str
    raw: bytes


Row = Imported | Skipped | Rejected


class RowError(ValueError):
    """Why one record cannot become an event; the import goes on with the next."""
