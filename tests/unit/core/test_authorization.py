"""Usage authorisation: what is allowed, how much, and why not (semantics 1, 2, 3 and 5)."""

from typing import Any

import msgspec
import pytest

from engine.core.authorization import authorize
from engine.core.fold import Record, fold, new_outcome
from engine.core.state import State
from schemas.authorization import Authorization, AuthorizationRequest, UsageAsked
from schemas.codec import decode
from schemas.times import parse_time

NOW = parse_time("2026-01-01T09:00:00Z")
CLIENT = {"type": "client", "client": "c", "currency": "EUR"}
PLAN = {
    "type": "time_balance_plan",
    "plan": "p",
    "unit": "minute",
    "units": 10,
    "usage_types": ["call"],
    "on_exhausted": "reject",
}
GRANT = {"type": "time_balance", "client": "c", "action": "grant", "plan": "p", "grant": "g"}


def state_of(*events: dict[str, Any]) -> State:
    state, out = State(), new_outcome()
    for number, event in enumerate(events):
        whole = {"id": f"e{number}", "source": "t", "time": "2026-01-01T09:00:00Z", **event}
        decoded = decode(msgspec.json.encode(whole))
        fold(state, [Record(NOW, decoded, b"")], out)
    assert all(getattr(answer, "name", "") == "accepted" for answer in out.answers), out.answers
    return state


def pay(amount: str) -> dict[str, Any]:
    return {"type": "payment", "client": "c", "amount": amount}


def ask(state: State, *, seconds: int | None = None, **options: Any) -> Authorization:
    usage = None if seconds is None else UsageAsked("call", "second", seconds)
    return authorize(state, AuthorizationRequest("c", usage, **options), NOW)


def test_unknown_client_is_refused() -> None:
    answer = ask(State(), seconds=60)
    assert (answer.allowed, answer.reason, answer.quantity) == (False, "unknown_client", 0)
    assert ask(State()).quantity is None


@pytest.mark.parametrize(
    ("paid", "amount", "allowed", "reason", "quantity"),
    [
        ("5", "5", True, None, 60),
        ("5", "5.000001", True, "insufficient", 59),
        ("0.000001", None, True, None, 60),
        ("2.5", "5", True, "insufficient", 30),
        ("5", "0", True, None, 60),
    ],
)
def test_money_pays_for_what_it_reaches(
    paid: str, amount: str | None, allowed: bool, reason: str | None, quantity: int
) -> None:
    answer = ask(state_of(CLIENT, pay(paid)), seconds=60, amount=amount)
    assert (answer.allowed, answer.reason, answer.quantity) == (allowed, reason, quantity)


def test_nothing_available_is_exhausted() -> None:
    answer = ask(state_of(CLIENT), seconds=60)
    assert (answer.allowed, answer.reason, answer.quantity, answer.money) == (False, "exhausted", 0, "0")


def test_unlimited_credit_allows_everything() -> None:
    answer = ask(state_of(CLIENT, {"type": "credit_limit", "client": "c", "limit": None}), seconds=60, amount="1000")
    assert (answer.allowed, answer.quantity, answer.money, answer.available) == (True, 60, None, None)


def test_money_alone() -> None:
    state = state_of(CLIENT, pay("5"))
    assert ask(state, amount="5").allowed
    assert ask(state, amount="5.000001").reason == "insufficient"
    assert ask(state).allowed
    assert ask(state_of(CLIENT), amount="1").reason == "exhausted"


def test_amount_of_a_quantity_of_nothing_is_owed_whole() -> None:
    state = state_of(CLIENT, pay("5"))
    assert ask(state, seconds=0, amount="5").allowed
    answer = ask(state, seconds=0, amount="6")
    assert (answer.allowed, answer.reason) == (False, "insufficient")


def test_amount_is_converted() -> None:
    rate = {"type": "exchange_rate", "base": "EUR", "quote": "USD", "rate": "2"}
    state = state_of(CLIENT, pay("5"), rate)
    assert ask(state, amount="10", currency="USD").allowed
    assert ask(state, amount="10.000003", currency="USD").reason == "insufficient"
    assert ask(state, amount="10", currency="GBP").reason == "no_rate"
    assert ask(state, amount="5", currency="EUR").allowed


def test_capacity_refuses_the_next_channel() -> None:
    state = state_of({**CLIENT, "capacity": 3}, pay("5"))
    assert (ask(state, seconds=1, channels_in_use=2).allowed, ask(state, channels_in_use=2).channels) == (True, 1)
    answer = ask(state, seconds=1, channels_in_use=3)
    assert (answer.allowed, answer.reason, answer.channels, answer.capacity) == (False, "capacity", 0, 3)


def test_plan_that_rejects_leaves_only_its_units() -> None:
    state = state_of(CLIENT, pay("5"), PLAN, GRANT)
    assert (ask(state, seconds=600).quantity, ask(state, seconds=600).units) == (600, 600)
    answer = ask(state, seconds=601)
    assert (answer.allowed, answer.reason, answer.quantity, answer.plan) == (True, "plan_rejects", 600, "p")


def test_plan_that_charges_lets_money_pay_for_the_rest() -> None:
    state = state_of(CLIENT, pay("1"), {**PLAN, "on_exhausted": "charge"}, GRANT)
    answer = ask(state, seconds=1200, amount="4")
    assert (answer.quantity, answer.units, answer.reason) == (900, 600, "insufficient")


def test_units_pay_where_no_money_is_left() -> None:
    state = state_of(CLIENT, {**PLAN, "on_exhausted": "charge"}, GRANT)
    answer = ask(state, seconds=1200, amount="4")
    assert (answer.allowed, answer.quantity, answer.reason) == (True, 600, "exhausted")


def test_asking_changes_nothing() -> None:
    state = state_of(CLIENT, pay("5"), PLAN, GRANT)
    before = [msgspec.msgpack.encode(dict(table)) for table in state.tables]
    ask(state, seconds=601, amount="4")
    assert [msgspec.msgpack.encode(dict(table)) for table in state.tables] == before


def test_money_held_for_a_transfer_is_not_free() -> None:
    sender = {**CLIENT, "transfers": "yes"}
    state = state_of(sender, pay("5"), {"type": "transfer", "client": "c", "to": "d", "amount": "4"})
    assert ask(state, amount="1").allowed
    assert ask(state, amount="1.000001").reason == "insufficient"
