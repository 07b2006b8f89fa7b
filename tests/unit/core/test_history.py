"""A client's history out of the log of its partition: every event, what it did, and nothing of other clients."""

from collections.abc import Sequence

from engine.core.fold import Record, fold, new_outcome
from engine.core.state import State
from engine.history import HistoryFold, history
from engine.log.chunks import Entry
from schemas.answers import History, HistoryEntry
from schemas.codec import decode_line
from schemas.engine_events import encode_engine_event
from schemas.times import parse_time
from tests.unit.core.histories import at, event, lines_of


def log_of(events: Sequence[dict[str, object]]) -> list[Entry]:
    """The events as the records of one partition, with the engine's own legs behind each transfer."""
    state, entries = State(), list[Entry]()

    def append(client: str, instant: int, raw: bytes, record: Record, *, mark: bool) -> None:
        out = new_outcome()
        fold(state, [record], out)
        entries.append(Entry(client, instant, raw, mark))
        for leg in out.legs:
            append(leg.client, state.clock, encode_engine_event(leg), Record(state.clock, leg, b""), mark=True)

    for fields, raw in zip(events, lines_of(events), strict=True):
        line = decode_line(raw)
        assert line.at is not None
        append(str(fields.get("client", "")), line.at, raw, Record(line.at, line.event, raw), mark=False)
    return entries


def told(events: Sequence[dict[str, object]], *, client: str = "c") -> list[HistoryEntry]:
    """The entries of a client, the first first."""
    return history(log_of(events), client).entries[::-1]


CLIENT = event("d0 09:00", "client", "c", currency="EUR", model="postpaid", capacity=3)
OTHER = event("d0 09:00", "client", "o", currency="EUR")


def test_money_and_what_it_leaves() -> None:
    entries = told(
        [CLIENT, OTHER, event("d0 10:00", "payment", "c", amount="10"), event("d0 10:01", "charge", "c", amount="2.5")]
    )
    assert [(entry.entry, entry.at, entry.type, entry.amount, entry.live, entry.version) for entry in entries] == [
        (1, at("d0 09:00"), "client", "0", "0", 1),
        (2, at("d0 10:00"), "payment", "10", "10", 2),
        (3, at("d0 10:01"), "charge", "-2.5", "7.5", 3),
    ]
    assert {entry.outcome for entry in entries} == {"accepted"}


def test_what_other_clients_do_is_not_in_it() -> None:
    assert [entry.type for entry in told([CLIENT, OTHER, event("d0 10:00", "payment", "o", amount="1")])] == ["client"]


def test_a_repeat_and_a_refusal() -> None:
    charge = event("d0 10:00", "charge", "c", amount="1")
    entries = told([CLIENT, charge, charge, {**charge, "amount": "2"}, event("d0 11:00", "charge", "c", amount="x")])
    assert [(entry.outcome, entry.reason) for entry in entries[1:4]] == [
        ("accepted", None), ("duplicate", None), ("refused", "conflict"),
    ]  # fmt: skip
    assert entries[3].message is not None
    assert (entries[4].type, entries[4].outcome, entries[4].reason) == ("unreadable", "refused", "bad_amount")
    assert [entry.live for entry in entries[1:]] == ["-1"] * 4


def test_events_before_the_client_exists() -> None:
    entries = told([event("d0 08:00", "charge", "c", amount="1"), CLIENT])
    assert (entries[0].outcome, entries[0].reason, entries[0].live) == ("refused", "unknown_client", None)
    assert (entries[1].outcome, entries[1].live) == ("accepted", "0")


def test_credit_and_its_end_by_the_clock() -> None:
    raised = event("d0 10:00", "temporary_credit", "c", amount="20", valid_until=at("d0 12:00"))
    entries = told([CLIENT, raised, event("d0 13:00", "payment", "o", amount="1")])
    assert [(entry.at, entry.type, entry.credit_before, entry.credit, entry.source) for entry in entries[1:]] == [
        (at("d0 10:00"), "temporary_credit", "0", "20", "s"),
        (at("d0 12:00"), "clock", "20", "0", None),
    ]
    assert entries[2].outcome == "clock"


def test_capacity_falls_with_a_profile_edit_told_once() -> None:
    template = event("d0 08:00", "template", template="t", capacity=5)
    lower = event("d0 11:00", "template", template="t", capacity=2)
    client = event("d0 09:00", "client", "c", currency="EUR", template="t")
    entries = told([template, client, lower, {**lower, "id": "again"}])
    assert [(entry.type, entry.capacity_before, entry.capacity) for entry in entries] == [
        ("client", None, 5), ("template", 5, 2),
    ]  # fmt: skip


