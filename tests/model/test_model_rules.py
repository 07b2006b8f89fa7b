"""The model against the worked example and the sharp edges of section 4."""

from __future__ import annotations

from typing import Any

from .script import Fields, Script

CLIENT_RULE: Fields = {"rule": "low", "audience": "client", "threshold": "5", "notify": True}


def profile(script: Script, time: str = "01T00:00", **fields: Any) -> Script:
    return script.add("profile", time, **{"profile": "p", "rules": [CLIENT_RULE], **fields})


def started(live: str = "10", settings: Fields | None = None, **fields: Any) -> Script:
    """A client with a profile and live money from 01T09:00."""
    script = profile(Script(), **fields).client(**{"profile": "p", "billing_email": "c@x", **(settings or {})})
    return script.on("payment", "01T09:00", amount=live)


def test_worked_example() -> None:
    script = started(max_qty=3, period_seconds=86_400)
    script.on("charge", "02T10:00", amount="5").on("charge", "02T10:01", amount="0.01")
    script.on("charge", "02T12:00", amount="1.99").on("payment", "03T15:00", amount="1")
    script.on("payment", "05T11:00", amount="1").on("charge", "05T11:05", amount="0.5")
    table = [
        (str(one["at"])[8:16], one["kind"], one["sequence"], one["available"], one["episode"], one["next_at"])
        for one in script.only("notification", "05T12:00")
    ]
    assert table == [
        ("02T10:01", "low_balance", 1, "4.99", 1, "2026-03-03T10:01:00Z"),
        ("03T10:01", "low_balance", 2, "3", 1, "2026-03-04T10:01:00Z"),
        ("04T10:01", "low_balance", 3, "4", 1, None),
        ("05T11:00", "recovered", 0, "5", 1, None),
        ("05T11:05", "low_balance", 1, "4.5", 3, "2026-03-06T11:05:00Z"),
    ]


def test_a_notification_has_the_fields_of_the_contract_in_order() -> None:
    script = started(max_qty=2).on("charge", "02T10:00", amount="5.000001")
    assert script.only("notification") == [
        {
            "output": "notification",
            "notification": "c/low_balance/low/1/1/email",
            "client": "c",
            "kind": "low_balance",
            "rule": "low",
            "episode": 1,
            "sequence": 1,
            "max": 2,
            "channel": "email",
            "to": ["c@x"],
            "at": "2026-03-02T10:00:00Z",
            "threshold": "5",
            "available": "4.999999",
            "live": "4.999999",
            "credit": "0",
            "currency": "EUR",
            "capacity": None,
            "next_at": None,
            "cause": {"source": "s", "id": "e3"},
            "threshold_currency": "EUR",
        }
    ]
    assert list(script.only("notification")[0])[-3:] == ["next_at", "cause", "threshold_currency"]


def test_asleep_until_the_first_money_event() -> None:
    script = profile(Script()).client(profile="p", billing_email="c@x")
    assert script.sent("09T00:00") == []
    assert script.on("credit_limit", "01T02:00", limit="0").sent() == ["01T02:00 low_balance low 1"]


def test_no_period_is_once_until_a_refill() -> None:
    script = started(max_qty=None).on("charge", "02T10:00", amount="6").on("charge", "03T10:00", amount="1")
    script.on("adjustment", "04T10:00", kind="refund", amount="5").on("charge", "05T10:00", amount="5")
    script.on("payment", "06T10:00", amount="0.5").on("credit_limit", "07T10:00", limit="2")
    script.on("charge", "08T10:00", amount="2")
    assert script.sent("30T00:00") == [
        "02T10:00 low_balance low 1",
        "07T10:00 recovered low 0",
        "08T10:00 low_balance low 1",
    ]


def test_a_refund_keeps_count_and_last_sent() -> None:
    script = started(period_seconds=86_400, max_qty=2).on("charge", "02T10:00", amount="6")
    script.on("adjustment", "02T11:00", kind="refund", amount="5").on("charge", "02T12:00", amount="5")
    assert script.sent("09T00:00") == ["02T10:00 low_balance low 1", "03T10:00 low_balance low 2"]
    assert [one["episode"] for one in script.only("notification", "09T00:00")] == [1, 2]


def test_any_payment_zeroes_the_count_and_keeps_last_sent() -> None:
    script = started(period_seconds=86_400, max_qty=1, rearm="any_payment").on("charge", "02T10:00", amount="9")
    script.on("payment", "02T11:00", amount="1")
    assert script.sent("09T00:00") == ["02T10:00 low_balance low 1", "03T10:00 low_balance low 1"]
    script.on("payment", "05T11:00", amount="1")
    assert script.sent("09T00:00")[2:] == ["05T11:00 low_balance low 1"]
    assert [one["episode"] for one in script.only("notification", "09T00:00")] == [1, 2, 3]


def test_max_qty_counts_for_each_rule_on_its_own() -> None:
    rules = [CLIENT_RULE, {**CLIENT_RULE, "rule": "lower", "threshold": "3"}]
    script = started(max_qty=2, period_seconds=3600, rules=rules).on("charge", "02T10:00", amount="6")
    script.on("charge", "02T10:30", amount="2")
    assert script.sent("05T00:00") == [
        "02T10:00 low_balance low 1",
        "02T10:30 low_balance lower 1",
        "02T11:00 low_balance low 2",
        "02T11:30 low_balance lower 2",
    ]


def test_max_qty_zero_is_never() -> None:
    assert started(max_qty=0, period_seconds=60).on("charge", "02T10:00", amount="6").sent("05T00:00") == []


