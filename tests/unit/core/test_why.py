"""Why a notification was or was not sent: every verdict, its numbers and its sentence (semantics 4 and 6)."""

from typing import Any

import pytest

from engine.core.why import why
from schemas.answers import WhyRule
from tests.unit.core.histories import at, event, folded

PERIOD = 24 * 3600
RULE = {"rule": "low", "audience": "client", "threshold": "5", "notify": True}


def profile(**fields: Any) -> dict[str, object]:
    settings = {"max_qty": 3, "period_seconds": PERIOD, "rules": [RULE], **fields}
    return event("d0 08:00", "profile", profile="p", **settings)


def client(**fields: Any) -> dict[str, object]:
    return event(
        "d0 09:00", "client", "c", **{"currency": "EUR", "profile": "p", "billing_email": "c@c.example", **fields}
    )


def charge(time: str, amount: str) -> dict[str, object]:
    return event(time, "charge", "c", amount=amount)


def pay(time: str, amount: str) -> dict[str, object]:
    return event(time, "payment", "c", amount=amount)


START = [profile(), client(), pay("d0 09:30", "10")]
BELOW = [*START, charge("d0 10:00", "5"), charge("d0 10:01", "0.01")]


def told(events: list[dict[str, object]], *, until: str | None = None, rule: str = "low") -> WhyRule:
    answer = why(folded(events, until=until), "c", rule)
    assert answer is not None
    assert [found.rule for found in answer.rules] == [rule]
    return answer.rules[0]


WORKED_EXAMPLE = [
    (
        [*START, charge("d0 10:00", "5")],
        None,
        ("not_below", 0, None, None),
        "Not sent: available 5 EUR is not below the threshold 5 EUR.",
    ),
    (
        BELOW,
        None,
        ("sent", 1, at("d0 10:01"), at("d1 10:01")),
        "Sent: available 4.99 EUR is below the threshold 5 EUR; 1 of 3 sent, the last at 2026-03-02T10:01:00Z. "
        "The next is due at 2026-03-03T10:01:00Z if it is still below then. By e-mail.",
    ),
    (
        [*BELOW, pay("d1 09:00", "0.005")],
        None,
        ("waiting_for_period", 1, at("d0 10:01"), at("d1 10:01")),
        "Not sent again yet: available 4.995 EUR is below the threshold 5 EUR, 1 of 3 sent, the last at "
        "2026-03-02T10:01:00Z; it waits for the period, until 2026-03-03T10:01:00Z.",
    ),
    (
        BELOW,
        "d2 10:01",
        ("sent", 3, at("d2 10:01"), None),
        "Sent: available 4.99 EUR is below the threshold 5 EUR; 3 of 3 sent, the last at 2026-03-04T10:01:00Z. "
        "It was the last: a refill that lifts available to 5 EUR or above starts it anew. By e-mail.",
    ),
    (
        [*BELOW, pay("d3 11:00", "0.005")],
        None,
        ("max_reached", 3, at("d2 10:01"), None),
        "Not sent again: available 4.995 EUR is below the threshold 5 EUR, but the maximum is reached, 3 of 3, the "
        "last at 2026-03-04T10:01:00Z; a refill that lifts available to 5 EUR or above starts it anew.",
    ),
    (
        [*BELOW, pay("d3 11:00", "0.01")],
        None,
        ("not_below", 0, None, None),
        "Not sent: available 5 EUR is not below the threshold 5 EUR.",
    ),
]


@pytest.mark.parametrize(("events", "until", "numbers", "sentence"), WORKED_EXAMPLE)
def test_worked_example(
    events: list[dict[str, object]],
    until: str | None,
    numbers: tuple[str, int, str | None, str | None],
    sentence: str,
) -> None:
    found = told(events, until=until)
    assert (found.verdict, found.count, found.last_sent, found.next_at) == numbers
    assert found.sentence == sentence


def test_asleep() -> None:
    answer = why(folded([profile(), client()]), "c")
    assert answer is not None
    assert answer.asleep
    assert answer.rules[0].verdict == "asleep"
    assert answer.rules[0].evaluated_at is None
    assert answer.rules[0].sentence.startswith("Not sent: the client is asleep;")


def test_unlimited_credit() -> None:
    found = told([*START, event("d0 10:00", "credit_limit", "c", limit=None)])
    assert (found.verdict, found.available) == ("unlimited", None)
    assert found.sentence == "Not sent: credit is unlimited, so available is never below the threshold 5 EUR."


def test_no_recipient() -> None:
    events = [profile(), client(billing_email=None), pay("d0 09:30", "4")]
    found = told(events)
    assert (found.verdict, found.below, found.count, found.next_at) == ("no_recipient", True, 0, None)
    assert found.sentence == (
        "Not sent: available 4 EUR is below the threshold 5 EUR, but the rule has no recipient: there is no e-mail "
        "address of the client, and no listed e-mail address."
    )


def test_no_recipient_with_notify_off() -> None:
    rule = {**RULE, "notify": False}
    found = told([profile(rules=[rule]), client(), pay("d0 09:30", "4")])
    assert found.verdict == "no_recipient"
    assert found.sentence.endswith("notify is off and there are no listed e-mail addresses.")


def test_a_recipient_that_went_away_before_the_reminder() -> None:
    gone = {**client(billing_email=None), "id": "gone", "time": at("d0 20:00")}
    found = told([*BELOW, gone], until="d2 00:00")
    assert (found.verdict, found.count, found.next_at) == ("no_recipient", 1, None)


def test_maximum_of_none() -> None:
    found = told([profile(max_qty=0), client(), pay("d0 09:30", "4")])
    assert found.verdict == "max_reached"
    assert found.sentence.endswith("but the profile allows no notification (maximum 0).")


