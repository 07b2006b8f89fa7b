"""Free units: coverage piece by piece, renewal, levels and expiry where scenarios do not look (semantics 5)."""

from typing import Any

import pytest

from tests.unit.core.world import Json, World, client_world


def _world(**plan: Any) -> World:  # Any: JSON
    world = client_world(billing_email="ops@client.example")
    world.take(
        "time_balance_plan", "09:00", **{"plan": "p", "unit": "minute", "units": 10, "usage_types": ["v"]} | plan
    )
    world.take("payment", "09:00", client="c", amount="100")
    return world


def _grant(world: World, at: str = "09:01", **fields: Any) -> list[Json]:  # Any: JSON
    return world.take("time_balance", at, client="c", **{"action": "grant", "plan": "p", "grant": "g"} | fields)


def _use(world: World, at: str, quantity: int, unit: str = "second", **fields: Any) -> list[Json]:  # Any: JSON
    usage = {"type": "v", "quantity": quantity, "unit": unit, **fields}
    return world.take("charge", at, client="c", amount="6", usage=usage)


def _left(outputs: list[Json]) -> dict[str, int]:
    return {view["grant"]: view["left"] for view in outputs[0]["time_balances"]}


@pytest.mark.parametrize(
    ("rollover", "used", "rolled", "expired"),
    [
        (None, 4, None, 6),
        ({}, 4, 6, 0),
        ({"max": 5}, 4, 5, 1),
        ({"min": 8}, 4, 8, 0),
        ({"min": 2, "max": 3}, 10, 2, 0),
        ({"max": 0}, 4, None, 6),
        ({}, 10, None, 0),
        ({"cycles": 1}, 4, 6, 0),
        ({"cycles": 0}, 4, None, 6),
    ],
)
def test_renewal_rolls_between_min_and_max(rollover: Json | None, used: int, rolled: int | None, expired: int) -> None:
    world = _world(rollover=rollover)
    _grant(world)
    _use(world, "09:02", 60 * used)
    outputs = _grant(world, "09:03", action="renew", grant="h")
    assert _left(outputs) == {"h": 10} | ({} if rolled is None else {"g~1": rolled})
    gone = [(output["grant"], output["units"], output["reason"]) for output in outputs[1:]]
    assert gone == ([("g", expired, "renewal")] if expired else [])


def test_units_roll_over_for_so_many_cycles() -> None:
    world = _world(rollover={"cycles": 2})
    _grant(world)
    assert _left(_grant(world, "09:02", action="renew", grant="g")) == {"g": 10, "g~1": 10}
    outputs = _grant(world, "09:03", action="renew", grant="h")
    assert _left(outputs) == {"g~1": 10, "g~2": 10, "h": 10}
    outputs = _grant(world, "09:04", action="renew", grant="i")
    assert _left(outputs) == {"g~2": 10, "h~1": 10, "i": 10}
    assert [(output["grant"], output["units"]) for output in outputs[1:]] == [("g~2", 10)]


def test_renewal_under_a_name_that_what_rolls_takes_is_refused_and_changes_nothing() -> None:
    world = _world(rollover={})
    _grant(world)
    (rejection,) = _grant(world, "09:02", action="renew", grant="g~1")
    assert rejection["reason"] == "duplicate_grant"
    assert [bucket.grant for bucket in world.grants().buckets] == ["g"]


def test_each_piece_rounds_up_to_the_plan_s_unit() -> None:
    world = _world(units=2)
    _grant(world, grant="a")
    _grant(world, grant="b")
    assert _left(_use(world, "09:10", 10)) == {"a": 1, "b": 2}
    assert _left(_use(world, "09:20", 61)) == {"a": 0, "b": 1}


def test_usage_that_crosses_an_end_is_split_there() -> None:
    world = _world(window={"seconds": 60}, late_grace_seconds=3600)
    _grant(world, grant="a")
    (change,) = _use(world, "09:05", 90, started_at="2026-01-01T09:02:00Z")
    assert change["live"] == "98"
    assert _left([change]) == {"a": 9}
    (late,) = _use(world, "09:06", 60, started_at="2026-01-01T09:03:00Z")
    assert late["live"] == "92"


def test_volume_belongs_to_its_start_and_is_not_split() -> None:
    world = _world(unit="kilobyte", window={"seconds": 60})
    _grant(world)
    assert _left(_use(world, "09:02", 4096, unit="byte")) == {"g": 6}


def test_usage_of_another_type_or_another_kind_of_unit_is_not_for_the_plan() -> None:
    world = _world()
    _grant(world)
    assert _left(_use(world, "09:02", 60, unit="byte")) == {"g": 10}
    assert _left(_use(world, "09:02", 60, type="fax")) == {"g": 10}
    assert _left(_use(world, "09:02", 0)) == {"g": 10}
    assert world.balance().live == 82_000_000


def test_fresh_or_rolled_units_go_first_as_configured() -> None:
    for order, left in (("fresh_first", {"g~1": 10, "h": 9}), ("rolled_first", {"g~1": 9, "h": 10})):
        world = _world(rollover={}, order=order)
        _grant(world)
        _grant(world, "09:02", action="renew", grant="h")
        assert _left(_use(world, "09:03", 60)) == left


