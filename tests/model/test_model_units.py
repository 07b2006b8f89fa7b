"""The model against the worked example and the sharp edges of section 5, free units."""

from __future__ import annotations

from typing import Any

import pytest

from .script import Fields, Script

PLAN: Fields = {
    "plan": "p",
    "unit": "minute",
    "units": 60,
    "usage_types": ["off-net"],
    "validity_seconds": 30 * 86_400,
    "window": {"seconds": 7200},
    "thresholds": [{"percent": percent} for percent in (0, 80, 100)],
    "on_exhausted": "reject",
}


def plan(script: Script, time: str = "01T00:00", **fields: Any) -> Script:
    """A plan event; a field given as None is left out of PLAN."""
    return script.add("time_balance_plan", time, **{**PLAN, **fields})


def granted(settings: Fields | None = None, **fields: Any) -> Script:
    """A client with a grant `g` from 02T00:00."""
    script = plan(Script(), **fields).client("c", **{"billing_email": "c@x", **(settings or {})})
    return script.on("time_balance", "02T00:00", action="grant", plan=fields.get("plan", "p"), grant="g")


def use(script: Script, arrival: str, start: str, quantity: int, unit: str = "second", **fields: Any) -> Script:
    usage: Fields = {"type": "off-net", "quantity": quantity, "unit": unit}
    if start != arrival:
        usage["started_at"] = f"2026-03-{start}:00Z"
    return script.on("charge", arrival, **{"amount": "1", "usage": usage, **fields})


def left(script: Script, until: str | None = None) -> dict[str, int]:
    return {one["grant"]: one["left"] for one in script.last(until)["time_balances"]}


def expired(script: Script, until: str | None = None) -> list[tuple[object, ...]]:
    return [(one["grant"], one["units"], one["reason"]) for one in script.only("units_expired", until)]


def test_worked_example() -> None:
    script = granted()
    use(script, "02T09:30", "02T09:00", 1800)
    assert (left(script), script.sent()) == ({"g": 30}, ["02T09:30 time_balance p:0 1"])
    use(script, "02T10:18", "02T10:00", 1080)
    assert (left(script), script.sent()[1:]) == ({"g": 12}, ["02T10:18 time_balance p:80 1"])
    assert left(script, "02T11:00") == {"g": 12}
    use(script, "02T11:15", "02T10:50", 1500)
    assert (left(script), script.sent()[2:]) == ({"g": 2}, [])
    assert script.only("usage_rejected") == [
        {
            "output": "usage_rejected",
            "client": "c",
            "plan": "p",
            "uncovered": 900,
            "unit": "second",
            "cause": {"source": "s", "id": "e5"},
        }
    ]
    outputs = script.run("02T12:00")[-2:]
    assert [one["output"] for one in outputs] == ["change", "units_expired"]
    assert (outputs[0]["cause"], outputs[0]["time_balances"], outputs[0]["live"]) == (None, [], "0")
    assert expired(script, "02T12:00") == [("g", 2, "expired")]


def test_the_view_of_a_grant_and_its_notification() -> None:
    script = granted()
    assert script.last()["time_balances"] == [
        {
            "plan": "p",
            "grant": "g",
            "granted": 60,
            "used": 0,
            "left": 60,
            "closes_at": "2026-04-01T00:00:00Z",
            "expires_at": "2026-04-01T01:00:00Z",
        }
    ]
    use(script, "02T09:00", "02T09:00", 60)
    assert script.last()["time_balances"][0]["closes_at"] == "2026-03-02T11:00:00Z"
    sent = script.only("notification")[0]
    assert (sent["rule"], sent["threshold"], sent["threshold_currency"], sent["max"], sent["next_at"]) == (
        "p:0", "0", None, None, None,
    )  # fmt: skip


@pytest.mark.parametrize(("quantity", "expected"), [(2879, 12), (2880, 12), (2820, 13), (2821, 12)])
def test_a_threshold_is_reached_at_equality(quantity: int, expected: int) -> None:
    script = use(granted(), "02T10:00", "02T10:00", quantity)
    assert left(script) == {"g": expected}
    assert ("p:80" in str(script.sent())) == (expected == 12)


def test_a_jump_emits_each_level_ascending() -> None:
    script = use(granted({"phone": "+1"}, thresholds=[
        {"percent": 100, "channels": ["sms", "email"]}, {"percent": "0"}, {"percent": "99.9", "channels": ["sms"]},
    ]), "02T10:00", "02T10:00", 3600)  # fmt: skip
    assert [(one["rule"], one["channel"], one["episode"]) for one in script.only("notification")] == [
        ("p:0", "email", 1),
        ("p:99.9", "sms", 2),
        ("p:100", "email", 3),
        ("p:100", "sms", 3),
    ]


