"""A client's history from `events` of a cluster is the one that the embedded engine tells of the same log."""

import json
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from aiokafka.structs import ConsumerRecord

from engine.history import refused_for_others
from engine.kafka.client_history import LogHistory
from engine.kafka.configuration import revision_headers
from engine.kafka.folding import ENGINE_HEADER, MOVED_HEADER
from engine.log.chunks import Entry, chunk_key, decode_chunk
from engine.store.ports import LOG
from schemas.answers import History
from schemas.codec import decode
from schemas.events import ConfigEvent, Tick
from schemas.topics import Topic
from tests.properties.histories import history as written
from tests.properties.test_history import _feed
from tests.unit.embedded.running import Running, running

SEEDS = 4


def consumed(
    offset: int, at: int, key: str, value: bytes, headers: Sequence[tuple[str, bytes]] = ()
) -> "ConsumerRecord[bytes, bytes]":
    """A record of `events`, with its log time in whole milliseconds or in its mark."""
    encoded = key.encode() or None
    return ConsumerRecord(
        topic="events",
        partition=0,
        offset=offset,
        timestamp=at // 1000,
        timestamp_type=1,
        key=encoded,
        value=value,
        checksum=None,
        serialized_key_size=0,
        serialized_value_size=len(value),
        headers=tuple(headers),
    )


def moved(entries: Sequence[Entry]) -> list["ConsumerRecord[bytes, bytes]"]:
    """The records of an embedded log as a cluster has them, each with its log time to the microsecond."""
    records = []
    for offset, entry in enumerate(entries):
        headers = [(ENGINE_HEADER, b"1"), (MOVED_HEADER, str(entry.at).encode())]
        event = decode(entry.value, engine=entry.mark)
        if isinstance(event, ConfigEvent):
            headers += revision_headers(offset + 1)[1:]
        elif isinstance(event, Tick):
            headers = headers[:1]
        records.append(consumed(offset, entry.at, entry.key, entry.value, headers))
    return records


def refused(entries: Sequence[Entry]) -> dict[tuple[str, str], list[int]]:
    """What `rejections` says of configuration, as ``LogHistories`` reads it."""
    found: dict[tuple[str, str], list[int]] = defaultdict(list)
    for entry in entries:
        name = refused_for_others(entry.value)
        if name is not None:
            found[name].append(entry.at // 1000)
    return found


def stored(product: Running, number: int, topic: Topic) -> list[Entry]:
    store, end = product.engine._store, product.engine.durable_end(number, topic)
    chunks = store.scan(LOG, chunk_key(number, topic, 0), chunk_key(number, topic, end))
    return [entry for _, value in chunks for entry in decode_chunk(value)]


@pytest.mark.parametrize("seed", range(SEEDS))
async def test_it_is_the_same_as_embedded(tmp_path: Path, seed: int) -> None:
    async with running(tmp_path, partitions=2) as product:
        product.clock.now = 0
        await _feed(product, written(seed), batch=1 + seed % 7)
        compared = 0
        for number, partition in enumerate(product.engine.partitions):
            records = moved(stored(product, number, Topic.EVENTS))
            names = refused(stored(product, number, Topic.REJECTIONS))
            for client in [*partition.state.balances]:
                expected = await product.views.history(client, 1000, None)
                told = LogHistory(client, names, limit=1000, before=None)
                for record in records:
                    told.take(record)
                assert told.history(partition.state.clock) == expected, (seed, client)
                compared += 1
        assert compared


def told(client: str, records: Sequence["ConsumerRecord[bytes, bytes]"], **given: Any) -> History:
    """Any: limit, before, and what was refused."""
    folded = LogHistory(client, given.pop("refused", {}), **({"limit": 100, "before": None} | given))
    for record in records:
        folded.take(record)
    return folded.history(0)


def event(number: int, **fields: Any) -> bytes:
    return json.dumps({"id": f"e{number}", "source": "t", "time": "2026-01-01T00:00:00Z", **fields}).encode()


OPENED = consumed(0, 1_000, "é/1", event(0, type="client", client="é/1", currency="EUR"))


def test_an_event_is_the_clients_whatever_its_key_and_however_its_name_is_written() -> None:
    other = consumed(1, 2_000, "another", event(1, type="payment", client="é/1", amount="5"))
    slashed = consumed(2, 3_000, "", event(2, type="payment", client="é/1", amount="1").replace(b"/1", b"\\/1"))
    found = told("é/1", [OPENED, other, slashed])
    assert [(entry.type, entry.live) for entry in found.entries] == [
        ("payment", "6"),
        ("payment", "5"),
        ("client", "0"),
    ]


def test_what_cannot_be_read_is_told_where_it_has_the_clients_key() -> None:
    found = told("é/1", [OPENED, consumed(1, 2_000, "é/1", b"{"), consumed(2, 3_000, "", b"{")])
    assert [(entry.type, entry.outcome, entry.reason) for entry in found.entries] == [
        ("unreadable", "refused", "malformed"),
        ("client", "accepted", None),
    ]


def test_a_deletion_that_was_refused_for_others_leaves_the_definition() -> None:
    def revised(offset: int, at: int, raw: bytes) -> "ConsumerRecord[bytes, bytes]":
        return consumed(offset, at, "", raw, revision_headers(offset))

    user = revised(1, 1_000, event(1, type="user", user="u"))
    deleted = revised(2, 5_000, event(2, type="user_deleted", user="u"))
    naming = consumed(3, 6_000, "c", event(3, type="client", client="c", currency="EUR", manager="u"))
    log = [user, deleted, naming]
    assert [entry.outcome for entry in told("c", log).entries] == ["refused"]
    assert [entry.outcome for entry in told("c", log, refused={("t", "e2"): [4]}).entries] == ["accepted"]


def test_a_question_changes_nothing() -> None:
    user = consumed(1, 1_000, "", event(1, type="user", user="u"), revision_headers(1))
    asked = consumed(2, 2_000, "", event(2, type="user_deleted", user="u"), revision_headers(2, asks=True))
    naming = consumed(3, 3_000, "c", event(3, type="client", client="c", currency="EUR", manager="u"))
    assert [entry.outcome for entry in told("c", [user, asked, naming]).entries] == ["accepted"]
