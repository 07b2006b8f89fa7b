"""Holds what a store has against a replay of the events in it: the core alone decides what must be there.

Every record of ``events`` is folded in memory, partition by partition, at its own log time. Nothing of the engine's
runtime takes part: what differs is a loss, a doubling or a torn commit.
"""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import msgspec

from engine.core.fold import Record, fold, new_outcome
from engine.core.outcome import ACCEPTED
from engine.core.state import MemoryDueIndex, MemoryReferences, MemorySeen, State, unpack_seen
from engine.log.chunks import TOPIC_NUMBERS, Entry, chunk_key, decode_chunk, offset_of
from engine.partition import keys
from engine.partition.partition import Meta, topic_of
from engine.store.ports import LOG, STATE, Store
from engine.store.rocks import RocksStore
from schemas.codec import decode
from schemas.events import Tick
from schemas.outputs import Delivery, Notification, encode_output
from schemas.reasons import Refusal
from schemas.times import NEVER
from schemas.topics import Topic

_SEEN = "seen-"
_FOR_EVER = 2**63  # identities are compared whole; the fold knows itself which are past their window
_LETTERS = (keys.BALANCE, keys.ACCOUNT, keys.LEDGER, keys.GRANTS)
_SHOWN_MAX = 12
_SHOWN_CHARACTERS_MAX = 600

_pack = msgspec.msgpack.Encoder().encode
_decode_output = msgspec.json.Decoder(Notification | Delivery).decode

Identity = tuple[str, str]
"""Source and id of an event."""


class Audit:
    """What was found. ``problems`` is empty where the store is what its log says.

    ``accepted`` counts per identity how often it was accepted (configuration: per partition that took it).
    """

    def __init__(self) -> None:
        self.problems: list[str] = []
        self.accepted: Counter[Identity] = Counter()
        self.events = 0
        self.notifications: dict[str, Notification] = {}
        self.deliveries: list[Delivery] = []
        self.seen: dict[bytes, tuple[int, int]] = {}

    def check(self) -> None:
        """Raises AssertionError with the first problems."""
        shown = "\n".join(problem[:_SHOWN_CHARACTERS_MAX] for problem in self.problems[:_SHOWN_MAX])
        assert not self.problems, f"{len(self.problems)} problems:\n{shown}"


def audit_folder(folder: Path, partitions: int) -> Audit:
    """Opens the store of a product that does not run any more, and audits it."""
    store = RocksStore(folder)
    try:
        return audit(store, partitions)
    finally:
        store.close()


def audit(store: Store, partitions: int) -> Audit:
    """Audits every partition of a store, and what is kept for all of them."""
    found = Audit()
    for number in range(partitions):
        _audit_partition(store, number, found)
    _audit_seen(store, found)
    for delivery in found.deliveries:
        if delivery.notification not in found.notifications:
            found.problems.append(f"a delivery of {delivery.notification}, which was never decided")
    return found


def read_log(store: Store, partition: int, topic: Topic, problems: list[str]) -> list[Entry]:
    """Every record of a topic; a hole or an overlap between chunks is a problem."""
    entries: list[Entry] = []
    for key, value in store.scan(LOG, chunk_key(partition, topic, 0), chunk_key(partition, topic, 2**63)):
        if offset_of(key) != len(entries):
            problems.append(f"{topic.value}-{partition}: expected offset {len(entries)}, found {offset_of(key)}")
        entries += decode_chunk(value)
    return entries


def _audit_partition(store: Store, number: int, found: Audit) -> None:
    state, outputs = State(seen=MemorySeen(_FOR_EVER)), new_outcome(every_change=True)
    events = read_log(store, number, Topic.EVENTS, found.problems)
    found.events += len(events)
    for entry in events:
        event = decode(entry.value, unknown_refused=not entry.mark, engine=entry.mark)
        before = len(outputs.answers)
        fold(state, (Record(entry.at, event, entry.value),), outputs)
        answer = outputs.answers[before]
        if not entry.mark and answer is ACCEPTED and not isinstance(event, (Refusal, Tick)):
            found.accepted[event.source, event.id] += 1
    wanted: dict[Topic, list[bytes]] = {topic: [] for topic in Topic}
    for output in outputs.outputs:
        wanted[topic_of(output)].append(encode_output(output))
    lengths = [0] * len(Topic)
    lengths[TOPIC_NUMBERS[Topic.EVENTS]] = len(events)
    for topic in Topic:
        if topic is not Topic.EVENTS:
            entries = read_log(store, number, topic, found.problems)
            lengths[TOPIC_NUMBERS[topic]] = len(entries)
            _compare_topic(number, topic, [entry.value for entry in entries], wanted[topic], found)
    _compare_state(store, number, state, lengths, found)
    assert isinstance(state.seen, MemorySeen)
    for generation in state.seen._generations:
        found.seen.update({identity: unpack_seen(value)[:2] for identity, value in generation.items()})


