"""The model against the worked examples and the sharp edges of sections 1, 2, 3 and 6."""

from __future__ import annotations

import json
from typing import Any

import pytest

from .script import Fields, Script

MAIL = {"billing_email": "c@x"}


def pick(output: Fields, *names: str) -> tuple[object, ...]:
    return tuple(output[name] for name in names)


# Balance and credit


@pytest.mark.parametrize(
    ("live", "limit", "available"),
    [("157.90", "100", "257.9"), ("20", "-5", "15"), ("20", None, None), ("20", "0", "20")],
)
def test_available_is_live_plus_credit(live: str, limit: str | None, available: str | None) -> None:
    last = Script().client().on("payment", "01T01:00", amount=live).on("credit_limit", "01T02:00", limit=limit).last()
    assert last["available"] == available


def test_a_change_has_the_fields_of_the_contract_in_order() -> None:
    first, second = Script().client(**MAIL).on("payment", "01T01:00", amount="1.50").run()
    assert list(second) == [
        "output", "client", "version", "at", "cause", "currency", "model", "live", "credit", "available",
        "status", "capacity", "unallocated", "time_balances",
    ]  # fmt: skip
    assert pick(first, "version", "live", "available", "status") == (1, "0", "0", "exhausted")
    assert second == {
        "output": "change",
        "client": "c",
        "version": 2,
        "at": "2026-03-01T01:00:00Z",
        "cause": {"source": "s", "id": "e1"},
        "currency": "EUR",
        "model": "prepaid",
        "live": "1.5",
        "credit": {"permanent": "0", "temporary": "0", "valid_until": None},
        "available": "1.5",
        "status": "active",
        "capacity": None,
        "unallocated": "1.5",
        "time_balances": [],
    }


def test_exhausted_is_said_when_active_before() -> None:
    script = Script().client(**MAIL).on("charge", "01T01:00", amount="1")
    script.on("payment", "01T02:00", amount="2").on("charge", "01T03:00", amount="0.999999")
    script.on("charge", "01T04:00", amount="0.000001").on("charge", "01T05:00", amount="1")
    assert script.sent() == ["01T04:00 exhausted status 1"]


def test_exhausted_without_an_address_is_not_caught_up() -> None:
    script = Script().client().on("payment", "01T01:00", amount="1").on("charge", "01T02:00", amount="1")
    assert script.client(time="01T03:00", **MAIL).sent() == []


def test_temporary_credit_expires_with_the_clock() -> None:
    script = Script().client(model="postpaid", **MAIL).on("credit_limit", "01T01:00", limit="10")
    script.on("temporary_credit", "01T02:00", percent=50, valid_until="2026-03-02T00:00:00Z", actor="ann")
    script.on("charge", "01T03:00", amount="12")
    outputs = script.run("03T00:00")
    granted = next(one for one in outputs if one.get("percent"))
    assert pick(granted, "available", "percent") == ("15", "50")
    assert granted["credit"] == {"permanent": "10", "temporary": "5", "valid_until": "2026-03-02T00:00:00Z"}
    change, history, expired, exhausted = outputs[-4:]
    assert pick(change, "at", "cause", "available", "status") == ("2026-03-02T00:00:00Z", None, "-2", "exhausted")
    assert pick(history, "actor", "part", "from", "to", "reason", "cause") == (
        None, "temporary", "5", "0", "expired", None,
    )  # fmt: skip
    assert pick(expired, "kind", "rule", "episode", "threshold", "next_at") == (
        "temporary_credit_expired", "temporary_credit", 1, None, None,
    )  # fmt: skip
    assert pick(exhausted, "kind", "notification", "threshold", "threshold_currency") == (
        "exhausted", "c/exhausted/status/2/1/email", "0", "EUR",
    )  # fmt: skip


