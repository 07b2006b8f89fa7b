"""Usage authorisation: what a switch asks before it lets a usage begin, and what it is told (semantics 1 and 5)."""

from typing import Annotated, Literal

import msgspec

from schemas.fields import COUNT_MAX

Id = Annotated[str, msgspec.Meta(min_length=1, max_length=128)]
Quantity = Annotated[int, msgspec.Meta(ge=0, le=COUNT_MAX)]


class UsageAsked(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is to be used: the type as plans list it, and how much in events, seconds or bytes."""

    type: Id
    unit: Literal["event", "second", "byte"]
    quantity: Quantity


class AuthorizationRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """May the client begin? ``usage``, ``amount`` or both.

    ``amount`` is the money for the whole quantity, as a decimal string in ``currency`` (default: the client's); with
    no amount only units and the sign of the available balance count. ``channels_in_use``: how many the client has
    now, without this one.
    """

    client: Id
    usage: UsageAsked | None = None
    amount: Annotated[str, msgspec.Meta(max_length=40)] | None = None
    currency: Annotated[str, msgspec.Meta(pattern="^[A-Z][A-Z0-9]{2,7}$")] | None = None
    channels_in_use: Quantity = 0


Refused = Literal["unknown_client", "no_rate", "capacity", "plan_rejects", "exhausted", "insufficient"]


class Authorization(msgspec.Struct, frozen=True):
    """The answer, from committed state; it holds nothing and promises nothing.

    ``allowed``: something of what was asked may be used now. ``reason``: why not, or why only a part.
    ``quantity``: how much of the usage asked for, in its unit (None: no usage was asked for). ``units``: how much of
    that is paid by free units; ``plan``: the plan that refuses more. ``money``: what the rest may cost at the most
    (None: unlimited). ``channels``: how many more may begin now (None: unlimited).
    """

    client: str
    allowed: bool
    reason: Refused | None
    sentence: str
    quantity: int | None
    units: int
    plan: str | None
    money: str | None
    currency: str | None
    available: str | None
    capacity: int | None
    channels: int | None