def test_a_level_without_address_stays_unfired() -> None:
    script = use(granted({"billing_email": None}), "02T10:00", "02T10:00", 60)
    script.client("c", time="02T10:01", billing_email="c@x")
    assert script.sent() == []
    assert use(script, "02T10:02", "02T10:02", 60).sent() == ["02T10:02 time_balance p:0 1"]


@pytest.mark.parametrize(
    ("action", "fields", "again"),
    [
        ("top_up", {"grant": "g", "units": 15}, []),
        ("top_up", {"grant": "g", "units": 16}, ["p:80"]),
        ("grant", {"grant": "h", "plan": "p", "units": 16}, ["p:80"]),
        ("renew", {"grant": "h", "plan": "p", "units": 61}, ["p:0", "p:80"]),
        ("renew", {"grant": "g", "plan": "p", "units": 61}, ["p:0", "p:80"]),
    ],
)
def test_rearming(action: str, fields: Fields, again: list[str]) -> None:
    """60 of 60 used, then more units, then usage up to above 80 % again."""
    script = use(granted(), "02T10:00", "02T10:00", 3600).on("time_balance", "02T10:01", action=action, **fields)
    use(script, "02T10:02", "02T10:02", 60 * (50 if action == "renew" else 1))
    assert [line.split()[2] for line in script.sent()[3:]] == again


def test_a_grant_when_none_lived_rearms_all() -> None:
    script = use(granted(window=None), "02T10:00", "02T10:00", 60)
    script.on("time_balance", "02T11:00", action="cancel", grant="g")
    script.on("time_balance", "02T12:00", action="grant", plan="p", grant="g")
    assert use(script, "02T12:00", "02T12:00", 60).sent()[1:] == ["02T12:00 time_balance p:0 1"]
    assert expired(script) == [("g", 59, "cancelled")]


def test_each_piece_rounds_up_and_only_the_uncovered_part_costs() -> None:
    script = granted(on_exhausted="charge", units=2, window=None)
    use(script, "02T10:00", "02T10:00", 10, amount="5")
    assert (left(script), script.last()["live"]) == ({"g": 1}, "0")
    use(script, "02T11:00", "02T11:00", 90, amount="1")
    assert (left(script), script.last()["live"]) == ({"g": 0}, "-0.333333")
    assert use(script, "02T12:00", "02T12:00", 0, amount="1").last()["live"] == "-1.333333"


@pytest.mark.parametrize(("amount", "live"), [("0.000001", "0"), ("0.000003", "-0.000002"), ("0.000005", "-0.000002")])
def test_the_uncovered_money_is_half_even(amount: str, live: str) -> None:
    script = granted(on_exhausted="charge", units=1, window=None)
    assert use(script, "02T10:00", "02T10:00", 120, amount=amount).last()["live"] == live


@pytest.mark.parametrize(
    ("unit", "usage_unit", "quantity", "used"),
    [
        ("event", "event", 3, 3),
        ("second", "second", 3, 3),
        ("hour", "second", 3601, 2),
        ("day", "second", 1, 1),
        ("kilobyte", "byte", 1025, 2),
        ("megabyte", "byte", 1_048_576, 1),
        ("gigabyte", "byte", 1_073_741_825, 2),
        ("byte", "event", 3, 0),
        ("event", "second", 3, 0),
    ],
)
def test_units(unit: str, usage_unit: str, quantity: int, used: int) -> None:
    script = use(granted(unit=unit, window=None, on_exhausted="charge"), "02T10:00", "02T10:00", quantity, usage_unit)
    assert left(script) == {"g": 60 - used}
    assert script.last()["live"] == ("0" if used else "-1")


def test_volume_belongs_to_its_start() -> None:
    script = granted(unit="byte", window={"seconds": 60}, units=100)
    use(script, "02T10:00", "02T10:00", 10, "byte")
    use(script, "02T10:05", "02T10:01", 10, "byte")
    use(script, "02T10:05", "02T10:00", 10, "byte")
    assert (left(script), [one["uncovered"] for one in script.only("usage_rejected")]) == ({"g": 80}, [10])


