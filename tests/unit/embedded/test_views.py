"""What readers of the embedded runtime get: the view, the reasons, and the history out of the stored log."""

import json
from pathlib import Path

import pytest

from engine.embedded.views import EmbeddedViews
from tests.unit.core.histories import at, event
from tests.unit.embedded.running import running

RULE = {"rule": "low", "audience": "client", "threshold": "5", "notify": True}
PROFILE = event("d0 08:00", "profile", profile="p", max_qty=3, period_seconds=86_400, rules=[RULE])
CLIENT = event("d0 09:00", "client", "c", currency="EUR", profile="p", billing_email="c@c.example", transfers="yes")
OTHER = event("d0 09:00", "client", "o", currency="EUR")
PAID = event("d0 10:00", "payment", "c", amount="10")
CHARGED = event("d0 11:00", "charge", "c", amount="6")


async def test_a_view_is_the_state_as_it_is_now(tmp_path: Path) -> None:
    async with running(tmp_path) as product:
        await product.send([PROFILE, CLIENT, PAID, CHARGED])
        view = await product.views.client("c")
        assert view is not None
        shown = json.loads(view)
        assert (shown["output"], shown["version"], shown["live"], shown["available"]) == ("change", 3, "4", "4")
        assert (shown["at"], shown["cause"]) == (at("d0 11:00"), None)
        assert await product.views.client("nobody") is None


@pytest.mark.parametrize(
    ("cap", "limit", "wanted"),
    [
        ({"amount": "50", "days": 3}, "200", {"amount": "50", "days": 3, "valid_until": at("d3 10:00")}),
        ({"percent": "12.5"}, "200", {"amount": "25", "days": None, "valid_until": None}),
        ({"percent": "12.5"}, "0", {"amount": "0", "days": None, "valid_until": None}),
        ({}, "200", {"amount": None, "days": None, "valid_until": None}),
    ],
    ids=["amount", "percent", "no-limit", "no-cap"],
)
async def test_a_view_says_the_maximum_possible_increase(
    tmp_path: Path, cap: dict[str, object], limit: str, wanted: dict[str, object]
) -> None:
    reseller = event("d0 08:00", "reseller", reseller="r", max_temporary_credit=cap)
    client = event("d0 09:00", "client", "c", currency="EUR", model="postpaid", reseller="r")
    async with running(tmp_path) as product:
        await product.send([reseller, client, event("d0 10:00", "credit_limit", "c", limit=limit)])
        view = await product.views.client("c")
        assert view is not None
        assert json.loads(view)["temporary_credit_max"] == wanted


async def test_a_grant_of_the_maximum_is_taken_and_one_of_more_is_not(tmp_path: Path) -> None:
    reseller = event("d0 08:00", "reseller", reseller="r", max_temporary_credit={"percent": "12.5", "days": 3})
    client = event("d0 09:00", "client", "c", currency="EUR", model="postpaid", reseller="r")
    async with running(tmp_path) as product:
        await product.send([reseller, client, event("d0 10:00", "credit_limit", "c", limit="200.00001")])
        view = await product.views.client("c")
        assert view is not None
        most = json.loads(view)["temporary_credit_max"]
        assert most == {"amount": "25.000001", "days": 3, "valid_until": at("d3 10:00")}
        asked = [{"amount": "25.000002", "valid_until": most["valid_until"]}, {"amount": most["amount"]}]
        asked += [{"amount": most["amount"], "valid_until": most["valid_until"]}]
        grants = [event("d0 10:00", "temporary_credit", "c", **grant) for grant in asked]
        answers = await product.send(grants)
        assert [answer.reason for answer in answers] == ["above_cap", "above_cap", None]


async def test_a_prepaid_client_has_no_increase_to_ask_for(tmp_path: Path) -> None:
    async with running(tmp_path) as product:
        await product.send([PROFILE, CLIENT])
        view = await product.views.client("c")
        assert view is not None
        assert "temporary_credit_max" not in json.loads(view)


