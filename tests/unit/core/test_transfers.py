"""The three records of a transfer, each as its partition decides it (semantics 2, "transfer")."""

import json

import pytest

from engine.core.encoded_view import encoded_views
from engine.core.fold import Record, fold, new_outcome
from engine.core.outcome import ACCEPTED, DUPLICATE
from schemas.events import TransferLeg, TransferOutcome
from schemas.reasons import Refusal
from tests.unit.core.world import World, client_world, reason_of


def _world() -> World:
    world = client_world(transfers="yes")
    world.take("client", "09:00", client="d", currency="USD")
    world.take("payment", "09:01", client="c", amount="10")
    return world


def _leg(world: World) -> TransferLeg:
    (leg,) = world.out.legs
    assert isinstance(leg, TransferLeg)
    return leg


def _outcome(world: World) -> TransferOutcome:
    (outcome,) = world.out.legs
    assert isinstance(outcome, TransferOutcome)
    return outcome


def test_request_holds_the_amount_and_moves_neither_view_nor_version() -> None:
    world = _world()
    assert world.take("transfer", "09:02", client="c", to="d", amount="4") == []
    balance = world.balance()
    assert (balance.live, balance.held, balance.version) == (10_000_000, 4_000_000, 2)
    leg = _leg(world)
    assert (leg.client, leg.from_, leg.to, leg.amount, leg.currency) == ("d", "c", "d", 4_000_000, "USD")
    assert leg.requested_at == world.state.clock


def test_leg_credits_and_outcome_debits_with_the_request_as_their_cause() -> None:
    world = _world()
    world.take("transfer", "09:02", client="c", to="d", amount="4")
    (received,) = world.take_leg(_leg(world))
    outcome = _outcome(world)
    (sent,) = world.take_leg(outcome)
    assert (received["client"], received["live"]) == ("d", "4")
    assert (sent["client"], sent["live"]) == ("c", "6")
    assert received["cause"] == sent["cause"] == {"source": "t", "id": outcome.id}
    assert world.balance().held == 0
    assert world.account().holds == {}


def test_leg_or_outcome_that_comes_again_changes_nothing() -> None:
    world = _world()
    world.take("transfer", "09:02", client="c", to="d", amount="4")
    leg = _leg(world)
    world.take_leg(leg)
    outcome = _outcome(world)
    assert world.take_leg(leg) == []
    assert world.out.legs == []
    world.take_leg(outcome)
    assert world.take_leg(outcome) == []
    assert world.answer == ACCEPTED
    assert world.balance().live + world.balance("d").live == 10_000_000


def test_what_is_held_counts_as_gone_for_the_next_transfer() -> None:
    world = _world()
    world.take("transfer", "09:02", client="c", to="d", amount="4")
    assert reason_of(world.take("transfer", "09:03", client="c", to="d", amount="6.000001")) == "insufficient"
    assert world.take("transfer", "09:04", client="c", to="d", amount="6") == []
    assert world.balance().held == 10_000_000


def test_request_on_its_way_that_comes_again_is_a_duplicate_and_with_other_content_a_conflict() -> None:
    world = _world()
    event = {"type": "transfer", "source": "t", "id": "x", "client": "c", "to": "d", "amount": "4"}
    event["time"] = at = "2026-01-01T09:02:00Z"
    world.take_raw(event, at)
    leg = _leg(world)
    assert world.take_raw(event, at) == []
    assert world.answer == DUPLICATE
    assert reason_of(world.take_raw({**event, "amount": "5"}, at)) == "conflict"
    charge = {**event, "type": "charge", "amount": "1"}
    assert reason_of(world.take_raw({name: charge[name] for name in charge if name != "to"}, at)) == "conflict"
    assert world.balance().held == 4_000_000
    world.take_leg(leg)
    world.take_leg(_outcome(world))
    assert world.take_raw(event, at) == []
    assert world.answer == DUPLICATE


def test_charge_while_something_is_held_takes_its_money_as_ever() -> None:
    world = _world()
    world.take("charge", "09:02", client="c", amount="1")
    world.take("transfer", "09:02", client="c", to="d", amount="4")
    assert world.take("charge", "09:03", client="c", amount="1")[0]["live"] == "8"
    assert world.take("charge", "09:04", client="c", amount="1")[0]["live"] == "7"


def test_refused_request_takes_no_identity() -> None:
    world = _world()
    event = {"type": "transfer", "source": "t", "id": "x", "client": "c", "to": "d", "amount": "11"}
    event["time"] = at = "2026-01-01T09:02:00Z"
    assert reason_of(world.take_raw(event, at)) == "insufficient"
    world.take("payment", "09:03", client="c", amount="1")
    assert world.take_raw(event, at) == []
    assert len(world.out.legs) == 1