@pytest.mark.parametrize(
    ("zone", "window", "start", "end"),
    [
        ("UTC", {"until": "day"}, "28T10:00", "2026-03-29T00:00:00Z"),
        ("Europe/Berlin", {"until": "day"}, "28T10:00", "2026-03-28T23:00:00Z"),
        ("Europe/Berlin", {"until": "day"}, "28T23:00", "2026-03-29T22:00:00Z"),
        ("Europe/Berlin", {"until": "day"}, "29T10:00", "2026-03-29T22:00:00Z"),
        ("Europe/Berlin", {"until": "week"}, "28T10:00", "2026-03-29T22:00:00Z"),
        ("Europe/Berlin", {"until": "week"}, "29T22:00", "2026-04-05T22:00:00Z"),
        ("Europe/Berlin", {"until": "cycle"}, "09T10:00", "2026-03-09T23:00:00Z"),
        ("Europe/Berlin", {"until": "cycle"}, "10T10:00", "2026-04-09T22:00:00Z"),
        ("America/New_York", {"until": "day"}, "08T02:00", "2026-03-08T05:00:00Z"),
        ("America/New_York", {"until": "day"}, "08T05:00", "2026-03-09T04:00:00Z"),
        ("Asia/Beirut", {"until": "day"}, "28T10:00", "2026-03-28T22:00:00Z"),
    ],
)
def test_aligned_windows(zone: str, window: Fields, start: str, end: str) -> None:
    script = granted({"time_zone": zone, "cycle_day": 10}, window=window, validity_seconds=None)
    assert script.last()["time_balances"][0]["closes_at"] is None
    assert use(script, start, start, 60).last()["time_balances"][0]["closes_at"] == end


def test_late_usage_that_opens_a_window_long_over() -> None:
    script = use(granted(), "02T20:00", "02T10:00", 3 * 3600)
    assert left(script) == {}
    assert [one["uncovered"] for one in script.only("usage_rejected")] == [7200]
    assert expired(script) == []
    assert expired(use(granted(), "02T20:00", "02T10:00", 600)) == [("g", 50, "expired")]


def test_a_grant_never_pays_for_a_usage_before_it_nor_is_such_a_usage_in_the_plan() -> None:
    script = use(granted(), "02T10:00", "01T23:59", 120)
    assert (left(script), script.last()["live"], script.only("usage_rejected")) == ({"g": 60}, "-1", [])


def test_order_of_buckets() -> None:
    script = granted(window=None, validity_seconds=None, on_exhausted="charge")
    plan(script, "02T01:00", plan="q", window=None, validity_seconds=3600)
    script.on("time_balance", "02T09:00", action="grant", plan="q", grant="y", units=1)
    script.on("time_balance", "02T09:30", action="grant", plan="q", grant="x", units=1)
    script.on("time_balance", "02T09:30", action="grant", plan="q", grant="w", units=1)
    for expected in ({"y": 0}, {"y": 0, "w": 0}, {"y": 0, "w": 0, "x": 0}, {"y": 0, "w": 0, "x": 0, "g": 59}):
        use(script, "02T09:45", "02T09:45", 60)
        assert left(script) == {"g": 60, "w": 1, "x": 1, "y": 1, **expected}


@pytest.mark.parametrize(
    ("order", "expected"), [("fresh_first", {"h": 59, "g~1": 10}), ("rolled_first", {"h": 60, "g~1": 9})]
)
def test_fresh_or_rolled_first(order: str, expected: dict[str, int]) -> None:
    script = granted(order=order, rollover={"min": 5, "max": 10, "cycles": 1})
    script.on("time_balance", "03T00:00", action="renew", plan="p", grant="h")
    assert left(use(script, "03T01:00", "03T01:00", 60)) == expected


@pytest.mark.parametrize(
    ("used", "rolled", "lost"),
    [(0, {"g~1": 20}, [("g", 40, "renewal")]), (50, {"g~1": 10}, []), (58, {"g~1": 5}, []), (60, {"g~1": 5}, [])],
)
def test_rollover_between_min_and_max(used: int, rolled: Fields, lost: list[object]) -> None:
    script = granted(rollover={"min": 5, "max": 20, "cycles": 1}, window=None)
    use(script, "02T10:00", "02T10:00", used * 60)
    script.on("time_balance", "03T00:00", action="renew", plan="p", grant="g", units=7)
    assert left(script) == {"g": 7, **rolled}
    assert expired(script) == lost
    assert script.last()["time_balances"][1]["closes_at"] == "2026-04-02T00:00:00Z"


def test_rollover_ends_with_its_cycles_and_with_an_opened_window_that_is_over() -> None:
    script = granted(rollover={"min": 0, "max": 20, "cycles": 2})
    for day in ("03", "04", "05"):
        script.on("time_balance", f"{day}T00:00", action="renew", plan="p", grant=f"g{day}", units=3)
    assert left(script) == {"g05": 3, "g04~1": 3, "g03~2": 3}
    assert expired(script) == [("g", 40, "renewal"), ("g~2", 20, "renewal")]
    use(script, "05T10:00", "05T10:00", 60).on("time_balance", "05T12:00", action="renew", plan="p", grant="z")
    assert left(script) == {"z": 60, "g04~2": 3}
    assert expired(script)[2:] == [("g03~2", 3, "renewal"), ("g05", 2, "renewal")]


