"""The sample traffic: the same bytes for the same seed, taken whole by the core, and worth watching for a minute."""

import json
from itertools import islice, takewhile
from typing import Any

import pytest

from engine.demo.scenery import SHOWCASE
from engine.demo.traffic import Timed, Traffic, TrafficOptions, call_price, charges
from engine.replay import replay
from schemas.codec import decode
from schemas.reasons import Refusal
from schemas.times import SECOND, parse_time

START = parse_time("2026-09-21T14:13:20Z")

Output = dict[str, Any]  # an output is arbitrary JSON here


def played(seconds: int, options: TrafficOptions | None = None) -> tuple[list[bytes], list[Timed]]:
    traffic = Traffic(options or TrafficOptions(), START)
    setup = list(traffic.setup())
    return setup, list(takewhile(lambda event: event.at <= START + seconds * SECOND, traffic.events()))


@pytest.fixture(scope="module")
def minute() -> list[Output]:
    """Every output of the first minute."""
    setup, events = played(60)
    lines = [*setup, *(event.raw for event in events)]
    return [json.loads(line) for line in replay(lines, until=START + 60 * SECOND)]


def test_same_seed_and_start_give_the_same_bytes() -> None:
    assert played(20) == played(20)
    assert played(20) != played(20, TrafficOptions(seed=2))


def test_later_run_shares_no_identity_with_an_earlier_one() -> None:
    def ids(start: int) -> set[str]:
        return {json.loads(raw)["id"] for raw in Traffic(TrafficOptions(clients=20), start).setup()}

    assert ids(START).isdisjoint(ids(START + SECOND))


def test_every_event_passes_the_door() -> None:
    setup, events = played(120)
    refusals = [
        found
        for raw in [*setup, *(event.raw for event in events)]
        if isinstance(found := decode(raw, unknown_refused=True), Refusal)
    ]
    assert refusals == []


def test_instants_only_go_forward_and_are_the_events_own() -> None:
    _, events = played(120)
    instants = [event.at for event in events]
    assert instants == sorted(instants)
    assert all(parse_time(json.loads(event.raw)["time"]) == event.at for event in events)


def test_every_kind_of_event_is_there() -> None:
    setup, events = played(180)
    kinds = {json.loads(raw)["type"] for raw in [*setup, *(event.raw for event in events)]}
    assert kinds == {
        "adjustment", "charge", "client", "credit_limit", "customer_class", "exchange_rate", "invoice", "payment",
        "profile", "reseller", "temporary_credit", "template", "transfer", "user",
    }  # fmt: skip


def test_the_core_refuses_nothing_of_it(minute: list[Output]) -> None:
    assert [output for output in minute if output["output"] == "rejection"] == []


def test_within_a_minute_mail_and_sms_go_out(minute: list[Output]) -> None:
    sent = [(output["kind"], output["channel"]) for output in minute if output["output"] == "notification"]
    assert sent.count(("low_balance", "email")) >= 30
    assert sent.count(("low_balance", "sms")) >= 10
    assert sent.count(("recovered", "email")) >= 1


def test_within_a_minute_reminders_are_seen(minute: list[Output]) -> None:
    assert any(output["output"] == "notification" and output["sequence"] == 2 for output in minute)


def test_within_a_minute_capacity_falls_from_3_to_1(minute: list[Output]) -> None:
    capacities: dict[str, list[int]] = {}
    for output in minute:
        if output["output"] == "change":
            seen = capacities.setdefault(output["client"], [])
            if not seen or seen[-1] != output["capacity"]:
                seen.append(output["capacity"])
    assert sum([3, 1] in (seen[at : at + 2] for at in range(len(seen))) for seen in capacities.values()) >= 20


def test_showcase_tells_its_story(minute: list[Output]) -> None:
    story = [
        (output["kind"], output["rule"], output["sequence"])
        for output in minute
        if output["output"] == "notification" and output["client"] == SHOWCASE and output["channel"] == "email"
    ]
    assert story == [
        ("low_balance", "client-5", 1),
        ("low_balance", "client-5", 2),
        ("exhausted", "status", 1),
        ("recovered", "client-5", 0),
    ]


def test_bursts_are_bursts() -> None:
    _, events = played(50)
    at = START + 45 * SECOND
    within = [event for event in events if at <= event.at < at + 2 * SECOND]
    assert len(within) >= 200


@pytest.mark.parametrize(
    ("seconds", "rate", "micros"),
    [(60, 90_000, 90_000), (1, 90_000, 9_000), (6, 90_000, 9_000), (7, 90_000, 18_000), (6, 5, 0), (6, 15, 2)],
)
def test_price_of_a_call_is_in_whole_increments(seconds: int, rate: int, micros: int) -> None:
    assert call_price(seconds, rate) == micros


def test_charges_for_a_benchmark() -> None:
    first = list(islice(charges(7, START, 100_000, 1000), 2001))
    assert first == list(islice(charges(7, START, 100_000, 1000), 2001))
    assert first[2000].at == START + 2 * SECOND
    assert not any(isinstance(decode(event.raw), Refusal) for event in first)
    assert len({json.loads(event.raw)["id"] for event in first}) == 2001
    assert json.loads(first[1].raw)["time"] == "2026-09-21T14:13:20.001000Z"
