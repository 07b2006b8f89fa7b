"""What readers get: views, why, health; and the same headers and problems everywhere."""

import logging

import pytest

from engine.log.ports import Unavailable
from schemas.answers import History, HistoryEntry, Why, WhyRule
from tests.unit.api.doors import Door, problem

VIEW = b'{"output":"change","client":"c-1","version":3}'


def _why() -> Why:
    rules = [
        WhyRule(rule, "p", "5", "EUR", None, True, 1, 1, 3, None, None, None, "4.99", "sent", f"rule {rule}: sent")
        for rule in ("first", "second")
    ]
    return Why("c-1", False, "4.99", "4.99", "0", "EUR", None, rules)


async def test_a_view_comes_out_as_it_is(door: Door) -> None:
    door.views.changes["c-1"] = VIEW
    answer = await door.client.get("/v1/clients/c-1")
    assert (answer.status_code, answer.headers["content-type"], answer.content) == (200, "application/json", VIEW)


@pytest.mark.parametrize(
    ("client", "path"),
    [("a/b", "a%2Fb"), ("a/why", "a%2fwhy"), ("100%", "100%25"), ("абв", "%D0%B0%D0%B1%D0%B2"), ("a?b#c", "a%3Fb%23c")],
)
async def test_an_id_may_hold_any_visible_character(door: Door, client: str, path: str) -> None:
    door.views.changes[client] = VIEW
    door.views.whys[client] = _why()
    assert (await door.client.get(f"/v1/clients/{path}")).content == VIEW
    assert (await door.client.get(f"/v1/clients/{path}/why")).status_code == 200


@pytest.mark.parametrize("path", ["unknown", "%FF", "a%20b", "%00", "x" * 129])
async def test_an_unknown_client_is_not_found(door: Door, path: str) -> None:
    for url in (f"/v1/clients/{path}", f"/v1/clients/{path}/why", f"/v1/clients/{path}/why?rule=r"):
        assert problem(await door.client.get(url)) == (404, "not_found")


async def test_why_answers_for_all_rules_or_one(door: Door) -> None:
    door.views.whys["c-1"] = _why()
    every = (await door.client.get("/v1/clients/c-1/why")).json()
    assert [rule["sentence"] for rule in every["rules"]] == ["rule first: sent", "rule second: sent"]
    one = (await door.client.get("/v1/clients/c-1/why?rule=second")).json()
    assert [rule["rule"] for rule in one["rules"]] == ["second"]
    assert problem(await door.client.get("/v1/clients/c-1/why?rule=third")) == (404, "not_found")


def _entry(number: int) -> HistoryEntry:
    return HistoryEntry(
        number, "2026-01-01T00:00:00Z", "charge", "s", f"e{number}", "accepted", number, "-1", "4", "0", "0", "4", None,
        3, "0", [], [],
    )  # fmt: skip


async def test_a_history_is_asked_for_in_pages(door: Door) -> None:
    door.views.histories["c-1"] = History("c-1", [_entry(number) for number in (3, 2, 1)])
    every = (await door.client.get("/v1/clients/c-1/history")).json()
    assert [entry["id"] for entry in every["entries"]] == ["e3", "e2", "e1"]
    page = (await door.client.get("/v1/clients/c-1/history?limit=1&before=3")).json()
    assert [entry["id"] for entry in page["entries"]] == ["e2"]
    assert problem(await door.client.get("/v1/clients/nobody/history")) == (404, "not_found")


@pytest.mark.parametrize("query", ["limit=0", "limit=1001", "limit=x", "before=0", "before=-1", "limit=1&limit=2"])
async def test_a_page_of_history_is_bounded(door: Door, query: str) -> None:
    assert problem(await door.client.get(f"/v1/clients/c-1/history?{query}")) == (400, "query_invalid")


async def test_readers_are_asked_to_come_back(door: Door) -> None:
    door.views.failure = Unavailable("partition 3 is being restored")
    answer = await door.client.get("/v1/clients/c-1")
    assert problem(answer) == (503, "unavailable")
    assert answer.headers["retry-after"] == "2"


async def test_readiness_says_what_is_missing(door: Door) -> None:
    assert (await door.client.get("/readyz")).json() == {"status": "ready", "detail": "all partitions are open"}
    door.views.readiness = (False, "restoring 3 of 12 partitions")
    answer = await door.client.get("/readyz")
    assert problem(answer) == (503, "not_ready")
    assert answer.json()["detail"] == "restoring 3 of 12 partitions"
    assert (await door.client.get("/healthz")).json() == {"status": "ok"}


async def test_a_path_that_is_not_served_is_not_found(door: Door) -> None:
    for path in ("/", "/v1/event", "/v1/events/", "/docs", "/%FF"):
        assert problem(await door.client.get(path)) == (404, "not_found")


async def test_another_method_is_not_allowed(door: Door) -> None:
    answer = await door.client.delete("/v1/events")
    assert problem(answer) == (405, "method_not_allowed")
    assert answer.headers["allow"] == "POST"


async def test_what_breaks_here_is_told_by_an_id_only(door: Door, caplog: pytest.LogCaptureFixture) -> None:
    door.ingest.failure = RuntimeError("secret of the inside")
    with caplog.at_level(logging.ERROR):
        answer = await door.events(b"{}")
    assert problem(answer) == (500, "internal")
    assert "secret" not in answer.text
    assert answer.json()["id"] in caplog.text


@pytest.mark.parametrize("path", ["/healthz", "/nowhere", "/v1/events", "/openapi.json", "/v1/clients/x"])
async def test_every_answer_has_the_security_headers(door: Door, path: str) -> None:
    answer = await door.client.get(path)
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["content-security-policy"] == "default-src 'none'; frame-ancestors 'none'"
    assert answer.headers["referrer-policy"] == "no-referrer"
    assert answer.headers["cache-control"] == "no-store"


async def test_requests_are_counted_by_bounded_labels(door: Door) -> None:
    await door.client.get("/v1/clients/c-1")
    await door.client.get("/v1/clients/c-2")
    await door.client.get("/any/path")
    await door.client.request("BREW", "/any/other")
    counted = "plimsoll_http_requests_total"
    assert door.metric(counted, method="GET", route="/v1/clients/{client}", status="404") == 2
    assert door.metric(counted, method="GET", route="unmatched", status="404") == 1
    assert door.metric(counted, method="other", route="unmatched", status="404") == 1
    seconds = "plimsoll_http_request_duration_seconds_count"
    assert door.metric(seconds, route="/v1/clients/{client}", status="404") == 2
    assert door.metric("plimsoll_http_requests_in_flight") == 0