def test_a_refund_gives_units_back_once() -> None:
    script = granted(window=None, on_exhausted="charge")
    use(script, "02T10:00", "02T10:00", 600, id="x")
    for time in ("02T11:00", "02T12:00"):
        script.on("adjustment", time, kind="refund", amount="0", of={"source": "s", "id": "x"})
    assert (left(script), expired(script), script.reasons()) == ({"g": 60}, [], [])
    assert len(script.only("change")) == 5


def test_a_refund_to_units_gone_is_recorded_as_lost() -> None:
    script = use(granted(), "02T10:00", "02T10:00", 600, id="x")
    script.on("adjustment", "03T11:00", kind="refund", amount="0", of={"source": "s", "id": "x"})
    assert expired(script) == [("g", 50, "expired"), ("g", 10, "refund_lost")]


@pytest.mark.parametrize(("time", "back"), [("09T09:59:59.999999", 60), ("09T10:00", 50)])
def test_charges_are_remembered_for_the_dedupe_window(time: str, back: int) -> None:
    script = use(granted(window=None), "02T10:00", "02T10:00", 600, id="x")
    script.on("adjustment", time, kind="refund", amount="1", of={"source": "s", "id": "x"})
    assert (left(script), script.last()["live"]) == ({"g": back}, "1")


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"action": "grant", "plan": "p", "grant": "g"}, "duplicate_grant"),
        ({"action": "grant", "plan": "zz", "grant": "h"}, "unknown_reference"),
        ({"action": "grant", "grant": "h"}, "missing_field"),
        ({"action": "top_up", "grant": "h"}, "unknown_grant"),
        ({"action": "cancel", "grant": "h"}, "unknown_grant"),
        ({"action": "top_up", "grant": "g"}, "unknown_grant"),
        ({"action": "renew", "plan": "p", "grant": "h"}, None),
        ({"action": "stop", "grant": "g"}, "bad_field"),
    ],
)
def test_refused_grants(fields: Fields, reason: str | None) -> None:
    script = use(granted(), "02T10:00", "02T10:00", 60).on("time_balance", "02T12:30", **fields)
    assert script.reasons() == ([] if reason is None else [reason])


def test_a_plan_stays_with_a_client_until_its_last_grant_is_cancelled() -> None:
    script = granted()
    use(script, "02T10:00", "02T10:00", 3600)
    use(script, "03T10:00", "03T10:00", 60)
    assert (left(script), len(script.only("usage_rejected")), script.last()["live"]) == ({}, 1, "0")
    script.on("time_balance", "04T00:00", action="grant", plan="p", grant="h")
    script.on("time_balance", "04T01:00", action="cancel", grant="h")
    assert use(script, "04T02:00", "04T02:00", 60).last()["live"] == "-1"


def test_the_first_rejecting_plan_is_named() -> None:
    script = granted(plan="q", units=0)
    plan(script, "02T00:00", plan="a", on_exhausted="charge")
    plan(script, "02T00:00", plan="z")
    for name in ("a", "z"):
        script.on("time_balance", "02T01:00", action="grant", plan=name, grant=f"g{name}", units=0)
    script = use(script, "02T02:00", "02T02:00", 60)
    assert [(one["plan"], one["uncovered"]) for one in script.only("usage_rejected")] == [("q", 60)]


def test_edits_of_grace_and_unit() -> None:
    script = use(granted(), "02T10:00", "02T10:00", 600)
    plan(script, "02T12:30", late_grace_seconds=1800)
    assert expired(script) == [("g", 50, "expired")]
    assert script.run()[-2]["cause"] == {"source": "s", "id": "e4"}
    assert plan(script, "02T12:31", unit="second").reasons() == []
    script.on("time_balance", "02T12:32", action="grant", plan="p", grant="h")
    assert plan(script, "02T12:33").reasons() == ["fixed"]


def test_units_expire_by_the_clock_at_end_and_grace() -> None:
    script = granted(window=None, validity_seconds=3600, late_grace_seconds=60)
    assert expired(script, "02T01:00:59") == []
    assert expired(script, "02T01:01") == [("g", 60, "expired")]


def test_time_that_crosses_an_end_goes_on_in_the_next_bucket() -> None:
    script = granted(window=None, validity_seconds=3600, on_exhausted="charge")
    script.on("time_balance", "02T00:30", action="grant", plan="p", grant="h")
    use(script, "02T01:30", "02T00:45", 2700, amount="9")
    assert (left(script), script.last()["live"]) == ({"g": 45, "h": 30}, "0")
