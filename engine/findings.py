"""What `plimsoll check` finds: one line each, in words that say what to do."""

from typing import Literal

import msgspec


class Finding(msgspec.Struct, frozen=True):
    """One line of the answer. ``warning``: it works, and will not on a bad day; only ``problem`` fails the check."""

    what: str
    state: Literal["ok", "warning", "problem"]
    detail: str