def test_a_timer_due_at_a_records_time_fires_before_it() -> None:
    script = Script().client(model="postpaid").on("credit_limit", "01T01:00", limit="10")
    script.on("temporary_credit", "01T02:00", amount="5", valid_until="2026-03-02T00:00:00Z")
    script.on("charge", "02T00:00", amount="1")
    changes = script.only("change")
    assert [pick(one, "available", "cause") for one in changes[-2:]] == [
        ("10", None),
        ("9", {"source": "s", "id": "e3"}),
    ]


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"amount": "20", "valid_until": "2026-03-11T02:00:00Z"}, None),
        ({"amount": "20.000001", "valid_until": "2026-03-11T02:00:00Z"}, "above_cap"),
        ({"amount": "20", "valid_until": "2026-03-11T02:00:00.000001Z"}, "above_cap"),
        ({"amount": "20"}, "above_cap"),
        ({"percent": "20", "valid_until": "2026-03-03T02:00:00Z"}, None),
        ({"percent": "20.1", "valid_until": "2026-03-03T02:00:00Z"}, "above_cap"),
        ({"amount": "20", "valid_until": "2026-03-01T02:00:00Z"}, "bad_time"),
        ({"amount": "20", "percent": 1}, "bad_amount"),
        ({}, "bad_amount"),
        ({"remove": True}, "nothing_to_remove"),
    ],
)
def test_temporary_credit_caps(fields: Fields, reason: str | None) -> None:
    script = Script().add("reseller", "01T00:00", reseller="r", max_temporary_credit={"percent": 20, "days": 10})
    script.client(model="postpaid", reseller="r").on("credit_limit", "01T01:00", limit="100")
    script.on("temporary_credit", "01T02:00", **fields)
    assert script.reasons() == ([] if reason is None else [reason])


@pytest.mark.parametrize(
    ("model", "limit", "reason"),
    [("prepaid", "100", "not_postpaid"), ("postpaid", "0", "no_limit"), ("postpaid", None, "no_limit")],
)
def test_temporary_credit_by_percent_needs_a_limit(model: str, limit: str | None, reason: str) -> None:
    script = Script().client(model=model).on("credit_limit", "01T01:00", limit=limit)
    assert script.on("temporary_credit", "01T02:00", percent=10).reasons() == [reason]


def test_postpaid_warnings_mildest_first_at_or_above() -> None:
    script = Script().client(model="postpaid", warning_thresholds=["90%", "50", "80%"], **MAIL)
    script.on("credit_limit", "01T01:00", limit="100").on("charge", "01T02:00", amount="49.999999")
    script.on("charge", "01T03:00", amount="0.000001").on("charge", "01T04:00", amount="39.999999")
    script.on("charge", "01T05:00", amount="0.000001").on("payment", "01T06:00", amount="10")
    script.on("charge", "01T07:00", amount="10").on("payment", "01T08:00", amount="10.000001")
    script.on("charge", "01T09:00", amount="10.000001")
    assert script.sent() == [
        "01T03:00 credit_warning 50 1",
        "01T04:00 credit_warning 80% 1",
        "01T05:00 credit_warning 90% 1",
        "01T07:00 credit_warning 90% 1",
        "01T09:00 credit_warning 80% 1",
        "01T09:00 credit_warning 90% 1",
    ]
    assert script.only("notification")[2]["threshold"] == "90"


def test_prepaid_warnings_at_or_below_and_percent_inert() -> None:
    script = Script().client(warning_thresholds=["5", "10", "50%"], **MAIL).on("credit_limit", "01T01:00", limit="1")
    script.on("payment", "01T01:30", amount="19").on("charge", "01T02:00", amount="9.999999")
    script.on("charge", "01T03:00", amount="0.000001").on("charge", "01T04:00", amount="6")
    assert script.sent() == [
        "01T01:00 credit_warning 10 1",
        "01T01:00 credit_warning 5 1",
        "01T03:00 credit_warning 10 1",
        "01T04:00 credit_warning 5 1",
    ]


def test_a_warning_without_address_stays_unfired() -> None:
    settings: Fields = {"model": "postpaid", "warning_thresholds": ["5"], "warning_channels": ["sms", "email"]}
    script = Script().client(**settings).on("charge", "01T01:00", amount="5")
    script.client(time="01T02:00", phone="+1", **MAIL, **settings)
    assert [pick(one, "channel", "to", "episode") for one in script.only("notification")] == [
        ("email", ["c@x"], 1),
        ("sms", ["+1"], 1),
    ]


