"""What the marks on records of `events` ask for: revisions, questions, records that were moved."""

import json
from typing import Any

import pytest
from aiokafka.structs import ConsumerRecord

from engine.core.fold import Record, new_outcome
from engine.core.outcome import Outcome
from engine.core.state import State
from engine.kafka.folding import Moved, Revised, fold_records, is_by_engine, read_record, read_records, refuse_moved
from engine.partition.revisions import Decided, MemoryRevisions
from schemas.engine_events import encode_engine_event
from schemas.events import Client, Tick, TransferLeg
from schemas.outputs import encode_output
from schemas.reasons import Reason, Refusal

MARK = ("plimsoll-engine", b"1")


def event(number: int, **body: Any) -> bytes:
    return json.dumps({"id": f"e{number}", "source": "t", "time": "2026-01-01T00:00:00Z", **body}).encode()


USER = event(1, type="user", user="u")
DELETED = event(2, type="user_deleted", user="u")


def record(raw: bytes, *headers: tuple[str, bytes], at_ms: int = 1_000) -> "ConsumerRecord[bytes, bytes]":
    return ConsumerRecord("events", 0, 0, at_ms, 0, None, raw, None, -1, len(raw), headers)


def revised(raw: bytes, revision: int, *headers: tuple[str, bytes]) -> Record:
    return read_record(record(raw, MARK, ("plimsoll-revision", str(revision).encode()), *headers))


class Log:
    """Folds records as they come."""

    def __init__(self) -> None:
        self.state = State()
        self.revisions = MemoryRevisions()

    def fold(self, *records: Record) -> Outcome:
        outcome = new_outcome()
        fold_records(self.state, self.revisions, records, outcome)
        assert len(outcome.answers) == len(records)
        return outcome

    def have(self) -> Decided:
        return self.revisions.get("user", "u")


def refusals(outcome: Outcome) -> list[tuple[str, str]]:
    found = [json.loads(encode_output(output)) for output in outcome.outputs]
    return [(each["reason"], each["message"]) for each in found if each["output"] == "rejection"]


def test_records_read_together_are_those_read_one_by_one() -> None:
    charge = event(3, type="charge", client="c", amount="0.5")
    moved = ("plimsoll-moved", b"123456789")
    records = [
        record(charge),
        record(charge, ("traceparent", b"00-1")),
        record(charge, MARK, moved, at_ms=2_000),
        record(charge, at_ms=2_000),
        record(charge, at_ms=1_000),
        record(event(4, type="charge", client="c", amount="-1")),
        record(event(5, type="charge", client="c", amount="1", more=1)),
        record(USER, MARK, ("plimsoll-revision", b"1")),
        record(b"no json"),
        ConsumerRecord("events", 0, 0, 1_000, 0, None, None, None, -1, 0, ()),
    ]
    read = read_records(records)
    assert read == [read_record(each) for each in records]
    assert [type(each) for each in read] == [*[Record] * 2, Moved, *[Record] * 4, Revised, *[Record] * 2]
    assert [each.at for each in read[:5]] == [1_000_000, 1_000_000, 123456789, 2_000_000, 1_000_000]


def test_a_revision_is_applied_and_remembered() -> None:
    log = Log()
    log.fold(revised(USER, 7))
    assert log.state.config.knows("user", "u")
    assert log.have() == Decided(7, "accepted")


@pytest.mark.parametrize("revision", [6, 7])
def test_a_revision_that_is_not_above_is_refused(revision: int) -> None:
    log = Log()
    outcome = log.fold(revised(USER, 7), revised(DELETED, revision))
    sentence = f"revision: expected one above 7, which this partition has, found {revision}"
    assert refusals(outcome) == [("bad_field", sentence)]
    assert (log.state.config.knows("user", "u"), log.have().revision) == (True, 7)


def test_other_keys_have_revisions_of_their_own() -> None:
    log = Log()
    assert not refusals(log.fold(revised(USER, 7), revised(event(3, type="user", user="v"), 6)))


