"""Payments, invoices and what undoes them; caps of temporary credit (semantics 2)."""

from typing import Any

import pytest

from engine.core.credit import cap_amount
from schemas.events import CreditCap
from tests.unit.core.world import Json, World, client_world, reason_of


def _paid(world: World) -> dict[str, int]:
    ledger = world.state.ledgers.find("c")
    assert ledger is not None
    return {number: invoice.paid // 1_000_000 for number, invoice in ledger.invoices.items()}


def _with_invoices() -> World:
    world = client_world()
    world.take("invoice", "09:01", client="c", invoice="late", amount="30", due_at="2026-03-01T00:00:00Z")
    world.take("invoice", "09:02", client="c", invoice="early", amount="20", due_at="2026-02-01T00:00:00Z")
    world.take("invoice", "09:03", client="c", invoice="undated", amount="10")
    return world


@pytest.mark.parametrize(
    ("payment", "paid", "unallocated"),
    [
        ("5", {"late": 0, "early": 5, "undated": 0}, "0"),
        ("20", {"late": 0, "early": 20, "undated": 0}, "0"),
        ("25", {"late": 5, "early": 20, "undated": 0}, "0"),
        ("55", {"late": 30, "early": 20, "undated": 5}, "0"),
        ("70", {"late": 30, "early": 20, "undated": 10}, "10"),
    ],
)
def test_payment_pays_the_oldest_due_first_and_the_undated_last(
    payment: str, paid: dict[str, int], unallocated: str
) -> None:
    world = _with_invoices()
    (change,) = world.take("payment", "09:04", client="c", amount=payment)
    assert _paid(world) == paid
    assert change["unallocated"] == unallocated


@pytest.mark.parametrize(
    ("reversal", "paid", "unallocated"),
    [
        ("4", {"late": 30, "early": 20, "undated": 10}, "6"),
        ("10", {"late": 30, "early": 20, "undated": 10}, "0"),
        ("12", {"late": 30, "early": 20, "undated": 8}, "0"),
        ("20", {"late": 30, "early": 20, "undated": 0}, "0"),
        ("25", {"late": 25, "early": 20, "undated": 0}, "0"),
        ("70", {"late": 0, "early": 0, "undated": 0}, "0"),
        ("90", {"late": 0, "early": 0, "undated": 0}, "0"),
    ],
)
def test_reversal_takes_from_what_is_unallocated_then_reopens_what_was_paid_last(
    reversal: str, paid: dict[str, int], unallocated: str
) -> None:
    world = _with_invoices()
    world.take("payment", "09:04", client="c", amount="70")
    (change,) = world.take("adjustment", "09:05", client="c", amount=reversal, kind="reversal")
    assert _paid(world) == paid
    assert change["unallocated"] == unallocated
    world.take("payment", "09:06", client="c", amount="60")
    assert _paid(world) == {"late": 30, "early": 20, "undated": 10}


def test_reversal_in_parts_reopens_in_parts() -> None:
    world = _with_invoices()
    world.take("payment", "09:04", client="c", amount="50")
    for amount, paid in (("10", 20), ("10", 10), ("10", 0)):
        world.take("adjustment", "09:05", client="c", amount=amount, kind="reversal")
        assert _paid(world) == {"late": paid, "early": 20, "undated": 0}


def test_reversal_of_a_client_without_invoices_takes_from_what_is_unallocated() -> None:
    world = client_world()
    world.take("payment", "09:01", client="c", amount="5")
    (change,) = world.take("adjustment", "09:02", client="c", amount="7", kind="reversal")
    assert (change["live"], change["unallocated"]) == ("-2", "0")


def test_later_invoice_is_paid_from_what_is_unallocated() -> None:
    world = client_world()
    world.take("payment", "09:01", client="c", amount="5")
    (change,) = world.take("invoice", "09:02", client="c", invoice="1", amount="3")
    assert (change["live"], change["unallocated"], _paid(world)) == ("5", "2", {"1": 3})


def test_refund_does_not_pay_invoices() -> None:
    world = _with_invoices()
    (change,) = world.take("adjustment", "09:04", client="c", amount="50", kind="refund")
    assert (change["live"], change["unallocated"]) == ("50", "0")
    assert sum(_paid(world).values()) == 0


@pytest.mark.parametrize(
    ("cap", "permanent", "most"),
    [
        (CreditCap(amount=5, days=3), 100, 5),
        (CreditCap(amount=0), 100, 0),
        (CreditCap(percent=50_000_000), 100, 50),
        (CreditCap(percent=50_000_000), 0, 0),
        (CreditCap(percent=50_000_000), -100, 0),
        (CreditCap(percent=50_000_000), None, 0),
        (CreditCap(days=3), 100, None),
    ],
)
def test_cap_is_an_amount_or_a_percentage_of_the_positive_limit(
    cap: CreditCap, permanent: int | None, most: int | None
) -> None:
    assert cap_amount(cap, permanent) == most


@pytest.mark.parametrize(
    ("cap", "asked", "accepted"),
    [
        (None, {"amount": "1000000"}, True),
        ({"amount": "50"}, {"amount": "50"}, True),
        ({"amount": "50"}, {"amount": "50.000001"}, False),
        ({"percent": 50}, {"percent": 50}, True),
        ({"percent": 50}, {"percent": "50.000001"}, False),
        ({"days": 2}, {"amount": "1", "valid_until": "2026-01-03T10:00:00Z"}, True),
        ({"days": 2}, {"amount": "1", "valid_until": "2026-01-03T10:00:00.000001Z"}, False),
        ({"days": 2}, {"amount": "1"}, False),
        ({"amount": "0"}, {"amount": "0.000001"}, False),
    ],
)
def test_temporary_increase_up_to_the_cap_is_allowed(cap: Json | None, asked: Any, accepted: bool) -> None:
    world = World()
    world.take("reseller", "08:00", reseller="r", max_temporary_credit=cap)
    world.take("client", "08:00", client="c", currency="USD", model="postpaid", reseller="r")
    world.take("credit_limit", "08:00", client="c", limit="100")
    outputs = world.take("temporary_credit", "10:00", client="c", **asked)
    if accepted:
        assert outputs[0]["output"] == "change"
    else:
        assert reason_of(outputs) == "above_cap"


def test_limit_in_a_currency_without_a_rate_is_refused() -> None:
    world = client_world()
    assert reason_of(world.take("credit_limit", "09:01", client="c", limit="5", currency="EUR")) == "no_rate"
    assert world.take("credit_limit", "09:01", client="c", limit=None, currency="EUR")[0]["credit"]["permanent"] is None


def test_own_currency_named_or_left_out_is_the_same_content() -> None:
    world = client_world()
    payment: Json = {"type": "payment", "source": "t", "id": "x", "client": "c", "amount": "1"}
    payment["time"] = at = "2026-01-01T09:01:00Z"
    assert world.take_raw({**payment, "currency": "USD"}, at)[0]["live"] == "1"
    assert world.take_raw(payment, at) == []
    assert reason_of(world.take_raw({**payment, "currency": "EUR"}, at)) == "conflict"