def test_payments_pay_invoices_and_reversals_reopen_them() -> None:
    script = Script().client().on("payment", "01T01:00", amount="3")
    script.on("invoice", "01T02:00", invoice="late", amount="5", due_at="2026-04-02T00:00:00Z")
    script.on("invoice", "01T03:00", invoice="soon", amount="4", due_at="2026-04-01T00:00:00Z")
    script.on("payment", "01T04:00", amount="10", kind="top_up")
    script.on("adjustment", "01T05:00", kind="reversal", amount="5")
    script.on("payment", "01T06:00", amount="2").on("invoice", "01T07:00", invoice="soon", amount="4")
    assert [one["unallocated"] for one in script.only("change")] == ["0", "3", "0", "0", "4", "0", "1"]
    assert script.reasons() == ["duplicate_invoice"]
    assert script.last()["live"] == "10"


def test_conversion_is_direct_else_one_over_the_opposite() -> None:
    script = Script().client().on("charge", "01T01:00", amount="1", currency="USD")
    script.add("exchange_rate", "01T02:00", base="EUR", quote="USD", rate="3")
    script.on("charge", "01T03:00", amount="1", currency="USD")
    script.add("exchange_rate", "01T04:00", base="USD", quote="EUR", rate="0.5")
    script.on("charge", "01T05:00", amount="0.000003", currency="USD")
    script.on("payment", "01T06:00", amount="0.000001", currency="USD")
    changes = script.only("change")
    assert pick(changes[1], "live", "rate", "rate_base", "rate_quote") == ("-0.333333", "3", "EUR", "USD")
    assert pick(changes[2], "live", "rate", "rate_base") == ("-0.333335", "0.5", "USD")
    assert script.reasons() == ["no_rate", "bad_amount"]


# Capacity

LOW: Fields = {"threshold": "5", "capacity": 1}
TEMPLATE: Fields = {"template": "t", "capacity": 3, "low_balance": LOW}


@pytest.mark.parametrize("source", ["client", "template"])
@pytest.mark.parametrize(("spent", "capacity"), [("252.89", 3), ("252.899999", 3), ("252.90", 1), ("252.900001", 1)])
def test_capacity_drops_at_the_threshold(source: str, spent: str, capacity: int) -> None:
    script = Script().add("template", "01T00:00", **TEMPLATE)
    own: Fields = {"capacity": 3, "low_balance": LOW}
    script.client(**(own if source == "client" else {"template": "t"}))
    script.on("payment", "01T01:00", amount="157.90").on("credit_limit", "01T02:00", limit="100")
    assert script.on("charge", "01T03:00", amount=spent).last()["capacity"] == capacity


@pytest.mark.parametrize(
    ("own", "template", "available", "capacity"),
    [
        ({"low_balance": {"threshold": "5"}}, {"capacity": 3, "low_balance": {**LOW, "threshold": "15"}}, "12", 3),
        ({"capacity": 3}, {"low_balance": LOW}, "5", 1),
        ({"capacity": 3}, {"low_balance": {"threshold": "5"}}, "5", 3),
        ({"capacity": 0}, {"capacity": 3, "low_balance": LOW}, "5", 0),
        ({}, {"low_balance": LOW}, "5", 1),
        ({}, {"low_balance": LOW}, "5.000001", None),
    ],
)  # fmt: skip
def test_capacity_merges_field_by_field(own: Fields, template: Fields, available: str, capacity: int | None) -> None:
    script = Script().add("template", "01T00:00", template="t", **template).client(template="t", **own)
    assert script.on("payment", "01T01:00", amount=available).last()["capacity"] == capacity


