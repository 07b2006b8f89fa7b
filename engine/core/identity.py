"""Identity of events: which are repeats, which are conflicts (semantics 1, "Identity").

128 bits name an event: within its client for client events, alone for configuration, apart for a transfer's leg.
64 bits stand for its content by value. Both are XXH3: nobody gains by a collision that only his own events can have.
"""

import msgspec
from xxhash import xxh3_64_intdigest, xxh3_128_digest

from engine.core.state import DEDUPE_WINDOW, Seen
from schemas.events import AnyEvent, Client
from schemas.reasons import Reason, Refusal
from schemas.times import format_time

_encode = msgspec.msgpack.Encoder().encode


def identity_of(client: str, source: str, id: str) -> bytes:
    """16 bytes for an event of a client; configuration has the empty client. Ids hold no NUL, so none collide."""
    return xxh3_128_digest(f"{client}\0{source}\0{id}".encode())


def leg_identity_of(receiver: str, sender: str, source: str, id: str, requested_at: int) -> bytes:
    """16 bytes for a transfer's leg at its receiver: apart from the receiver's own events, one for each request."""
    return xxh3_128_digest(f"{receiver}\0\0{sender}\0{source}\0{id}\0{requested_at}".encode())


def content_of(event: AnyEvent, currency: str | None = None) -> int:
    """64 bits of an event's known fields by value; a field left at its default counts as absent.

    ``currency``: the client's own, which is the default of an event's.
    """
    if currency is not None and getattr(event, "currency", None) == currency and not isinstance(event, Client):
        event = msgspec.structs.replace(event, currency=None)
    return xxh3_64_intdigest(_encode(event))


def check_repeat(seen: Seen, identity: bytes, content: int, now: int) -> Refusal | bool:
    """True: a repeat within the window. A Refusal: the same identity with other content. False: new."""
    found = seen.get(identity)
    if found is None or now - found[1] >= DEDUPE_WINDOW:
        return False
    if found[0] == content:
        return True
    return conflict(found[1])


def conflict(first_at: int) -> Refusal:
    """The refusal of an event whose identity another content has."""
    message = f"source and id were used at {format_time(first_at)} for other content; send a new event under a new id"
    return Refusal(Reason.CONFLICT, message)
