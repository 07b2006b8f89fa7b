"""Spans of identities that are over: their families go once the changelog has no chunk of them any more."""

import msgspec

from engine.core.state import DEDUPE_WINDOW
from engine.kafka.recording import chunks_before
from engine.partition import keys
from engine.partition.partition import Meta
from engine.partition.seen import SeenFamilies
from engine.store.ports import STATE, Store


def span_before(clock: int) -> int:
    """The earliest span of identities that a window ending at ``clock`` or later reaches."""
    return clock // DEDUPE_WINDOW - 1


def drop_spans(store: Store, number: int, families: SeenFamilies, clock: int) -> None:
    """Drops the identities of spans that are over and whose chunks are deleted."""
    if families.has_before(clock) and not chunks_before(store, number, span_before(clock), 1):
        families.drop_before(clock)


def drop_spans_of(store: Store, number: int) -> None:
    """The same for a store that no partition is opened on: its own meta says what time it is."""
    stored = store.get(STATE, keys.prefix(number, keys.META))
    if stored is not None:
        drop_spans(store, number, SeenFamilies(store), msgspec.msgpack.decode(stored, type=Meta).clock)