def test_no_period_waits_for_a_refill() -> None:
    events = [profile(period_seconds=None), client(), pay("d0 09:30", "4"), pay("d0 10:00", "0.5")]
    found = told(events)
    assert (found.verdict, found.next_at) == ("waiting_for_refill", None)
    assert found.sentence == (
        "Not sent again: available 4.5 EUR is below the threshold 5 EUR, but the profile has no period and the last "
        "one was sent at 2026-03-02T09:30:00Z; a refill that lifts available to 5 EUR or above starts it anew."
    )


@pytest.mark.parametrize(
    ("charges", "since"),
    [
        ([], "it was created at 2026-03-02T09:00:00Z and never charged, so it waits until 2026-03-05T09:00:00Z"),
        (
            [charge("d1 12:00", "1")],
            "its last charge was at 2026-03-03T12:00:00Z, so it waits until 2026-03-06T12:00:00Z",
        ),
    ],
)
def test_inactivity(charges: list[dict[str, object]], since: str) -> None:
    events = [profile(rules=[{**RULE, "inactivity_days": 3}]), client(), pay("d0 09:30", "4"), *charges]
    found = told(events)
    assert found.verdict == "waiting_for_inactivity"
    assert found.sentence.endswith(f"but the rule asks for 3 days without a charge: {since}.")
    assert found.next_at == found.sentence[-21:-1]


def test_inactivity_fulfilled_is_sent_by_the_clock() -> None:
    events = [profile(rules=[{**RULE, "inactivity_days": 3}]), client(), pay("d0 09:30", "4")]
    found = told(events, until="d3 09:00")
    assert (found.verdict, found.last_sent) == ("sent", at("d3 09:00"))


FOREIGN = [profile(currency="USD"), client()]
RATE = event("d0 08:30", "exchange_rate", base="EUR", quote="USD", rate="2")


def test_no_rate() -> None:
    found = told([*FOREIGN, pay("d0 09:30", "2")])
    assert found.verdict == "no_rate"
    assert found.sentence == (
        "Not sent: available 2 EUR cannot be compared with the threshold 5 USD: there is no exchange rate between EUR "
        "and USD."
    )


def test_a_rate_that_came_after_the_last_event() -> None:
    events = [*FOREIGN, pay("d0 09:30", "2"), {**RATE, "time": at("d0 10:00")}]
    assert told(events).verdict == "not_evaluated"


def test_a_rate_says_itself_and_that_it_changed() -> None:
    events = [RATE, *FOREIGN, pay("d0 09:30", "2.5")]
    assert told(events).sentence == "Not sent: available 2.5 EUR (at EUR/USD 2) is not below the threshold 5 USD."
    lower = {**RATE, "id": "r2", "rate": "1", "time": at("d0 10:00")}
    found = told([*events, lower])
    assert found.verdict == "not_evaluated"
    assert found.sentence == "Not decided yet: the rule (5 USD) is evaluated with the client's next event."
    higher = {**RATE, "id": "r2", "rate": "3", "time": at("d0 10:00")}
    found = told([RATE, *FOREIGN, pay("d0 09:30", "2"), higher])
    assert found.verdict == "sent"
    assert found.sentence.endswith(
        " The exchange rate has changed since: the new one counts from the client's next event on."
    )


def test_lifted_without_a_refill_after_the_last_one() -> None:
    refund = event("d0 12:00", "adjustment", "c", kind="refund", amount="1")
    found = told([profile(max_qty=1), *BELOW[1:], refund])
    assert found.sentence == (
        "Not sent: available 5.99 EUR is not below the threshold 5 EUR. It was lifted without a refill: 1 of 1 stay "
        "counted."
    )


def test_lifted_without_a_refill() -> None:
    refund = event("d0 12:00", "adjustment", "c", kind="refund", amount="1")
    found = told([*BELOW, refund])
    assert (found.verdict, found.count, found.next_at) == ("not_below", 1, None)
    assert found.sentence == (
        "Not sent: available 5.99 EUR is not below the threshold 5 EUR. It was lifted without a refill: below again, "
        "it does not fire before 2026-03-03T10:01:00Z."
    )


def test_an_ordinary_charge_changes_the_numbers_and_not_the_verdict() -> None:
    found = told([*BELOW, charge("d0 12:00", "1.99")])
    assert (found.verdict, found.available, found.evaluated_at) == ("sent", "3", at("d0 10:01"))


def test_what_is_kept_of_another_profile_is_not_told() -> None:
    other = event("d0 08:00", "profile", profile="q", id="q", rules=[{**RULE, "threshold": "1"}])
    moved = {**client(profile="q"), "id": "moved", "time": at("d0 11:00")}
    found = told([other, *BELOW, moved])
    assert (found.profile, found.threshold, found.verdict, found.count) == ("q", "1", "not_below", 0)


def test_rules_come_highest_first() -> None:
    rules = [{**RULE, "rule": "a", "threshold": "1"}, {**RULE, "rule": "b", "threshold": "9"}]
    answer = why(folded([profile(rules=rules), client()]), "c")
    assert answer is not None
    assert [found.rule for found in answer.rules] == ["b", "a"]


@pytest.mark.parametrize(("name", "rule"), [("nobody", None), ("c", "no-such-rule")])
def test_unknown(name: str, rule: str | None) -> None:
    assert why(folded(START), name, rule) is None


def test_a_client_without_a_profile_has_no_rules() -> None:
    answer = why(folded([client(profile=None)]), "c")
    assert answer is not None
    assert answer.rules == []