def test_rules_by_threshold_highest_first_equal_in_profile_order() -> None:
    rules = [{**CLIENT_RULE, "rule": rule, "threshold": threshold} for rule, threshold in
             (("b", "5"), ("a", "5"), ("c", "7"))]  # fmt: skip
    script = started(rules=rules).on("charge", "02T10:00", amount="6").on("payment", "02T11:00", amount="9")
    assert [line.split()[2] for line in script.sent()] == ["c", "b", "a", "c", "b", "a"]


def test_inactivity_fires_by_the_clock_alone() -> None:
    rules = [{**CLIENT_RULE, "inactivity_days": 2}]
    script = started(rules=rules).on("charge", "02T10:00", amount="6").on("charge", "03T10:00", amount="1")
    script.on("charge", "04T10:00", amount="0").on("adjustment", "04T11:00", kind="manual_charge", amount="1")
    assert script.sent("05T09:59") == []
    assert script.sent("05T10:00") == ["05T10:00 low_balance low 1"]


def test_inactivity_of_a_client_never_charged_counts_from_its_first_event() -> None:
    script = started(live="1", rules=[{**CLIENT_RULE, "inactivity_days": 2}])
    assert script.sent("09T00:00") == ["03T00:00 low_balance low 1"]


def test_a_charge_ends_an_inactive_episode_but_is_no_refill() -> None:
    script = started(rules=[{**CLIENT_RULE, "inactivity_days": 1}], period_seconds=3 * 86_400)
    script.on("charge", "02T10:00", amount="6").on("charge", "04T10:00", amount="1")
    assert script.sent("09T00:00") == ["03T10:00 low_balance low 1", "06T10:00 low_balance low 2", "09T00:00"][:2]
    assert [one["episode"] for one in script.only("notification", "08T00:00")] == [1, 2]


def test_recipients() -> None:
    rules = [
        {"rule": "u", "audience": "user", "threshold": "5", "notify": True, "users": ["ann", "bob"],
         "emails": ["m@x", "z@x"], "channels": ["sms", "email"]},
        {"rule": "off", "audience": "client", "threshold": "4.5", "emails": ["z@x"], "channels": ["sms", "email"]},
        {"rule": "none", "audience": "client", "threshold": "4"},
    ]  # fmt: skip
    script = Script().add("reseller", "01T00:00", reseller="r", email="r@x")
    for user, email, phone in (("ann", "a@x", "+1"), ("bob", None, "+2"), ("max", "m@x", "+3")):
        script.add("user", "01T00:00", user=user, email=email, phone=phone)
    profile(script, rules=rules).client(profile="p", reseller="r", manager="max", billing_email="c@x", phone="+9")
    script.on("charge", "02T10:00", amount="1")
    assert [(one["rule"], one["channel"], one["to"]) for one in script.only("notification")] == [
        ("u", "email", ["r@x", "m@x", "a@x", "z@x"]),
        ("u", "sms", ["+3", "+1", "+2"]),
        ("off", "email", ["z@x"]),
    ]


def test_a_rule_without_recipient_uses_up_nothing_and_waits_for_an_evaluation() -> None:
    script = started(settings={"billing_email": None}, max_qty=1).on("charge", "02T10:00", amount="6")
    assert script.sent("09T00:00") == []
    script.client(time="03T10:00", profile="p", billing_email="c@x")
    assert script.sent("09T00:00") == ["03T10:00 low_balance low 1"]


def test_threshold_in_the_profiles_currency() -> None:
    script = started(currency="USD", rules=[{**CLIENT_RULE, "threshold": "10"}]).on("charge", "02T10:00", amount="5")
    script.add("exchange_rate", "02T11:00", base="EUR", quote="USD", rate="1.999999")
    script.on("invoice", "02T12:00", invoice="i", amount="1")
    sent = script.only("notification")
    assert [(one["at"], one["threshold"], one["threshold_currency"], one["available"]) for one in sent] == [
        ("2026-03-02T12:00:00Z", "10", "USD", "5")
    ]


def test_a_changed_threshold_starts_afresh() -> None:
    script = started(max_qty=1).on("charge", "02T10:00", amount="6")
    profile(script, "02T11:00", max_qty=1, name="renamed")
    profile(script, "02T12:00", max_qty=1, rules=[{**CLIENT_RULE, "threshold": "4.5"}])
    assert script.sent() == ["02T10:00 low_balance low 1", "02T12:00 low_balance low 1"]


def test_a_rule_a_client_comes_back_to_starts_afresh() -> None:
    script = started(max_qty=1).on("charge", "02T10:00", amount="6")
    script.client(time="02T11:00", billing_email="c@x").client(time="02T12:00", profile="p", billing_email="c@x")
    assert script.sent() == ["02T10:00 low_balance low 1", "02T12:00 low_balance low 1"]


def test_reminders_of_a_long_silence_come_at_their_own_instants() -> None:
    script = started(max_qty=3, period_seconds=86_400).on("charge", "02T10:00", amount="6")
    script.on("charge", "20T10:00", amount="1")
    outputs = [(one["output"], one["at"]) for one in script.run()][-3:]
    assert outputs == [
        ("notification", "2026-03-03T10:00:00Z"),
        ("notification", "2026-03-04T10:00:00Z"),
        ("change", "2026-03-20T10:00:00Z"),
    ]


def test_a_transfer_in_is_a_refill() -> None:
    script = started().on("charge", "02T10:00", amount="6")
    script.client("d", time="02T11:00", transfers="yes").on("payment", "02T12:00", client="d", amount="9")
    assert script.on("transfer", "02T13:00", client="d", to="c", amount="1").sent() == [
        "02T10:00 low_balance low 1",
        "02T13:00 recovered low 0",
    ]