def test_notifications_with_the_event_that_decided_them() -> None:
    rule = {"rule": "low", "audience": "client", "threshold": "5", "emails": ["a@a.example"]}
    profile = event("d0 08:00", "profile", profile="p", period_seconds=3600, max_qty=2, rules=[rule])
    client = event("d0 09:00", "client", "c", currency="EUR", profile="p")
    entries = told([profile, client, event("d0 10:00", "payment", "c", amount="4"), {**OTHER, "time": at("d0 20:00")}])
    assert [(entry.at, entry.type, [sent.notification for sent in entry.notifications]) for entry in entries] == [
        (at("d0 09:00"), "client", []),
        (at("d0 10:00"), "payment", ["c/low_balance/low/1/1/email"]),
        (at("d0 11:00"), "clock", ["c/low_balance/low/1/2/email"]),
    ]
    assert entries[2].version == entries[1].version


def test_units() -> None:
    plan = event("d0 08:00", "time_balance_plan", plan="p", unit="minute", units=60, usage_types=["call"])
    grant = event("d0 09:30", "time_balance", "c", action="grant", plan="p", grant="g")
    usage = {"type": "call", "quantity": 90, "unit": "second"}
    entries = told(
        [
            plan,
            CLIENT,
            grant,
            event("d0 10:00", "charge", "c", amount="1", usage=usage),
            event("d0 11:00", "time_balance", "c", action="cancel", grant="g"),
        ]
    )
    moved = [[(units.grant, units.moved, units.left) for units in entry.units] for entry in entries]
    assert moved == [[], [("g", 60, 60)], [("g", -2, 58)], [("g", -58, 0)]]
    assert entries[2].amount == "0"


def test_a_transfer_on_both_sides() -> None:
    sender = event("d0 09:00", "client", "c", currency="EUR", transfers="yes")
    log = [
        sender, OTHER, event("d0 10:00", "payment", "c", amount="10"),
        event("d0 11:00", "transfer", "c", to="o", amount="4"),
        event("d0 12:00", "transfer", "c", to="nobody", amount="1"),
    ]  # fmt: skip
    assert [(entry.type, entry.amount, entry.held, entry.outcome) for entry in told(log)[2:]] == [
        ("transfer", "0", "4", "accepted"),
        ("transfer_outcome", "-4", "0", "accepted"),
        ("transfer", "0", "1", "accepted"),
        ("transfer_outcome", "0", "0", "refused"),
    ]
    received = told(log, client="o")[1]
    assert (received.type, received.amount, received.id) == ("transfer_leg", "4", "transfer@d0_11:00")


def test_configuration_refused_for_the_sake_of_others() -> None:
    """Alone the client would not have held the template; the log's rejections say that it stayed."""
    template = event("d0 08:00", "template", template="t", capacity=5)
    user = event("d0 09:00", "client", "o", currency="EUR", template="t")
    delete = event("d0 10:00", "template_deleted", template="t")
    late = event("d0 11:00", "client", "c", currency="EUR", template="t")
    log = log_of([template, user, delete, late])
    assert history(log, "c").entries[0].reason == "unknown_reference"
    place = (parse_time(at("d0 10:00")), "s", "template_deleted@d0_10:00")
    entry = history(log, "c", refused={place: 1}).entries[0]
    assert (entry.outcome, entry.capacity) == ("accepted", 5)


def test_pages() -> None:
    log = log_of([CLIENT, *(event(f"d0 10:{n:02d}", "charge", "c", amount="1") for n in range(5))])

    def page(limit: int, before: int | None) -> tuple[list[int], int | None]:
        found: History = history(log, "c", limit=limit, before=before)
        return [entry.entry for entry in found.entries], found.before

    assert page(4, None) == ([6, 5, 4, 3], 3)
    assert page(4, 3) == ([2, 1], None)
    assert page(4, 1) == ([], None)


def test_the_clock_goes_on_with_the_records_of_others() -> None:
    folded = HistoryFold("c", limit=10)
    raised = event("d0 10:00", "temporary_credit", "c", amount="20", valid_until=at("d0 12:00"))
    for record in log_of([CLIENT, raised]):
        folded.take(record)
    folded.move_clock(parse_time(at("d0 12:00")) - 1)
    assert folded.history().entries[0].type == "temporary_credit"
    folded.move_clock(parse_time(at("d0 12:00")))
    assert folded.history().entries[0].type == "clock"
