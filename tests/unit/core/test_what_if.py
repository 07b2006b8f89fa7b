"""The same history against changed configuration: what would have been added and dropped (contract, ``what-if``)."""

from collections.abc import Sequence

import pytest

from engine.failures import WrongUse
from engine.what_if import BATCH_RECORDS_MAX, Experiment
from schemas.answers import WhatIf, WhatIfTotal
from schemas.codec import decode
from schemas.events import Profile, TimeBalancePlan
from schemas.times import parse_time
from tests.unit.core.histories import at, event, lines_of, records_of

RULE = {"rule": "low", "audience": "client", "threshold": "5", "notify": True}
PROFILE = event("d0 08:00", "profile", profile="p", max_qty=3, period_seconds=86_400, rules=[RULE])
CLIENT = event("d0 09:00", "client", "c", currency="EUR", profile="p", billing_email="c@c.example", transfers="yes")
PAID = event("d0 09:30", "payment", "c", amount="10")


def charge(time: str, amount: str) -> dict[str, object]:
    return event(time, "charge", "c", amount=amount)


DAYS = [PROFILE, CLIENT, PAID, charge("d0 10:00", "4"), charge("d0 11:00", "2"), charge("d2 12:00", "1")]


def definition(fields: dict[str, object]) -> Profile | TimeBalancePlan:
    read = decode(lines_of([fields])[0])
    assert isinstance(read, Profile | TimeBalancePlan)
    return read


def changed(**fields: object) -> Profile | TimeBalancePlan:
    return definition({**PROFILE, **fields})


def compared(
    events: Sequence[dict[str, object]],
    *definitions: Profile | TimeBalancePlan,
    since: str | None = None,
    limit: int = 100,
) -> WhatIf:
    experiment = Experiment(definitions, None if since is None else parse_time(at(since)))
    experiment.fold(records_of(lines_of(events)), legs_at_once=True)
    return experiment.answer(limit=limit)


def told(answer: WhatIf) -> tuple[list[tuple[str, str]], list[tuple[str, str]]]:
    return [(sent.at, sent.rule) for sent in answer.added], [(sent.at, sent.rule) for sent in answer.dropped]


def test_an_unchanged_profile_adds_and_drops_nothing() -> None:
    answer = compared(DAYS, changed())
    assert told(answer) == ([], [])
    assert answer.total == WhatIfTotal("all", 3, 3, 0, 0)
    assert (answer.events, answer.changed, answer.exact) == (6, ["profile p"], True)


def test_a_higher_threshold_sends_earlier() -> None:
    answer = compared(DAYS, changed(rules=[{**RULE, "threshold": "7"}]))
    assert told(answer) == (
        [(at("d0 10:00"), "low"), (at("d1 10:00"), "low"), (at("d2 10:00"), "low")],
        [(at("d0 11:00"), "low"), (at("d1 11:00"), "low"), (at("d2 11:00"), "low")],
    )


def test_totals_by_day_and_rule() -> None:
    answer = compared(DAYS, changed(max_qty=2))
    assert answer.total == WhatIfTotal("all", 3, 2, 0, 1)
    assert answer.days == [
        WhatIfTotal("2026-03-02", 1, 1, 0, 0),
        WhatIfTotal("2026-03-03", 1, 1, 0, 0),
        WhatIfTotal("2026-03-04", 1, 0, 0, 1),
    ]
    assert answer.rules == [WhatIfTotal("low_balance low", 3, 2, 0, 1)]


def test_a_notification_is_what_it_tells_and_not_its_number() -> None:
    """Another rule takes numbers of the client's one counter of episodes; what was sent before is sent as before."""
    answer = compared(DAYS, changed(rules=[{**RULE, "rule": "high", "threshold": "20"}, RULE]))
    assert {rule for _, rule in told(answer)[0]} == {"high"}
    assert answer.dropped == []


def test_other_recipients_are_another_notification() -> None:
    answer = compared(DAYS, changed(max_qty=1, rules=[{**RULE, "emails": ["ops@o.example"]}]))
    assert [sent.to for sent in answer.added] == [("c@c.example", "ops@o.example")]
    assert len(answer.dropped) == 3


