"""Is everything as it must be? What the store holds is held against a fresh fold of its own log, and against what
senders and peers remember (the checks are numbered; a violation names its own).

1. Every topic is whole: offsets follow each other up to meta's (``folding``).
2. State, configuration, indexes and meta are, byte for byte, those of a fresh fold.
3. Outputs are those of the fold, in order; a coalesced change is the same version of it.
4. Identities of the dedupe window are in the store, and no other.
5. What was acknowledged is in the log, with that answer; each event was accepted once, in its sender's order.
6. Legs of transfers: each that was written at one side is at the other; nothing is held.
7. Clocks never go back.
8. Notifications: ids are unique; what a peer took is in the log, and what a consumer passed has its one outcome.
9. Money and units add up (``books``).
"""

from collections import Counter, defaultdict
from itertools import pairwise

import msgspec

from engine.core.configuration import CLIENT_REFERENCES, key_of
from engine.core.outcome import ACCEPTED
from engine.core.state import DEDUPE_WINDOW, State
from engine.log.ports import Answer
from engine.partition import keys
from engine.partition.partition import topic_of
from engine.store.ports import STATE, Store
from schemas.engine_events import encode_engine_event
from schemas.events import AnyEvent, Tick, Transfer, TransferOutcome
from schemas.outputs import Change, encode_output, rejection_of
from schemas.reasons import Reason, Refusal
from schemas.times import NEVER
from schemas.topics import Topic
from tests.simulation.books import check_books
from tests.simulation.deliveries import check_notifications
from tests.simulation.folding import Folded, PartitionLog, WatchedSeen, decoded, fold_log
from tests.simulation.world import START, Violation, World

PARTITIONS = 3
_POSITIONS = b"\xff\xffp"
_DAY_BEFORE = START - 86_400_000_000 * 60
_encode = msgspec.msgpack.Encoder().encode
Identity = tuple[str, str, str]


def audit(store: Store, world: World, *, final: bool = False) -> int:
    """All checks; raises Violation. ``final``: nothing may be left to do. How many notifications there are."""
    logs = [PartitionLog(store, number) for number in range(PARTITIONS)]
    folds = [fold_log(log) for log in logs]
    folded = [records for _, _, records in folds]
    for log, (state, _, records) in zip(logs, folds, strict=True):
        _check_clock(log)
        _check_state(store, log.partition, state, log)
        _check_outputs(log, records, world)
    _check_identities(store, [(state, seen) for state, seen, _ in folds])
    _check_legs(folded)
    _check_answers(folded, world, final=final)
    check_notifications(store, logs, folded, world, final=final)
    check_books(folded)
    return sum(log.next_offset(Topic.NOTIFICATIONS) for log in logs)


def _check_clock(log: PartitionLog) -> None:
    for topic, entries in log.topics.items():
        times = [entry.at for entry in entries]
        if topic in (Topic.DELIVERIES, Topic.REJECTIONS):  # what no partition decides has the time of the wall
            times = times[:1]
        if any(later < earlier for earlier, later in pairwise(times)):
            raise Violation(f"7. {topic.value}/{log.partition}: log time goes back: {times[-5:]}")
        if times and times[0] < _DAY_BEFORE:
            raise Violation(f"7. {topic.value}/{log.partition}: a record has no log time: {times[0]}")


def _check_state(store: Store, number: int, state: State, log: PartitionLog) -> None:
    expected: dict[bytes, bytes] = {}
    letters = (keys.BALANCE, keys.ACCOUNT, keys.LEDGER, keys.GRANTS)
    for letter, table in zip(letters, state.tables, strict=True):
        begin = keys.prefix(number, letter)
        expected.update((begin + client.encode(), _encode(record)) for client, record in table.items())
    begin = keys.prefix(number, keys.CONFIGURATION)
    for definition in state.config.definitions():
        expected[keys.pair_key(begin, *key_of(definition))] = _encode(definition)
    for client, account in state.accounts.items():
        if account.due != NEVER:
            expected[keys.due_key(keys.prefix(number, keys.DUE), account.due, client)] = b""
        named = [(kind, getattr(account.settings, kind)) for kind in CLIENT_REFERENCES]
        grants = state.grants.find(client)
        named += [("time_balance_plan", plan) for plan in (() if grants is None else grants.plans)]
        for kind, key in named:
            if key is not None:
                prefix = keys.reference_prefix(keys.prefix(number, keys.REFERENCE), kind, key)
                expected[prefix + client.encode()] = b""
    if log.topics[Topic.EVENTS]:
        log.meta.clock, clock = state.clock, log.meta.clock
        if clock != state.clock:
            raise Violation(f"2. partition {number}: the stored clock is {clock}, the fold's {state.clock}")
    if store.get(STATE, keys.prefix(number, keys.META)) is not None:
        expected[keys.prefix(number, keys.META)] = _encode(log.meta)
    found = dict(store.scan(STATE, number.to_bytes(2, "big"), (number + 1).to_bytes(2, "big")))
    for name in sorted(expected.keys() | found.keys()):
        if expected.get(name) != found.get(name):
            raise Violation(
                f"2. partition {number}: {name!r} is {_shown(found.get(name))}, the fold's {_shown(expected.get(name))}"
            )


