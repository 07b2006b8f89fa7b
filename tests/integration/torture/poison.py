"""Events at which the fold of a worker under torture raises, as at a defect, and what has to become of them."""

from collections.abc import Iterable
from typing import Final

import msgspec

from engine.core import fold as core
from engine.core.fold import Record
from engine.core.outcome import Outcome
from engine.core.state import State
from schemas.reasons import Reason, Refusal

SOURCE: Final = "poison"
_MARK: Final = b'"source": "poison"'


class PoisonError(Exception):
    """What the fold raises at such an event."""


def fold(state: State, records: Iterable[Record], out: Outcome) -> None:
    """The engine's own, which raises at the first poisonous event that is not refused."""
    given = list(records)
    for place, record in enumerate(given):
        if _is_poison(record):
            core.fold(state, given[:place], out)
            raise PoisonError
    core.fold(state, given, out)


def without_poison(record: Record) -> Record:
    """The record, or the refusal that the engine has to put in its place."""
    if not _is_poison(record):
        return record
    message = "the engine could not apply this event (PoisonError): report it, then send it again"
    return msgspec.structs.replace(record, event=Refusal(Reason.MALFORMED, message))


def _is_poison(record: Record) -> bool:
    return _MARK in record.raw and not isinstance(record.event, Refusal)
