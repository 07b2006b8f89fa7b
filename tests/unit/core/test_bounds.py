"""What would not fit 63 bits is refused, and nothing has changed then (semantics 1, "Money")."""

import msgspec
import pytest

from tests.unit.core.world import World, client_world, reason_of

MOST = "9223372036854.775807"
NEARLY = "9223372036854.775806"


def _rich(**settings: object) -> World:
    world = client_world(**settings)  # type: ignore[arg-type]  # the settings of a client
    world.take("payment", "09:01", client="c", amount=NEARLY)
    return world


def _unchanged(world: World, live: int, version: int) -> None:
    balance = world.balance()
    assert (balance.live, balance.version) == (live, version)


def test_payment_up_to_the_largest_amount_is_taken_and_not_beyond() -> None:
    world = _rich()
    assert world.take("payment", "09:02", client="c", amount="0.000001")[0]["live"] == MOST
    assert reason_of(world.take("payment", "09:03", client="c", amount="0.000001")) == "bad_amount"
    _unchanged(world, 2**63 - 1, 3)


def test_unallocated_money_must_fit_too() -> None:
    world = _rich()
    world.take("adjustment", "09:02", client="c", amount=NEARLY, kind="manual_charge")
    assert reason_of(world.take("payment", "09:03", client="c", amount="0.000002")) == "bad_amount"
    _unchanged(world, 0, 3)


def test_charge_down_to_the_lowest_amount_is_taken_and_not_beyond() -> None:
    world = client_world()
    assert world.take("charge", "09:02", client="c", amount=MOST)[0]["live"] == f"-{MOST}"
    assert reason_of(world.take("charge", "09:03", client="c", amount="0.000001")) == "bad_amount"
    assert reason_of(world.take("adjustment", "09:03", client="c", amount="1", kind="manual_charge")) == "bad_amount"
    assert reason_of(world.take("adjustment", "09:03", client="c", amount="1", kind="reversal")) == "bad_amount"
    _unchanged(world, -(2**63) + 1, 2)


def test_refund_must_fit() -> None:
    world = _rich()
    refused = world.take("adjustment", "09:02", client="c", amount="0.000002", kind="refund")
    assert reason_of(refused) == "bad_amount"
    _unchanged(world, 2**63 - 2, 2)


def test_available_must_fit_whatever_the_limit() -> None:
    world = client_world()
    world.take("credit_limit", "09:01", client="c", limit="1")
    assert reason_of(world.take("payment", "09:02", client="c", amount=MOST)) == "bad_amount"
    assert world.take("payment", "09:02", client="c", amount="9223372036853.775807")[0]["available"] == MOST
    assert reason_of(world.take("credit_limit", "09:03", client="c", limit="1.000001")) == "bad_amount"
    assert world.take("credit_limit", "09:04", client="c", limit=None)[0]["available"] is None
    assert world.take("payment", "09:05", client="c", amount="1")[0]["live"] == MOST


def test_temporary_increase_must_fit() -> None:
    world = _rich(model="postpaid")
    refused = world.take("temporary_credit", "09:02", client="c", amount="0.000002")
    assert reason_of(refused) == "bad_amount"
    assert world.take("temporary_credit", "09:03", client="c", amount="0.000001")[0]["available"] == MOST


@pytest.mark.parametrize(
    ("kind", "fields"),
    [
        ("charge", {}),
        ("payment", {}),
        ("invoice", {"invoice": "1"}),
        ("adjustment", {"kind": "refund"}),
        ("transfer", {"to": "d"}),
        ("temporary_credit", {}),
    ],
)
def test_converted_amount_must_fit(kind: str, fields: dict[str, str]) -> None:
    world = client_world(model="postpaid", transfers="yes")
    world.take("exchange_rate", "09:01", base="EUR", quote="USD", rate="999999999999999999")
    refused = world.take(kind, "09:02", client="c", amount=MOST, currency="EUR", **fields)
    assert reason_of(refused) == "bad_amount"
    assert reason_of(world.take("credit_limit", "09:03", client="c", limit=MOST, currency="EUR")) == "bad_amount"
    _unchanged(world, 0, 1)


@pytest.mark.parametrize(
    ("kind", "fields"),
    [
        ("payment", {}),
        ("invoice", {"invoice": "1"}),
        ("adjustment", {"kind": "refund"}),
        ("transfer", {"to": "d"}),
        ("temporary_credit", {}),
    ],
)
def test_amount_of_which_the_conversion_leaves_nothing_is_refused(kind: str, fields: dict[str, str]) -> None:
    world = client_world(model="postpaid", transfers="yes")
    world.take("exchange_rate", "09:01", base="EUR", quote="USD", rate="0.5")
    refused = world.take(kind, "09:02", client="c", amount="0.000001", currency="EUR", **fields)
    assert reason_of(refused) == "bad_amount"
    _unchanged(world, 0, 1)


def test_charge_of_which_the_conversion_leaves_nothing_is_a_fact() -> None:
    world = client_world()
    world.take("exchange_rate", "09:01", base="EUR", quote="USD", rate="0.5")
    (change,) = world.take("charge", "09:02", client="c", amount="0.000001", currency="EUR")
    assert (change["live"], change["version"]) == ("0", 2)
    assert world.balance().charged_at is None


def test_percentage_of_which_nothing_is_left_is_refused() -> None:
    world = client_world(model="postpaid")
    world.take("credit_limit", "09:01", client="c", limit="0.000001")
    assert reason_of(world.take("temporary_credit", "09:02", client="c", percent=50)) == "bad_amount"
    assert world.take("temporary_credit", "09:02", client="c", percent=51)[0]["credit"]["temporary"] == "0.000001"


def test_sender_s_money_must_fit_with_all_that_is_held() -> None:
    world = client_world(transfers="yes")
    world.take("credit_limit", "09:01", client="c", limit=None)
    world.take("charge", "09:02", client="c", amount=NEARLY)
    world.take("transfer", "09:03", client="c", to="d", amount="0.000001")
    assert world.balance().held == 1
    assert reason_of(world.take("transfer", "09:04", client="c", to="d", amount="0.000001")) == "bad_amount"


def test_units_must_fit() -> None:
    world = client_world()
    world.take("time_balance_plan", "09:01", plan="p", unit="event", units=2**63 - 2)
    world.take("time_balance", "09:02", client="c", action="grant", grant="g", plan="p")
    assert (
        reason_of(world.take("time_balance", "09:03", client="c", action="top_up", grant="g", units=2)) == "bad_field"
    )
    (change,) = world.take("time_balance", "09:04", client="c", action="top_up", grant="g", units=1)
    assert change["time_balances"][0]["granted"] == 2**63 - 1


def test_grants_of_a_client_are_bounded() -> None:
    world = client_world()
    world.take("time_balance_plan", "09:01", plan="p", unit="event", units=1)
    world.take("time_balance", "09:02", client="c", action="grant", grant="g0", plan="p")
    buckets = world.grants().buckets
    buckets.extend(
        msgspec.structs.replace(buckets[0], grant=f"g{number}", serial=number + 1) for number in range(1, 1000)
    )
    (refused,) = world.take("time_balance", "09:03", client="c", action="grant", grant="g1000", plan="p")
    assert refused["message"] == "grant: the client has 1000 live ones, the most there can be"
    world.take("time_balance", "09:04", client="c", action="cancel", grant="g5")
    assert world.take("time_balance", "09:05", client="c", action="grant", grant="g1000", plan="p")[0]["version"] == 4