def test_since_an_instant() -> None:
    answer = compared(DAYS, changed(rules=[{**RULE, "threshold": "1"}]), since="d1 00:00")
    assert told(answer) == ([], [(at("d1 11:00"), "low"), (at("d2 11:00"), "low")])
    assert answer.since == at("d1 00:00")


def test_since_an_instant_replaces_later_definitions_too() -> None:
    later = {**PROFILE, "id": "later", "time": at("d1 00:00"), "rules": [{**RULE, "threshold": "20"}]}
    events = [*DAYS[:5], later, DAYS[5]]
    assert told(compared(events, changed(), since="d0 20:00"))[0] == [(at("d1 11:00"), "low"), (at("d2 11:00"), "low")]


def test_since_an_instant_with_a_profile_that_the_log_does_not_know() -> None:
    assert told(compared(DAYS, changed(profile="q"), since="d0 12:00")) == ([], [])


def test_the_definition_of_the_log_itself_is_no_conflict() -> None:
    answer = compared(DAYS, changed(max_qty=1), since="d0 12:00")
    assert len(answer.dropped) == 2


def test_a_changed_plan() -> None:
    level = {"percent": 50, "channels": ["email"]}
    plan = event("d0 08:00", "time_balance_plan", plan="m", unit="event", units=10, usage_types=["sms"])
    grant = event("d0 09:40", "time_balance", "c", action="grant", plan="m", grant="g")
    usage = {"type": "sms", "quantity": 6, "unit": "event"}
    events = [plan, *DAYS[:3], grant, event("d0 10:00", "charge", "c", amount="6", usage=usage)]
    answer = compared(events, definition({**plan, "units": 5, "thresholds": [level]}))
    assert [(sent.kind, sent.rule, sent.threshold) for sent in answer.added] == [("time_balance", "m:50", "50")]
    assert (answer.total.was, answer.total.would_be) == (0, 1)


def test_transfers_follow_at_once() -> None:
    other = event("d0 09:00", "client", "o", currency="EUR", profile="p", billing_email="o@o.example", id="o")
    transfer = event("d0 12:00", "transfer", "c", to="o", amount="3")
    answer = compared([PROFILE, CLIENT, other, PAID, transfer], changed(rules=[{**RULE, "threshold": "4"}]))
    assert told(answer) == ([], [])
    assert answer.total == WhatIfTotal("all", 1, 1, 0, 0)


def test_lists_are_bounded_and_totals_are_not() -> None:
    answer = compared(DAYS, changed(max_qty=0), limit=1)
    assert (len(answer.dropped), answer.total.dropped) == (1, 3)


def test_more_records_than_a_batch() -> None:
    count = 12 * BATCH_RECORDS_MAX
    charges = [
        {**charge("d0 10:00", "0.001"), "id": f"e{number}", "time": f"2026-03-02T10:00:00.{number:06d}Z"}
        for number in range(count)
    ]
    answer = compared([PROFILE, CLIENT, PAID, *charges], changed(rules=[{**RULE, "threshold": "4.5"}]))
    assert told(answer) == ([("2026-03-02T10:00:00.0055Z", "low")], [("2026-03-02T10:00:00.005Z", "low")])
    assert answer.events == 3 + count


@pytest.mark.parametrize(
    ("fields", "since", "sentence"),
    [
        ({"profile": "q"}, None, "the log defines no profile 'q': give one that it defines, or the instant"),
        ({}, "d9 00:00", "the log has nothing at or after 2026-03-11T00:00:00Z: choose an earlier --since"),
        ({"reseller": "nobody"}, None, "the changed profile 'p' is refused: reseller: expected a reseller"),
    ],
)
def test_a_change_without_effect_is_wrong_use(fields: dict[str, object], since: str | None, sentence: str) -> None:
    with pytest.raises(WrongUse) as raised:
        compared(DAYS, changed(**fields), since=since)
    assert str(raised.value).startswith(sentence)