def _shown(value: bytes | None) -> object:
    if not value:
        return value
    try:
        return msgspec.msgpack.decode(value)
    except (msgspec.DecodeError, UnicodeDecodeError):  # what a failure shows must not be another failure
        return value


def _check_outputs(log: PartitionLog, records: list[Folded], world: World) -> None:
    changes: dict[tuple[str, int], bytes] = {}
    versions: dict[str, int] = {}
    by_topic: dict[Topic, list[bytes]] = defaultdict(list)
    for record in records:
        for output in record.outputs:
            encoded = encode_output(output)
            if isinstance(output, Change):
                if output.version != versions.get(output.client, 0) + 1:
                    raise Violation(
                        f"3. {output.client}: version {output.version} follows {versions.get(output.client)}"
                    )
                versions[output.client] = output.version
                changes[output.client, output.version] = encoded
            else:
                by_topic[topic_of(output)].append(encoded)
    _check_changes(log, changes, versions)
    for topic in (Topic.NOTIFICATIONS, Topic.JOURNAL):
        found = [entry.value for entry in log.topics[topic]]
        _same(f"3. {topic.value}/{log.partition}", found, by_topic[topic], log.first[topic])
    rejections = [entry.value for entry in log.topics[Topic.REJECTIONS]]
    if log.partition == 0:
        refusals = [(refused_at_door(raw), raw) for raw in world.sent]
        at_the_door = {encode_output(rejection_of(refusal, raw)) for refusal, raw in refusals if refusal is not None}
        rejections = [value for value in rejections if value not in at_the_door]
    gone = len(by_topic[Topic.REJECTIONS]) - len(rejections) if log.first[Topic.REJECTIONS] else 0
    _same(f"3. rejections/{log.partition}", rejections, by_topic[Topic.REJECTIONS], gone)


def _check_changes(log: PartitionLog, expected: dict[tuple[str, int], bytes], versions: dict[str, int]) -> None:
    last: dict[str, int] = {}
    for entry in log.topics[Topic.CHANGES]:
        change = msgspec.json.decode(entry.value, type=Change)
        if change.version <= last.get(change.client, 0):
            raise Violation(f"3. {change.client}: version {change.version} was written after {last[change.client]}")
        last[change.client] = change.version
        if expected.get((change.client, change.version)) != entry.value:
            found = expected.get((change.client, change.version))
            raise Violation(f"3. {change.client}: version {change.version} is {entry.value!r}, the fold's {found!r}")
    if any(versions[client] != version for client, version in last.items()):
        raise Violation(f"3. changes/{log.partition}: last versions {last}, the fold's {versions}")
    if not log.first[Topic.CHANGES] and versions.keys() - last.keys():
        raise Violation(f"3. changes/{log.partition}: no change of {versions.keys() - last.keys()}")


def _same(name: str, found: list[bytes], expected: list[bytes], first: int) -> None:
    """What is found from ``first`` on is what is expected."""
    expected = expected[first:]
    if found != expected:
        at = next((at for at, pair in enumerate(zip(found, expected, strict=False)) if pair[0] != pair[1]), -1)
        raise Violation(
            f"{name}: {len(found)} records from {first} on, the fold's {len(expected)}; first differs {at}: "
            f"{found[at : at + 1]} for {expected[at : at + 1]}"
        )


def refused_at_door(raw: bytes) -> Refusal | None:
    """Why a door refuses what it was sent before any partition sees it, or None."""
    event = decoded(raw, door=True)
    if isinstance(event, Tick):
        return Refusal(Reason.UNKNOWN_TYPE, "type: 'tick' is the clock's own; log time is the append time")
    return event if isinstance(event, Refusal) else None


def _check_identities(store: Store, states: list[tuple[State, WatchedSeen]]) -> None:
    """Configuration has one identity in every partition, and the store one place for it: any partition's will do."""
    allowed: dict[tuple[bytes, int], list[tuple[int, int, bytes]]] = defaultdict(list)
    needed: set[tuple[bytes, int]] = set()
    for state, seen in states:
        for place, value in seen.puts.items():
            allowed[place].append(value)
            if state.clock - value[1] < DEDUPE_WINDOW:
                needed.add(place)
    for family in store.families():
        if not family.startswith("seen-"):
            continue
        span = int(family.removeprefix("seen-"))
        for identity, stored in store.scan(family, b"", b"\xff" * 17):
            value = (int.from_bytes(stored[:8], "big"), int.from_bytes(stored[8:16], "big", signed=True), stored[16:])
            if value not in allowed.get((identity, span), []):
                raise Violation(f"4. {family}: {identity.hex()} is {value}, not one of {allowed.get((identity, span))}")
            needed.discard((identity, span))
    if needed:
        raise Violation(f"4. {len(needed)} identities of the window are not in the store")