def test_a_template_changes_only_the_clients_whose_view_it_alters() -> None:
    script = Script().add("template", "01T00:00", **TEMPLATE)
    script.client("b", template="t").client("a", template="t", capacity=2, low_balance={"capacity": 1}).client("d")
    script.add("template", "01T01:00", **{**TEMPLATE, "capacity": 9, "low_balance": {"threshold": "-1", "capacity": 1}})
    changes = [pick(one, "client", "version", "capacity", "cause") for one in script.only("change")[3:]]
    cause = {"source": "s", "id": "e4"}
    assert changes == [("a", 2, 2, cause), ("b", 2, 9, cause)]


# Transfers


def transfer_script(**sender: Any) -> Script:
    script = Script().add("customer_class", "01T00:00", customer_class="k", transfers="yes")
    script.client("a", **sender).client("b").client("d", currency="USD")
    return script.on("payment", "01T01:00", client="a", amount="10")


@pytest.mark.parametrize(
    ("sender", "fields", "reasons"),
    [
        ({"transfers": "yes"}, {"to": "b", "amount": "10"}, []),
        ({"customer_class": "k"}, {"to": "b", "amount": "10"}, []),
        ({"transfers": "no", "customer_class": "k"}, {"to": "b", "amount": "10"}, ["transfers_off"]),
        ({}, {"to": "b", "amount": "10"}, ["transfers_off"]),
        ({"transfers": "yes"}, {"to": "b", "amount": "10.000001"}, ["insufficient"]),
        ({"transfers": "yes"}, {"to": "zz", "amount": "10.000001"}, ["insufficient"]),
        ({"transfers": "yes"}, {"to": "zz", "amount": "10"}, ["unknown_client"]),
        ({"transfers": "yes"}, {"to": "d", "amount": "10"}, ["currency_mismatch"]),
        ({}, {"to": "a", "amount": "99"}, ["same_client"]),
    ],
)
def test_transfer_checks(sender: Fields, fields: Fields, reasons: list[str]) -> None:
    script = transfer_script(**sender).on("transfer", "01T02:00", client="a", **fields)
    assert script.reasons() == reasons
    changes = [pick(one, "client", "live", "cause") for one in script.only("change")[4:]]
    cause = {"source": "s", "id": "e5"}
    assert changes == ([] if reasons else [("a", "0", cause), ("b", "10", cause)])


# Ground rules


def test_a_repeat_within_the_window_changes_nothing() -> None:
    script = Script().client()
    for time, amount, at in (
        ("01T01:00", "1.00", "01T01:00"),
        ("01T01:00", "1", "02T00:00"),
        ("01T01:00", "2", "03T00:00"),
        ("01T01:00", "1", "08T00:59:59.999999"),
        ("01T01:00", "1", "08T01:00"),
    ):
        script.on("charge", time, id="same", amount=amount, at=at, unknown=at)
    assert [one["live"] for one in script.only("change")] == ["0", "-1", "-2"]
    assert script.reasons() == ["conflict"]


def test_a_refused_event_takes_no_identity() -> None:
    script = Script().on("charge", "01T00:00", id="x", amount="1").client().on("charge", "01T00:00", id="x", amount="2")
    assert script.reasons() == ["unknown_client"]
    assert script.last()["live"] == "-2"


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b"[]", "malformed"),
        (b"{", "malformed"),
        (b'"\xff"', "malformed"),
        (b'{"type":"charge","amount":NaN}', "malformed"),
        (b"{}", "unknown_type"),
        (b'{"type":"transfer_leg","source":"s","id":"i","client":"c","time":"2026-03-01T00:00:00Z"}', "unknown_type"),
        (b'{"type":"charge"}', "bad_id"),
        (b'{"type":"credit_limit"}', "missing_field"),
        (b'{"type":"charge","source":"s","id":"i i","client":"c"}', "bad_id"),
        (b'{"type":"charge","source":"s","id":"i","client":"c"}', "bad_time"),
        (b'{"type":"charge","source":"s","id":"i","client":"c","time":"2026-03-01T00:00:00"}', "bad_time"),
        (b'{"type":"charge","source":"s","id":"i","client":"c","time":"2026-03-01T00:00:00Z"}', "bad_amount"),
        (b'{"type":"tick"}', "bad_time"),
    ],
)
def test_refusals(line: bytes, reason: str) -> None:
    assert Script().raw(line).reasons() == [reason]