async def test_why_after_the_clock_sent_a_reminder(tmp_path: Path) -> None:
    async with running(tmp_path) as product:
        await product.send([PROFILE, CLIENT, PAID, CHARGED])
        await product.reach("d1 11:00")
        why = await product.views.why("c", None)
        assert why is not None
        assert [(rule.verdict, rule.count, rule.next_at) for rule in why.rules] == [("sent", 2, at("d2 11:00"))]
        assert await product.views.why("c", "no-such-rule") is None
        assert await product.views.why("nobody", None) is None


async def test_history_of_the_stored_log(tmp_path: Path) -> None:
    async with running(tmp_path) as product:
        await product.send([PROFILE, CLIENT, OTHER, PAID, CHARGED])
        await product.send([event("d0 12:00", "transfer", "c", to="o", amount="1")])
        await product.reach("d1 11:00")
        history = await product.views.history("c", 100, None)
        assert history is not None
        assert [(entry.at, entry.type, entry.amount, entry.live) for entry in history.entries[::-1]] == [
            (at("d0 09:00"), "client", "0", "0"),
            (at("d0 10:00"), "payment", "10", "10"),
            (at("d0 11:00"), "charge", "-6", "4"),
            (at("d0 12:00"), "transfer", "0", "4"),
            (at("d0 12:00"), "transfer_outcome", "-1", "3"),
            (at("d1 11:00"), "clock", "0", "3"),
        ]
        received = await product.views.history("o", 1, None)
        assert received is not None
        assert (received.entries[0].type, received.entries[0].amount, received.before) == ("transfer_leg", "1", 2)
        assert await product.views.history("nobody", 1, None) is None


async def test_history_knows_what_was_refused_for_other_clients(tmp_path: Path) -> None:
    """Each partition is tried: the one that holds the user of the template refuses for all."""
    template = event("d0 08:00", "template", template="t", capacity=5)
    user = event("d0 09:00", "client", "o", currency="EUR", template="t")
    delete = event("d0 10:00", "template_deleted", template="t")
    clients = [event("d0 11:00", "client", f"c{number}", currency="EUR", template="t") for number in range(12)]
    async with running(tmp_path) as product:
        answers = await product.send([template, user, delete, *clients])
        assert answers[2].reason == "in_use"
        for client in clients:
            history = await product.views.history(str(client["client"]), 10, None)
            assert history is not None
            assert [(entry.outcome, entry.capacity) for entry in history.entries] == [("accepted", 5)]


async def test_history_of_a_log_that_is_too_long_says_so(tmp_path: Path) -> None:
    async with running(tmp_path, partitions=1, history_records_max=3) as product:
        await product.send([PROFILE, CLIENT, PAID])
        history = await product.views.history("c", 10, None)
        assert history is not None
        assert (history.cut, len(history.entries)) == (False, 2)
        await product.send([CHARGED])
        history = await product.views.history("c", 10, None)
        assert history is not None
        assert (history.cut, history.entries) == (True, [])
        assert history.sentence is not None
        assert "has 4 records, and at most 3 are read" in history.sentence


async def test_a_reader_of_many_clients_fills_no_memory(tmp_path: Path) -> None:
    async with running(tmp_path, partitions=1) as product:
        await product.send([CLIENT | {"profile": None}, OTHER])
        tables = product.engine.partitions[0].state.tables
        for table in tables:
            table.clear()  # what an eviction does: the store has it
        assert await product.views.client("c") is not None
        assert await product.views.why("c", None) is not None
        assert [len(table) for table in tables] == [0, 0, 0, 0]


async def test_ready_is_the_engines_word(tmp_path: Path) -> None:
    async with running(tmp_path) as product:
        assert isinstance(product.views, EmbeddedViews)
        assert product.views.ready() == (True, "events are taken")
    assert product.views.ready()[0] is False