def _check_legs(folded: list[list[Folded]]) -> None:
    written: Counter[bytes] = Counter()
    found: Counter[bytes] = Counter()
    for records in folded:
        for record in records:
            written.update(encode_engine_event(leg) for leg in record.legs)
            if record.entry.mark and not isinstance(record.event, Tick):
                found[record.entry.value] += 1
    if written != found:
        raise Violation(
            f"6. legs written but not in the log: {written - found}; in the log but not written: {found - written}"
        )


def identity_of(event: AnyEvent) -> Identity:
    """Client, source and id; configuration has no client."""
    assert not isinstance(event, Tick)
    return getattr(event, "client", ""), event.source, event.id


def _check_answers(folded: list[list[Folded]], world: World, *, final: bool) -> None:
    by_identity: dict[Identity, list[Folded]] = defaultdict(list)
    applied: dict[tuple[int, Identity], list[int]] = defaultdict(list)
    configured: list[Counter[bytes]] = [Counter() for _ in folded]
    for number, records in enumerate(folded):
        latest: dict[tuple[str, str], int] = {}
        for record in records:
            event = record.event
            if isinstance(event, TransferOutcome) and record.outputs and event.accepted:
                applied[number, (event.client, event.transfer.source, event.transfer.id)].append(record.entry.at)
            if record.entry.mark:
                continue
            if record.entry.value not in world.sent or isinstance(event, Refusal | Tick):
                raise Violation(f"5. the log has what nobody sent: {record.entry.value!r}")
            identity = identity_of(event)
            client, source, name = identity
            if client and identity not in by_identity:
                _check_order(latest, client, source, name)
            by_identity[identity].append(record)
            if record.answer is ACCEPTED and not isinstance(event, Transfer):  # those count once they are settled
                applied[number, identity].append(record.entry.at)
                if client == "":
                    configured[number][record.entry.value] += 1
    if any(counts != configured[0] for counts in configured):
        differing = [dict((configured[0] - counts) + (counts - configured[0])) for counts in configured[1:]]
        raise Violation(f"5. configuration was not accepted by every partition alike: {differing}")
    for (number, identity), times in applied.items():
        if any(later - earlier < DEDUPE_WINDOW for earlier, later in pairwise(times)):
            raise Violation(f"5. {identity} was applied {len(times)} times in partition {number}, at {times}")
    for raw, answer in world.answers:
        _check_answer(raw, answer, folded, by_identity)
    if final:
        unanswered = world.sent - {raw for raw, _ in world.answers}
        if unanswered:
            raise Violation(f"5. {len(unanswered)} events were never answered")


def _check_order(latest: dict[tuple[str, str], int], client: str, source: str, name: str) -> None:
    """A sender's events of one client come in the order of their numbers."""
    number = int(name.partition("-")[2])
    if number < latest.get((client, source), 0):
        raise Violation(f"5. {name} of {client} comes after number {latest[client, source]}")
    latest[client, source] = number


def _check_answer(raw: bytes, answer: Answer, folded: list[list[Folded]], known: dict[Identity, list[Folded]]) -> None:
    refusal = refused_at_door(raw)
    if refusal is not None:
        if answer.status != "refused" or answer.reason != refusal.reason.value:
            raise Violation(f"5. {raw!r} was answered {answer}, expected {refusal}")
        return
    event = decoded(raw)
    assert not isinstance(event, Refusal)
    records = [record for record in known.get(identity_of(event), []) if record.entry.value == raw]
    if answer.status == "accepted":
        assert answer.partition is not None
        assert answer.offset is not None
        there = folded[answer.partition][answer.offset : answer.offset + 1]
        if not there or there[0] not in records or there[0].answer is not ACCEPTED:
            raise Violation(f"5. {raw!r} was acknowledged as {answer}; there is {there}")
    elif answer.status == "duplicate":
        if not any(record.answer is ACCEPTED for record in records):
            raise Violation(f"5. {raw!r} was called a repeat, and was never accepted")
    elif not any(isinstance(r.answer, Refusal) and r.answer.reason.value == answer.reason for r in records):
        raise Violation(f"5. {raw!r} was answered {answer}; the fold says {[record.answer for record in records]}")