def _compare_topic(number: int, topic: Topic, logged: list[bytes], wanted: list[bytes], found: Audit) -> None:
    name = f"{topic.value}-{number}"
    if topic is Topic.DELIVERIES:
        outcomes = [_decode_output(value) for value in logged]
        found.deliveries += [outcome for outcome in outcomes if isinstance(outcome, Delivery)]
        return
    if topic is Topic.CHANGES:  # a commit keeps the last of its changes
        logged, wanted = _last_changes(logged, name, found.problems), _last_changes(wanted, name, found.problems)
    elif topic is Topic.REJECTIONS:  # what a door refused has a rejection and no event
        extra = Counter(wanted) - Counter(logged)
        found.problems += [f"{name}: not in the log: {value!r}" for value in extra]
        return
    elif topic is Topic.NOTIFICATIONS:
        for value in logged:
            notification = _decode_output(value)
            assert isinstance(notification, Notification)
            if notification.notification in found.notifications:
                found.problems.append(f"{name}: twice in the log: {notification.notification}")
            found.notifications[notification.notification] = notification
    if logged != wanted:
        only_logged, only_wanted = Counter(logged) - Counter(wanted), Counter(wanted) - Counter(logged)
        found.problems.append(f"{name}: {len(logged)} in the log, {len(wanted)} in its replay")
        found.problems += [f"{name}: only in the log: {value!r}" for value in only_logged]
        found.problems += [f"{name}: only in its replay: {value!r}" for value in only_wanted]


def _last_changes(values: list[bytes], name: str, problems: list[str]) -> list[bytes]:
    """The last change of each client, by client; versions must grow."""
    last: dict[str, bytes] = {}
    versions: dict[str, int] = {}
    for value in values:
        change = msgspec.json.decode(value)
        client, version = change["client"], change["version"]
        if version <= versions.get(client, 0):
            problems.append(f"{name}: {client} has version {version} after {versions[client]}")
        versions[client], last[client] = version, value
    return [last[client] for client in sorted(last)]


def _compare_state(store: Store, number: int, state: State, lengths: list[int], found: Audit) -> None:
    begin = number.to_bytes(2, "big")
    stored = dict(store.scan(STATE, begin, (number + 1).to_bytes(2, "big")))
    wanted = dict(_state_keys(number, state))
    meta = stored.pop(keys.prefix(number, keys.META), None)
    kept = Meta() if meta is None else msgspec.msgpack.decode(meta, type=Meta)
    if kept.clock != state.clock or kept.offsets != lengths:
        found.problems.append(f"meta-{number}: found {kept}, expected clock {state.clock} and offsets {lengths}")
    for key in sorted(stored.keys() | wanted.keys()):
        if stored.get(key) != wanted.get(key):
            found.problems.append(f"state-{number}: {key!r}: found {stored.get(key)!r}, expected {wanted.get(key)!r}")


def _state_keys(number: int, state: State) -> Iterator[tuple[bytes, bytes]]:
    for table, letter in zip(state.tables, _LETTERS, strict=True):
        begin = keys.prefix(number, letter)
        for client, record in table.items():
            if record is not None:
                yield begin + client.encode(), _pack(record)
    for kind, definitions in state.config._kinds().items():
        for key, definition in definitions.items():
            yield keys.pair_key(keys.prefix(number, keys.CONFIGURATION), kind, key), _pack(definition)
    assert isinstance(state.dues, MemoryDueIndex)
    for client, due in state.dues._due.items():
        assert due != NEVER
        yield keys.due_key(keys.prefix(number, keys.DUE), due, client), b""
    assert isinstance(state.references, MemoryReferences)
    for (kind, key), clients in state.references._clients.items():
        for client in clients:
            yield keys.reference_prefix(keys.prefix(number, keys.REFERENCE), kind, key) + client.encode(), b""


def _audit_seen(store: Store, found: Audit) -> None:
    """The identities of all partitions; a family holds 8 bytes of content and 8 of log time, then what was kept."""
    stored: dict[bytes, tuple[int, int]] = {}
    families = [family for family in store.families() if family.startswith(_SEEN)]
    for family in sorted(families, key=lambda name: int(name.removeprefix(_SEEN))):  # the later one is what counts
        for identity, value in store.scan(family, b"", b"\xff" * 17):
            stored[identity] = int.from_bytes(value[:8], "big"), int.from_bytes(value[8:16], "big", signed=True)
    if stored != found.seen:
        missing, extra = found.seen.keys() - stored.keys(), stored.keys() - found.seen.keys()
        found.problems.append(f"identities: {len(missing)} missing, {len(extra)} too many, of {len(found.seen)}")