def test_grant_never_pays_for_usage_that_started_before_it() -> None:
    world = _world()
    _grant(world, "09:10")
    (change,) = _use(world, "09:11", 60, started_at="2026-01-01T09:09:59Z")
    assert _left([change]) == {"g": 10}
    assert change["live"] == "94"


def test_refund_after_the_bucket_went_is_recorded_as_lost_and_gives_back_once() -> None:
    world = _world()
    _grant(world)
    charge = {"type": "charge", "source": "t", "id": "x", "client": "c", "amount": "6", "time": "2026-01-01T09:02:00Z"}
    world.take_raw({**charge, "usage": {"type": "v", "quantity": 120, "unit": "second"}}, "2026-01-01T09:02:00Z")
    refund: Json = {"client": "c", "amount": "0", "kind": "refund", "of": {"source": "t", "id": "x"}}
    world.take("time_balance", "09:03", client="c", action="cancel", grant="g")
    outputs = world.take("adjustment", "09:04", **refund)
    assert outputs[1:] == [
        {"output": "units_expired", "client": "c", "plan": "p", "grant": "g", "units": 2, "reason": "refund_lost"}
    ]
    assert len(world.take("adjustment", "09:05", **refund)) == 1


@pytest.mark.parametrize("of", [{"source": "t", "id": "never"}, None])
def test_refund_of_what_is_not_remembered_moves_its_money_alone(of: Json | None) -> None:
    world = _world()
    _grant(world)
    _use(world, "09:02", 60)
    (change,) = world.take("adjustment", "09:03", client="c", amount="1", kind="refund", of=of)
    assert (change["live"], _left([change])) == ("101", {"g": 9})


def test_refund_a_window_after_the_charge_gives_no_units_back() -> None:
    world = _world()
    _grant(world)
    charge = {"type": "charge", "source": "t", "id": "x", "client": "c", "amount": "6", "time": "2026-01-01T09:02:00Z"}
    world.take_raw({**charge, "usage": {"type": "v", "quantity": 120, "unit": "second"}}, "2026-01-01T09:02:00Z")
    refund: Json = {"client": "c", "amount": "1", "kind": "refund", "of": {"source": "t", "id": "x"}}
    (change,) = world.take("adjustment", "2026-01-08T09:02:00Z", **refund)
    assert _left([change]) == {"g": 8}


def test_unit_of_a_plan_is_fixed_while_a_grant_lives_and_not_after() -> None:
    world = _world(validity_seconds=60, late_grace_seconds=0)
    change: Json = {"plan": "p", "unit": "second", "units": 5}
    _grant(world)
    (rejection,) = world.take("time_balance_plan", "09:01", **change)
    assert rejection["reason"] == "fixed"
    expired = world.take("tick", "09:02")
    assert [output["output"] for output in expired] == ["change", "units_expired"]
    assert world.balance().metered
    assert world.take("time_balance_plan", "09:03", **change) == []
    assert _left(_grant(world, "09:04", grant="h")) == {"h": 5}


def test_plan_of_which_the_grants_of_some_clients_are_gone_stays_fixed_for_the_others() -> None:
    world = _world(validity_seconds=60, late_grace_seconds=0)
    world.take("client", "09:01", client="d", currency="USD")
    _grant(world, "09:01")
    world.take("time_balance", "09:30", client="d", action="grant", plan="p", grant="g")
    (rejection,) = world.take("time_balance_plan", "09:30", plan="p", unit="second", units=5)
    assert rejection["message"] == "unit: fixed to minute while a grant lives (client d), found second"


def test_shorter_grace_expires_at_once_what_had_ended() -> None:
    world = _world(validity_seconds=60, late_grace_seconds=3600)
    _grant(world)
    world.take("tick", "09:05")
    outputs = world.take(
        "time_balance_plan", "09:06", plan="p", unit="minute", units=10, validity_seconds=60, late_grace_seconds=0
    )
    assert [output["output"] for output in outputs] == ["change", "units_expired"]
    assert outputs[0]["time_balances"] == []


def test_level_without_an_address_stays_unfired() -> None:
    world = _world(thresholds=[{"percent": 50, "channels": ["sms"]}, {"percent": 0}])
    _grant(world)
    outputs = _use(world, "09:02", 300)
    assert [output["rule"] for output in outputs[1:]] == ["p:0"]
    assert world.grants().plans["p"].fired == [0]
    world.take("client", "09:03", client="c", currency="USD", phone="1")
    outputs = _use(world, "09:04", 60)
    assert [(output["rule"], output["to"]) for output in outputs[1:]] == [("p:50", ["1"])]


def test_levels_of_two_plans_come_in_the_order_consumed() -> None:
    world = _world(thresholds=[{"percent": 0}])
    world.take(
        "time_balance_plan", "09:00", plan="a", unit="minute", units=10, usage_types=["v"], thresholds=[{"percent": 0}]
    )
    _grant(world, validity=None, units=1)
    world.take("time_balance", "09:01", client="c", action="grant", plan="a", grant="z")
    outputs = _use(world, "09:02", 120)
    assert [output["rule"] for output in outputs[1:]] == ["p:0", "a:0"]
