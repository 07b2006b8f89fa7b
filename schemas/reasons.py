"""Why an event was refused: codes of the contract, in order of precedence, with numbers that never change."""

from enum import Enum

import msgspec


class Reason(Enum):
    """A refusal's code on the wire. The first of this order that applies is the one reported."""

    MALFORMED = "malformed"
    UNKNOWN_TYPE = "unknown_type"
    MISSING_FIELD = "missing_field"
    BAD_ID = "bad_id"
    BAD_TIME = "bad_time"
    BAD_AMOUNT = "bad_amount"
    BAD_FIELD = "bad_field"
    BAD_RATE = "bad_rate"
    UNKNOWN_CLIENT = "unknown_client"
    UNKNOWN_REFERENCE = "unknown_reference"
    UNKNOWN_GRANT = "unknown_grant"
    NO_RATE = "no_rate"
    CONFLICT = "conflict"
    FIXED = "fixed"
    IN_USE = "in_use"
    NOT_POSTPAID = "not_postpaid"
    NO_LIMIT = "no_limit"
    ABOVE_CAP = "above_cap"
    NOTHING_TO_REMOVE = "nothing_to_remove"
    DUPLICATE_INVOICE = "duplicate_invoice"
    DUPLICATE_GRANT = "duplicate_grant"
    SAME_CLIENT = "same_client"
    CURRENCY_MISMATCH = "currency_mismatch"
    TRANSFERS_OFF = "transfers_off"
    INSUFFICIENT = "insufficient"

    @property
    def number(self) -> int:
        """The code's stable number, 1 for the first."""
        return _NUMBERS[self]


_NUMBERS = {reason: number for number, reason in enumerate(Reason, start=1)}


class Refusal(msgspec.Struct, frozen=True):
    """A decision not to apply an event: a code, and a sentence that says what was expected, found and to do."""

    reason: Reason
    message: str