@pytest.mark.parametrize(
    "amount",
    ["1.0000001", "NaN", "1e3", 1, 1.5, None, "-1", "+1", "9223372036854.775808", "", " 1", "1.", ".5", True],
)
def test_bad_amounts(amount: object) -> None:
    assert Script().client().on("charge", "01T01:00", amount=amount).reasons() == ["bad_amount"]


def test_amounts_at_the_edge() -> None:
    script = Script().client().on("charge", "01T01:00", amount_micros=2**63 - 1)
    script.on("charge", "01T02:00", amount="0.000001").on("charge", "01T03:00", amount="0")
    script.on("charge", "01T04:00", amount="1", amount_micros=1).on("payment", "01T05:00", amount="0")
    assert script.last()["live"] == "-9223372036854.775807"
    assert script.reasons() == ["bad_amount"] * 3


def test_bad_lines_move_the_clock_only_by_a_readable_time() -> None:
    script = Script().client(model="postpaid").on("credit_limit", "01T01:00", limit="10")
    script.on("temporary_credit", "01T02:00", amount="5", valid_until="2026-03-02T00:00:00Z")
    script.add("nonsense", "05T00:00", at="x").raw(b"\r\n").raw(b"{}")
    assert [one["output"] for one in script.run()][-2:] == ["rejection", "rejection"]
    script.add("nonsense", "x", at="02T00:00")
    assert [one["output"] for one in script.run()][-3:] == ["change", "credit_history", "rejection"]


def test_final_gives_the_last_change_of_each_client_by_id() -> None:
    script = Script().client("b").client("a").on("payment", "01T01:00", client="b", amount="1")
    assert [pick(one, "output", "client", "version") for one in script.run(final=True)] == [
        ("change", "a", 1),
        ("change", "b", 2),
    ]


def test_a_rejection_gives_the_event_back() -> None:
    line: Fields = {"type": "charge", "source": "s", "id": "i", "client": "c", "note": "x" * 100_000, "amount": 0.5}
    event = Script().raw(json.dumps(line).encode()).run()[0]["event"]
    assert pick(event, "type", "source", "id", "client", "amount") == ("charge", "s", "i", "c", 0.5)
    assert len(json.dumps(event)) < 64 * 1024
    assert Script().raw(b"[1, 2]").run()[0]["event"] == "[1, 2]"


@pytest.mark.parametrize(
    ("kind", "fields", "reason"),
    [
        ("profile_deleted", {"profile": "p"}, "in_use"),
        ("user_deleted", {"user": "u"}, "in_use"),
        ("template_deleted", {"template": "t"}, "in_use"),
        ("template_deleted", {"template": "zz"}, "unknown_reference"),
        ("reseller_deleted", {"reseller": "r"}, None),
        ("exchange_rate_deleted", {"base": "EUR", "quote": "USD"}, "unknown_reference"),
        ("client", {"client": "c", "currency": "USD"}, "fixed"),
        ("client", {"client": "c", "currency": "EUR", "model": "postpaid"}, "fixed"),
        ("client", {"client": "c", "currency": "EUR", "manager": "zz"}, "unknown_reference"),
        ("client", {"client": "c", "currency": "EUR", "time_zone": "Mars/Base"}, "bad_field"),
    ],
)
def test_configuration_in_use_and_fixed(kind: str, fields: Fields, reason: str | None) -> None:
    script = Script().add("reseller", "01T00:00", reseller="r").add("user", "01T00:00", user="u")
    rules = [{"rule": "a", "audience": "user", "threshold": "5", "users": ["u"]}]
    script.add("profile", "01T00:00", profile="p", rules=rules).add("template", "01T00:00", template="t", profile="p")
    script.client(template="t").on("charge", "01T01:00", amount="1").add(kind, "01T02:00", **fields)
    assert script.reasons() == ([] if reason is None else [reason])
