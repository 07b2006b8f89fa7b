"""Where a producer puts its records: whether each key lands where the engine looks for it (`plimsoll check`).

Everything of a client must be in one partition, the one that Kafka's own clients choose: murmur2 of the key. A producer
with another partitioner splits a client in two, each with a part of the money.
"""

import zlib
from collections.abc import Callable, Mapping, Sequence
from typing import Final

import msgspec
from aiokafka import TopicPartition

from engine.findings import Finding
from engine.kafka.clients import Connection, open_admin, open_consumer, visible_topics
from engine.kafka.folding import ENGINE_HEADER
from schemas.money import shorten
from schemas.topics import murmur2

_WAIT_MS: Final = 500
_FETCH_MAX: Final = 2_000
_NAMED_MAX: Final = 5


class Placed(msgspec.Struct, frozen=True):
    """A producer's record as far as it matters here; ``client`` None where the event names none that can be read."""

    partition: int
    key: bytes | None
    client: str | None


class _Body(msgspec.Struct):
    client: object = None


def _crc32(key: bytes) -> int:
    return zlib.crc32(key)


def _fnv1a(key: bytes) -> int:
    """As Sarama takes it: the absolute value of the signed hash."""
    found = 0x811C9DC5
    for byte in key:
        found = ((found ^ byte) * 0x01000193) & 0xFFFFFFFF
    return found if found < 2**31 else 2**32 - found


_OTHERS: Final[Mapping[str, Callable[[bytes], int]]] = {
    "it is crc32, librdkafka's default (consistent_random; so confluent-kafka, rsyslog's omkafka):"
    " set partitioner=murmur2_random in that producer": _crc32,
    "it is fnv1a, the default of Sarama and of segmentio's Hash balancer: use the murmur2 partitioner there": _fnv1a,
}


async def read_placed(connection: Connection, topic: str, records_max: int) -> tuple[int, list[Placed]]:
    """How many partitions the topic has, and its last records but for those that the engine wrote itself.

    Raises KafkaError; the count is 0 where there is no such topic.
    """
    admin = open_admin(connection, "plimsoll-check")
    try:
        await admin.start()
        described = await visible_topics(admin, [topic])
    finally:
        await admin.close()
    if topic not in described:
        return 0, []
    count = len(described[topic]["partitions"])
    each_max = max(1, records_max // count)
    found: list[Placed] = []
    consumer = open_consumer(connection, "plimsoll-check")
    try:
        await consumer.start()
        places = [TopicPartition(topic, number) for number in range(count)]
        ends = await consumer.end_offsets(places)
        begins = await consumer.beginning_offsets(places)
        consumer.assign(places)
        for place in places:
            consumer.seek(place, max(begins[place], ends[place] - each_max))
        while left := [place for place in places if await consumer.position(place) < ends[place]]:
            for place, records in (await consumer.getmany(*left, timeout_ms=_WAIT_MS, max_records=_FETCH_MAX)).items():
                for record in records:
                    if not any(name == ENGINE_HEADER for name, _ in record.headers):
                        found.append(Placed(place.partition, record.key, _client_of(record.value)))
    finally:
        await consumer.stop()
    return count, found


def _client_of(value: bytes | None) -> str | None:
    try:
        client = msgspec.json.decode(value or b"", type=_Body).client
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return None
    return client if isinstance(client, str) else None


def placement_finding(topic: str, count: int, placed: Sequence[Placed]) -> Finding:
    """Whether the records of clients are where the engine looks for them, and what explains it where they are not."""
    what = f"partitioner of {topic}"
    if count == 0:
        return Finding(what, "problem", f"expected the topic {topic}, found none")
    ours = [each for each in placed if each.client is not None]
    if not ours:
        return Finding(what, "ok", "no records of clients to look at yet")
    keyless = [each for each in ours if not each.key]
    if keyless:
        return Finding(
            what,
            "problem",
            f"{len(keyless)} of {len(ours)} records have no key, first of {_shown(keyless)}: the producer puts them"
            " anywhere; set the client's id as the record's key",
        )
    other = [each for each in ours if each.key != (each.client or "").encode()]
    if other:
        first = other[0]
        return Finding(
            what,
            "problem",
            f"{len(other)} of {len(ours)} records have another key than their client, as {_text(first.key)} for"
            f" {shorten(first.client or '')}: set the client's id as the record's key",
        )
    astray = [each for each in ours if each.partition != _murmur2(each.key or b"") % count]
    if not astray:
        return Finding(what, "ok", f"{len(ours)} records, each in the partition that murmur2 gives")
    sentence = (
        f"{len(astray)} of {len(ours)} records are in another partition than murmur2 gives: {_shown(astray, count)}"
    )
    return Finding(what, "problem", f"{sentence}; {_explained(astray, count)}")


def _explained(astray: Sequence[Placed], count: int) -> str:
    for sentence, digest in _OTHERS.items():
        if all(digest(each.key or b"") % count == each.partition for each in astray):
            return sentence
    partitions: dict[bytes, set[int]] = {}
    for each in astray:
        partitions.setdefault(each.key or b"", set()).add(each.partition)
    if any(len(found) > 1 for found in partitions.values()):
        return "one key is in several of them, so the producer does not go by the key: set its partitioner to murmur2"
    return "no partitioner that is known here explains it: set the producer's to murmur2, as Kafka's own clients have"


def _murmur2(key: bytes) -> int:
    return murmur2(key) & 0x7FFFFFFF


def _shown(found: Sequence[Placed], count: int = 0) -> str:
    """A few of them, each client once; with ``count`` also where they should be."""
    by_client = {each.client: each for each in reversed(found)}
    texts = []
    for client, each in list(reversed(by_client.items()))[:_NAMED_MAX]:
        expected = f", expected {_murmur2(each.key or b'') % count}" if count else ""
        texts.append(f"{shorten(client or '')} in {each.partition}{expected}")
    more = len(by_client) - len(texts)
    return "; ".join(texts) + (f" and {more} more clients" if more > 0 else "")


def _text(key: bytes | None) -> str:
    return shorten(repr((key or b"").decode(errors="replace")))
