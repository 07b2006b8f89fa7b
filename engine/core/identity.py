"""Identity of events: which are repeats, which are conflicts (semantics 1, "Identity").

128 bits name an event: within its client for client events, alone for configuration, apart for a transfer's leg.
64 bits stand for its content by value. Both are XXH3: nobody gains by a collision that only his own events can have.
"""

import msgspec
from xxhash import xxh3_64_intdigest, xxh3_128_digest

from engine.core.state import DEDUPE_WINDOW, Seen
from schemas.events import (
    Adjustment,
    AnyEvent,
    Charge,
    CreditLimit,
    Invoice,
    Payment,
    TemporaryCredit,
    Transfer,
)
from schemas.reasons import Reason, Refusal
from schemas.times import format_time

_encode = msgspec.msgpack.Encoder().encode


def identity_of(client: str, source: str, id: str) -> bytes:
    """16 bytes for an event of a client; configuration has the empty client. Ids hold no NUL, so none collide."""
    return xxh3_128_digest(f"{client}\0{source}\0{id}".encode())


def leg_identity_of(receiver: str, sender: str, source: str, id: str, requested_at: int) -> bytes:
    """16 bytes for a transfer's leg at its receiver: apart from the receiver's own events, one for each request."""
    return xxh3_128_digest(f"{receiver}\0\0{sender}\0{source}\0{id}\0{requested_at}".encode())


def content_of(event: AnyEvent) -> int:
    """64 bits of an event's known fields by value; a field left at its default counts as absent."""
    return xxh3_64_intdigest(_encode(event))


def alias_of(event: AnyEvent, currency: str) -> int | None:
    """The content of the same event with its client's currency left out instead of spelled out, or the reverse.

    ``currency``: the client's own, which is the default of a money event's. None: there is no other spelling. What
    was sent once is itself again even where the client's currency was changed in between.
    """
    if not isinstance(event, Charge | Payment | Adjustment | CreditLimit | TemporaryCredit | Invoice | Transfer):
        return None
    if event.currency is None:
        return content_of(msgspec.structs.replace(event, currency=currency))
    return content_of(msgspec.structs.replace(event, currency=None)) if event.currency == currency else None


def check_repeat(seen: Seen, identity: bytes, content: int, now: int, alias: int | None = None) -> Refusal | bool:
    """True: a repeat within the window. A Refusal: the same identity with other content. False: new.

    ``alias``: the same content, spelled in another way.
    """
    found = seen.get(identity)
    if found is None or now - found[1] >= DEDUPE_WINDOW:
        return False
    if found[0] in (content, alias):
        return True
    return conflict(found[1])


def conflict(first_at: int) -> Refusal:
    """The refusal of an event whose identity another content has."""
    message = f"source and id were used at {format_time(first_at)} for other content; send a new event under a new id"
    return Refusal(Reason.CONFLICT, message)