def test_what_was_refused_is_remembered_with_its_reason() -> None:
    log = Log()
    log.fold(revised(DELETED, 3))
    assert log.have() == Decided(3, "refused", "unknown_reference", "user: expected one that is defined, found 'u'")


def test_a_repeat_is_remembered_as_one() -> None:
    log = Log()
    log.fold(revised(USER, 1), revised(USER, 2))
    assert log.have() == Decided(2, "duplicate")


def test_a_question_changes_nothing_but_the_clock() -> None:
    log = Log()
    outcome = log.fold(revised(USER, 1), revised(DELETED, 2, ("plimsoll-ask", b"1")))
    assert log.have() == Decided(2, "accepted")
    assert (log.state.config.knows("user", "u"), log.state.clock, outcome.outputs) == (True, 1_000_000, [])
    manager = event(4, type="client", client="c", currency="USD", manager="u")
    log.fold(read_record(record(manager)), revised(DELETED, 3, ("plimsoll-ask", b"1")))
    assert log.have() == Decided(3, "refused", "in_use", "user 'u' is in use by client c; change them first")
    log.fold(revised(USER, 4, ("plimsoll-ask", b"1")))
    assert log.have() == Decided(4, "duplicate")


@pytest.mark.parametrize("headers", [(), (MARK,), (("plimsoll-revision", b"9"),), (MARK, ("plimsoll-revision", b"-1"))])
def test_configuration_that_came_in_any_other_way_is_refused(headers: tuple[tuple[str, bytes], ...]) -> None:
    log = Log()
    assert refusals(log.fold(read_record(record(USER, *headers)))) == [
        (
            "unknown_type",
            "type: 'user' comes to this log through the writer of configuration only; send it by `plimsoll publish`",
        )
    ]
    assert not log.state.config.knows("user", "u")


def test_a_moved_record_has_its_own_log_time_to_the_microsecond() -> None:
    client = event(1, type="client", client="c", currency="USD")
    read = read_record(record(client, MARK, ("plimsoll-moved", b"123456789")))
    assert (type(read), read.at, type(read.event)) == (Moved, 123_456_789, Client)
    config = read_record(record(USER, MARK, ("plimsoll-moved", b"5"), ("plimsoll-revision", b"1")))
    assert (type(config), config.at) == (Revised, 5)


def test_a_moved_refusal_is_the_same_refusal() -> None:
    refusal = Refusal(Reason.IN_USE, "in use by client c")
    moved = ("plimsoll-moved", b"77")
    read = read_record(record(DELETED, MARK, moved, ("plimsoll-refused", refuse_moved(refusal))))
    assert (read.at, read.event) == (77, refusal)
    bad = read_record(record(b"no json", MARK, ("plimsoll-moved", b""), ("plimsoll-refused", refuse_moved(refusal))))
    assert bad.at is None


def test_the_legs_of_moved_transfers_are_not_written_again() -> None:
    moved = ("plimsoll-moved", b"2000000")
    lines = [
        event(1, type="client", client="a", currency="USD", transfers="yes"),
        event(2, type="payment", client="a", amount="5"),
        event(3, type="transfer", client="a", to="b", amount="1"),
    ]
    ordinary, log = Log(), Log()
    legs = ordinary.fold(*(read_record(record(line)) for line in lines)).legs
    assert [type(leg) for leg in legs] == [TransferLeg]
    assert not log.fold(*(read_record(record(line, MARK, moved)) for line in lines)).legs
    assert log.state.balances["a"].held == 1_000_000
    again = event(4, type="transfer", client="a", to="b", amount="1")
    mixed = log.fold(read_record(record(lines[0], MARK, moved)), read_record(record(again)))
    assert [leg.id for leg in mixed.legs] == ["e4"]


def test_what_the_engine_wrote_of_its_own_accord() -> None:
    assert is_by_engine(record(encode_engine_event(Tick(time=1)), MARK).headers)
    assert not is_by_engine([MARK, ("plimsoll-revision", b"1")])
    assert not is_by_engine([MARK, ("plimsoll-moved", b"1")])
    assert not is_by_engine([("ce_id", b"1")])
