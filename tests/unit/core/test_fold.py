"""The seam: answers, coalesced changes, and the short way for an ordinary charge (architecture, "One core")."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.core.encoded_view import encoded_views
from engine.core.fold import Record, fold, new_outcome
from engine.core.outcome import ACCEPTED, CLOCK, DUPLICATE
from engine.core.records import TRIGGER_ALWAYS
from engine.core.state import State
from schemas.codec import decode
from schemas.outputs import encode_output
from schemas.reasons import Reason, Refusal
from schemas.times import parse_time
from tests.unit.core.world import Json, World, client_world, reason_of


def _record(tag: str, at: str, id: str, **fields: Any) -> Record:  # Any: JSON
    time = f"2026-01-01T{at}Z"
    raw = json.dumps({"type": tag, "source": "t", "id": id, "time": time, **fields}).encode()
    return Record(parse_time(time), decode(raw), raw)


CLIENT = _record("client", "09:00:00", "e1", client="c", currency="USD")
PAYMENT = _record("payment", "09:00:01", "e2", client="c", amount="10")


def test_each_record_has_one_answer() -> None:
    out = new_outcome()
    charge = _record("charge", "09:01:00", "e3", client="c", amount="1")
    unknown = _record("charge", "09:01:00", "e4", client="nobody", amount="1")
    tick = Record(parse_time("2026-01-01T09:02:00Z"), decode(b'{"type":"tick","time":"2026-01-01T09:02:00Z"}'), b"")
    unreadable = Record(None, Refusal(Reason.MALFORMED, "no JSON"), b"no JSON")
    fold(State(), [CLIENT, PAYMENT, charge, charge, unknown, tick, unreadable], out)
    assert out.answers[:4] == [ACCEPTED, ACCEPTED, ACCEPTED, DUPLICATE]
    assert isinstance(refused := out.answers[4], Refusal)
    assert refused.reason is Reason.UNKNOWN_CLIENT
    assert out.answers[5:] == [CLOCK, Refusal(Reason.MALFORMED, "no JSON")]


def test_repeats_are_known_whatever_was_folded_between_them() -> None:
    """A long charge and then a short one, and they again: content is encoded into memory that both use."""
    state, out = State(), new_outcome()
    first = _record("charge", "09:01:00", "e3", client="c", amount="1")  # from the second on a charge is ordinary
    long = _record("charge", "09:02:00", "e" + "4" * 90, client="c", amount="1")
    short = _record("charge", "09:02:00", "e5", client="c", amount="1")
    fold(state, [CLIENT, PAYMENT, first, long, short, long, short], out)
    assert out.answers == [ACCEPTED] * 5 + [DUPLICATE] * 2


def test_changes_of_a_batch_are_coalesced_into_the_last_of_each_client() -> None:
    state, out = State(), new_outcome()
    other = _record("client", "09:00:00", "e1", client="b", currency="USD")
    charges = [_record("charge", "09:01:00", f"c{number}", client="c", amount="1") for number in range(3)]
    fold(state, [CLIENT, PAYMENT, *charges, other], out)
    assert out.outputs == []
    changes = [json.loads(line) for line in encoded_views(state, out.changed)]
    assert [(change["client"], change["version"], change["live"]) for change in changes] == [
        ("c", 5, "7"),
        ("b", 1, "0"),
    ]
    assert changes[0]["cause"]["id"] == "c2"


def test_every_version_comes_out_where_it_is_wanted_and_says_the_same() -> None:
    lines = []
    for every_change in (True, False):
        state, out = State(), new_outcome(every_change=every_change)
        fold(state, [CLIENT, PAYMENT, _record("charge", "09:01:00", "e3", client="c", amount="1")], out)
        lines.append(encode_output(out.outputs[-1]) if every_change else encoded_views(state, out.changed)[-1])
    assert lines[0] == lines[1]


def test_clock_never_goes_back() -> None:
    world = client_world()
    assert world.take("payment", "08:00", client="c", amount="1")[0]["at"] == "2026-01-01T09:00:00Z"
    assert world.take("charge", "08:00", client="c", amount="1")[0]["at"] == "2026-01-01T09:00:00Z"
    assert world.state.clock == parse_time("2026-01-01T09:00:00Z")


def test_refused_record_moves_the_clock_unless_it_has_no_time() -> None:
    world = client_world()
    world.take("charge", "10:00", client="nobody", amount="1")
    assert world.state.clock == parse_time("2026-01-01T10:00:00Z")
    world.fold(Record(None, Refusal(Reason.MALFORMED, "no JSON"), b"no JSON"))
    assert world.state.clock == parse_time("2026-01-01T10:00:00Z")


def test_ordinary_charge_leaves_the_account_alone() -> None:
    """The short way: one comparison with the trigger level, and only the hot record is written."""
    world = client_world()
    world.take("payment", "09:01", client="c", amount="10")
    assert world.balance().trigger < 9_000_000
    for table in world.state.tables:
        table.dirty.clear()
    (change,) = world.take("charge", "09:02", client="c", amount="1")
    assert change["live"] == "9"
    assert list(world.state.balances.dirty) == ["c"]
    assert world.state.accounts.dirty == {}
    assert world.balance().charged_at == parse_time("2026-01-01T09:02:00Z")


def test_charge_of_nothing_is_no_charge_for_inactivity_on_the_short_way_either() -> None:
    world = client_world()
    world.take("payment", "09:01", client="c", amount="10")
    assert world.take("charge", "09:02", client="c", amount="0")[0]["version"] == 3
    assert world.balance().charged_at is None


@pytest.mark.parametrize("always", [False, True], ids=["short", "general"])
def test_repeat_and_conflict_are_found_on_both_ways(always: bool) -> None:
    world = client_world()
    world.take("payment", "09:01", client="c", amount="10")
    charge: Json = {"type": "charge", "source": "t", "id": "x", "client": "c", "amount": "1"}
    charge["time"] = at = "2026-01-01T09:02:00Z"
    told: list[object] = []
    for event in (charge, charge, {**charge, "currency": "USD"}, {**charge, "amount": "2"}):
        if always:
            world.balance().trigger = TRIGGER_ALWAYS
        outputs = world.take_raw(event, at)
        told.append(outputs[0].get("reason") if outputs else world.answer)
    assert told == [None, DUPLICATE, DUPLICATE, "conflict"]
    assert world.take_raw(charge, "2026-01-08T09:01:59.999999Z") == []
    assert world.take_raw(charge, "2026-01-08T09:02:00Z")[0]["live"] == "8"


def test_identity_is_within_its_client_and_configuration_stands_apart() -> None:
    world = client_world()
    for client in ("d", "e"):
        event = {"type": "client", "source": "s", "id": "1", "client": client, "currency": "USD"}
        at = "2026-01-01T10:00:00Z"
        assert world.take_raw({**event, "time": at}, at)[0]["client"] == client
    plan: Json = {"type": "user", "source": "s", "id": "1", "user": "u", "time": "2026-01-01T10:00:00Z"}
    world.take_raw(plan, plan["time"])
    assert world.answer == ACCEPTED
    world.take_raw(plan, plan["time"])
    assert world.answer == DUPLICATE
    assert reason_of(world.take_raw({**plan, "email": "u@o.example"}, plan["time"])) == "conflict"


rules = st.lists(
    st.fixed_dictionaries(
        {"threshold": st.sampled_from(["5", "7", "-3"]), "notify": st.booleans()},
        optional={"inactivity_days": st.sampled_from([0, 1])},
    ),
    max_size=2,
)
ground = st.fixed_dictionaries(
    {
        "model": st.sampled_from(["prepaid", "postpaid"]),
        "warning_thresholds": st.sampled_from([[], ["6", "2"], ["50%"]]),
        "low_balance": st.sampled_from([None, {"threshold": "5", "capacity": 1}]),
        "limit": st.sampled_from(["0", "4", "-2", None]),
        "currency": st.sampled_from([None, "USD", "EUR"]),
        "rules": rules,
        "rated": st.booleans(),
    }
)
charges = st.lists(
    st.tuples(
        st.integers(0, 40),
        st.sampled_from(["0", "0.5", "1", "3"]),
        st.sampled_from([None, "USD", "EUR"]),
        st.sampled_from(["a", "b", None]),
        st.booleans(),
    ),
    max_size=12,
)


@given(ground, charges)
def test_short_way_decides_what_the_general_way_decides(
    settings: Json, taken: list[tuple[int, str, str | None, str | None, bool]]
) -> None:
    """The trigger level is only a short cut: with it always at its highest the same bytes come out."""
    told: list[list[Json]] = []
    for always in (False, True):
        world = World()
        profile = [
            {**rule, "rule": f"r{number}", "audience": "client"} for number, rule in enumerate(settings["rules"])
        ]
        outputs = world.take("profile", "08:00", profile="p", currency=settings["currency"], max_qty=2, rules=profile)
        if settings["rated"]:
            outputs += world.take("exchange_rate", "08:00", base="EUR", quote="USD", rate="1.5")
        own = {name: settings[name] for name in ("model", "warning_thresholds", "low_balance")}
        outputs += world.take("client", "08:00", client="c", currency="USD", profile="p", billing_email="a@b", **own)
        outputs += world.take("credit_limit", "08:00", client="c", limit=settings["limit"])
        outputs += world.take("payment", "08:00", client="c", amount="10")
        for number, (hours, amount, currency, id, with_usage) in enumerate(taken):
            if always:
                world.balance().trigger = TRIGGER_ALWAYS
            at = f"2026-01-{1 + hours // 24:02d}T{hours % 24:02d}:00:00Z"
            usage = {"type": "voice", "quantity": 5, "unit": "second"} if with_usage else None
            charge: Json = {"type": "charge", "source": "t", "id": id or f"c{number}", "client": "c", "time": at}
            outputs += world.take_raw({**charge, "amount": amount, "currency": currency, "usage": usage}, at)
        told.append(outputs)
    assert told[0] == told[1]


@pytest.mark.parametrize("name", ['a"b', "a\\b", "é\u20ac", "\U0001f4a1"])
def test_names_that_json_writes_otherwise_are_written_the_same_whether_coalesced_or_not(name: str) -> None:
    lines = []
    for every_change in (True, False):
        state, out = State(), new_outcome(every_change=every_change)
        made = _record("client", "09:00:00", name, client=name, currency="EUR", permanent_credit="9")
        fold(state, [made, _record("charge", "09:01:00", f"{name}1", client=name, amount="1")], out)
        lines.append(encode_output(out.outputs[-1]) if every_change else encoded_views(state, out.changed)[-1])
    assert lines[0] == lines[1]