@pytest.mark.parametrize(
    ("to", "reason"), [("nobody", "unknown_client"), ("e", "currency_mismatch"), ("full", "bad_amount")]
)
def test_receiver_that_refuses_releases_the_hold_with_one_rejection(to: str, reason: str) -> None:
    world = _world()
    world.take("client", "09:00", client="e", currency="EUR")
    world.take("client", "09:00", client="full", currency="USD")
    world.take("payment", "09:01", client="full", amount="9223372036854.775807")
    world.take("transfer", "09:02", client="c", to=to, amount="4")
    assert world.take_leg(_leg(world)) == []
    outcome = _outcome(world)
    assert (outcome.accepted, outcome.reason) == (False, reason)
    (rejection,) = world.take_leg(outcome)
    assert rejection["reason"] == reason
    assert rejection["event"]["id"] == outcome.id
    assert rejection["event"]["amount"] == "4"
    balance = world.balance()
    assert (balance.live, balance.held, balance.version) == (10_000_000, 0, 2)


def test_refused_transfer_may_be_sent_again() -> None:
    world = _world()
    event = {"type": "transfer", "source": "t", "id": "x", "client": "c", "to": "late", "amount": "4"}
    event["time"] = at = "2026-01-01T09:02:00Z"
    world.take_raw(event, at)
    world.take_leg(_leg(world))
    assert reason_of(world.take_leg(_outcome(world))) == "unknown_client"
    world.take("client", "09:03", client="late", currency="USD")
    world.take_raw(event, "2026-01-01T09:04:00Z")
    (received,) = world.take_leg(_leg(world))
    assert received["live"] == "4"


def test_rate_of_a_converted_transfer_is_told_with_the_sender_s_change() -> None:
    world = _world()
    world.take("exchange_rate", "09:01", base="EUR", quote="USD", rate="1.5")
    world.take("transfer", "09:02", client="c", to="d", amount="4", currency="EUR")
    leg = _leg(world)
    world.take("exchange_rate", "09:03", base="EUR", quote="USD", rate="2")
    (received,) = world.take_leg(leg)
    (sent,) = world.take_leg(_outcome(world))
    assert "rate" not in received
    assert (sent["rate"], sent["rate_base"], sent["rate_quote"], sent["live"]) == ("1.5", "EUR", "USD", "4")


def test_own_setting_wins_over_that_of_the_class() -> None:
    world = _world()
    world.take("customer_class", "09:01", customer_class="yes", transfers="yes")
    world.take("customer_class", "09:01", customer_class="none")

    def refused(**settings: object) -> bool:
        world.take("client", "09:02", client="s", currency="USD", **settings)
        (answer,) = [world.take("transfer", "09:03", client="s", to="c", amount="1")]
        return reason_of(answer) == "transfers_off"

    assert refused()
    assert refused(customer_class="none")
    assert refused(customer_class="yes", transfers="no")
    assert not refused(customer_class="yes")
    assert not refused(customer_class="none", transfers="yes")


def test_money_in_flight_is_neither_lost_nor_doubled_whatever_the_batches() -> None:
    world = _world()
    world.take("transfer", "09:02", client="c", to="d", amount="4")
    leg = _leg(world)
    out = new_outcome()
    records = [Record(world.state.clock, leg, b""), Record(world.state.clock, leg, b"")]
    fold(world.state, records, out)
    (outcome,) = out.legs
    fold(world.state, [Record(world.state.clock, outcome, b"")] * 2, out)
    assert not any(isinstance(answer, Refusal) for answer in out.answers)
    changes = map(json.loads, encoded_views(world.state, out.changed))
    assert {change["client"]: change["live"] for change in changes} == {"d": "4", "c": "6"}


def test_transfer_is_for_one_request_only_once_a_window_has_passed() -> None:
    """The same names after the dedupe window are another transfer: its leg has an identity of its own."""
    world = _world()
    event = {"type": "transfer", "source": "t", "id": "x", "client": "c", "to": "d", "amount": "1"}
    for day in (1, 2, 9):
        event["time"] = at = f"2026-01-{day:02d}T10:00:00Z"
        world.take_raw({**event, "time": "2026-01-01T10:00:00Z"}, at)
        if day == 2:
            assert world.answer == DUPLICATE
            continue
        world.take_leg(_leg(world))
        world.take_leg(_outcome(world))
    assert world.balance("d").live == 2_000_000
