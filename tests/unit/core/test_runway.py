"""Runway: what recent charges say about how long available lasts (decision record 0015)."""

from collections.abc import Sequence

import msgspec
import pytest

from engine.core.fold import fold, new_outcome
from engine.core.outcome import ChangeNote
from engine.core.records import Balance
from engine.core.runway import RUNWAY_SECONDS_MAX, SPENT_MAX, expected_charges, rate_of, seconds_to_spend, spend
from engine.core.state import State
from engine.core.view import view, with_thresholds
from engine.core.why import why
from schemas.outputs import Change, Notification, Runway, RunwayThreshold
from schemas.times import DAY, HOUR, SECOND, parse_time
from tests.unit.core.histories import at, event, folded, lines_of, records_of

MIDNIGHT = parse_time("2026-03-02T00:00:00Z")
UNIT = 1_000_000


def balance(live: int = 100 * UNIT) -> Balance:
    return Balance("c", "EUR", live=live)


def seconds_until(found: Balance, level: int, now: int) -> int | None:
    assert found.available is not None
    return seconds_to_spend(found, found.available - level, now)


def spending(per_hour: int, hours: int, start: int = MIDNIGHT) -> Balance:
    """A balance after one charge an hour."""
    found = balance()
    for hour in range(hours):
        spend(found, per_hour, start + hour * HOUR)
    return found


def per_day(found: Balance, now: int) -> float:
    rate = rate_of(found, now)
    assert rate is not None
    return rate[0] * 86_400 / rate[1] / UNIT


def test_no_charge_no_estimate() -> None:
    assert rate_of(balance(), MIDNIGHT) is None
    assert seconds_until(balance(), 0, MIDNIGHT) is None
    assert expected_charges(balance(), 3600, MIDNIGHT) == 0


def test_no_estimate_in_the_first_24_hours() -> None:
    found = spending(UNIT, 24)
    assert rate_of(found, MIDNIGHT + DAY - 1) is None
    assert rate_of(found, MIDNIGHT + DAY) is not None


def test_a_young_client_is_taken_by_all_that_it_was_charged() -> None:
    start = MIDNIGHT + 18 * HOUR
    found = spending(UNIT, 27, start)
    assert found.spent_before < 0
    assert rate_of(found, start + 27 * HOUR) == (27 * UNIT, 27 * 3600)


@pytest.mark.parametrize("start", [0, 1, 13, 23])
@pytest.mark.parametrize("hours", [48, 50, 59, 72, 240])
def test_a_constant_rate_is_told_as_it_is_at_every_hour(start: int, hours: int) -> None:
    begun = MIDNIGHT + start * HOUR
    found = spending(UNIT, hours, begun)
    assert per_day(found, begun + hours * HOUR) == pytest.approx(24, rel=0.05)


def test_what_was_charged_counts_half_as_much_a_day_later() -> None:
    found = spending(UNIT, 240)
    silent = MIDNIGHT + 240 * HOUR
    assert [round(per_day(found, silent + days * DAY), 2) for days in (0, 1, 2, 3)] == [24, 12, 6, 3]
    assert per_day(found, silent + 12 * HOUR) == pytest.approx(18)


def test_it_falls_without_a_jump_over_midnight() -> None:
    found = spending(UNIT, 240)
    midnight = MIDNIGHT + 250 * DAY // 24 // HOUR * HOUR
    midnight += DAY - midnight % DAY
    assert per_day(found, midnight - SECOND) == pytest.approx(per_day(found, midnight), rel=1e-4)


def test_it_follows_a_client_that_spends_more() -> None:
    found = spending(UNIT, 240)
    for hour in range(240, 288):
        spend(found, 5 * UNIT, MIDNIGHT + hour * HOUR)
    assert per_day(found, MIDNIGHT + 288 * HOUR) == pytest.approx(24 * 4, rel=0.01)


def test_seconds_are_whole_and_rounded_down() -> None:
    found = spending(UNIT, 48)
    now = MIDNIGHT + 48 * HOUR
    assert per_day(found, now) == 24
    assert seconds_until(found, 0, now) == 100 * 3600
    assert seconds_until(found, 1, now) == 100 * 3600 - 1
    assert seconds_until(found, 40 * UNIT, now) == 60 * 3600
    assert seconds_until(found, 100 * UNIT, now) == 0
    assert seconds_until(found, 101 * UNIT, now) == 0
    assert expected_charges(found, 3600, now) == UNIT
    assert expected_charges(found, 1, now) == 278  # 277.8, rounded up


def test_no_estimate_above_a_year() -> None:
    found = spending(UNIT, 48)
    now = MIDNIGHT + 48 * HOUR
    found.live = RUNWAY_SECONDS_MAX * UNIT // 3600
    assert seconds_until(found, 0, now) == RUNWAY_SECONDS_MAX
    found.live += UNIT
    assert seconds_until(found, 0, now) is None


def test_nothing_is_left_of_charges_long_ago() -> None:
    found = spending(UNIT, 48)
    assert rate_of(found, MIDNIGHT + 10_000 * DAY) is None


def test_a_young_client_that_falls_silent_and_comes_back() -> None:
    found = balance()
    spend(found, 24 * UNIT, MIDNIGHT)
    assert per_day(found, MIDNIGHT + 4 * DAY) == pytest.approx(24 / 8)
    spend(found, UNIT, MIDNIGHT + 4 * DAY)
    assert (found.spent, found.spent_before) == (UNIT, 2 * 24 * UNIT >> 3)


def test_instants_before_1970() -> None:
    start = -400 * DAY
    found = spending(UNIT, 48, start)
    assert per_day(found, start + 48 * HOUR) == 24


def test_the_sums_fit_what_is_stored() -> None:
    found = balance()
    for day in range(4):
        for _ in range(3):
            spend(found, 2**63 - 1, MIDNIGHT + day * DAY)
    assert 0 <= found.spent <= SPENT_MAX
    assert 0 <= found.spent_before <= SPENT_MAX
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(found), type=Balance) == found


# In the state and in what comes out

RULE = {"rule": "low", "audience": "client", "threshold": "5", "notify": True}
PROFILE = event("d0 00:00", "profile", profile="p", rules=[RULE])
CLIENT = event("d0 00:00", "client", "c", currency="EUR", profile="p", billing_email="c@c.example")
PAID = event("d0 00:00", "payment", "c", amount="100")


def hourly(first: int, last: int, amount: str = "1") -> list[dict[str, object]]:
    return [event(f"d{hour // 24} {hour % 24:02d}:00", "charge", "c", amount=amount) for hour in range(first, last + 1)]


def balances_after(events: Sequence[dict[str, object]], batch: int) -> Balance:
    state, records = State(), records_of(lines_of(events))
    for first in range(0, len(records), batch):
        fold(state, records[first : first + batch], new_outcome())
    found = state.balances.find("c")
    assert found is not None
    return found


@pytest.mark.parametrize("trigger", [True, False], ids=["ordinary charges", "charges evaluated in full"])
def test_every_way_of_a_charge_counts_the_same(trigger: bool) -> None:
    """An ordinary charge is counted in the fold itself; where each is evaluated, by the charge."""
    rules = [RULE] if trigger else [{**RULE, "runway_seconds": 1}]
    events = [{**PROFILE, "rules": rules}, CLIENT, PAID, *hourly(1, 80)]
    whole, single = balances_after(events, 1000), balances_after(events, 1)
    assert (whole.spent, whole.spent_before) == (single.spent, single.spent_before)
    expected = balance()
    for hour in range(1, 81):
        spend(expected, UNIT, MIDNIGHT + hour * HOUR)
    assert (whole.spent, whole.spent_before, whole.charged_at) == (
        expected.spent, expected.spent_before, expected.charged_at,
    )  # fmt: skip


def test_an_ordinary_charge_is_cut_too() -> None:
    most = {"amount_micros": SPENT_MAX - 1}
    events = [event(f"d0 01:0{number}", "payment", "c", **most) for number in range(2)]
    events += [event("d0 02:00", "charge", "c", **most), event("d0 03:00", "charge", "c", **most)]
    assert balances_after([PROFILE, CLIENT, *events], 100).spent == SPENT_MAX


def changes(events: Sequence[dict[str, object]]) -> list[tuple[str, Runway | None]]:
    state, out = State(), new_outcome(every_change=True)
    fold(state, records_of(lines_of(events)), out)
    return [(output.at, output.runway) for output in out.outputs if isinstance(output, Change)]


def test_a_change_tells_it() -> None:
    told = changes([PROFILE, CLIENT, PAID, *hourly(1, 49)])
    assert [runway for _, runway in told[:26]] == [None] * 26
    assert told[26] == (at("d1 01:00"), Runway(75 * 86_400 // 25))
    assert told[-1][1] is not None


def test_a_change_that_leaves_nothing_tells_none() -> None:
    told = changes([PROFILE, CLIENT, PAID, *hourly(1, 48), event("d2 00:30", "charge", "c", amount="52")])
    assert told[-2][1] is not None
    assert told[-1][1] is None


def test_who_asks_for_the_view_is_told_down_to_each_threshold() -> None:
    state = folded([PROFILE, CLIENT, PAID, *hourly(1, 48)])
    found, account = state.balances.find("c"), state.accounts.find("c")
    assert found is not None
    assert account is not None
    change = view(state, found, ChangeNote(state.clock, None))
    told = with_thresholds(state, found, account, change).runway
    assert told is not None
    assert told.zero_seconds == seconds_until(found, 0, state.clock)
    assert told.thresholds == (RunwayThreshold("low", seconds_until(found, 5 * UNIT, state.clock) or 0),)
    assert with_thresholds(state, found, account, msgspec.structs.replace(change, runway=None)).runway is None


@pytest.mark.parametrize(("base", "quote", "rate"), [("EUR", "USD", "2"), ("USD", "EUR", "0.5")])
def test_thresholds_in_another_currency(base: str, quote: str, rate: str) -> None:
    profile = {**PROFILE, "currency": "USD", "rules": [{**RULE, "threshold": "10"}]}
    held = event("d0 00:00", "exchange_rate", base=base, quote=quote, rate=rate)
    for events, thresholds in (([held], 1), ([], 0)):
        state = folded([*events, profile, CLIENT, PAID, *hourly(1, 48)])
        found, account = state.balances.find("c"), state.accounts.find("c")
        assert found is not None
        assert account is not None
        told = with_thresholds(state, found, account, view(state, found, ChangeNote(state.clock, None))).runway
        assert told is not None
        assert [one.seconds for one in told.thresholds] == [seconds_until(found, 5 * UNIT, state.clock)] * thresholds


def test_a_client_without_a_profile_has_no_thresholds() -> None:
    state = folded([{**CLIENT, "profile": None}, PAID, *hourly(1, 48)])
    found, account = state.balances.find("c"), state.accounts.find("c")
    assert found is not None
    assert account is not None
    told = with_thresholds(state, found, account, view(state, found, ChangeNote(state.clock, None))).runway
    assert told is not None
    assert told.thresholds == ()


# The rule kind

DAY_LEFT = {**RULE, "rule": "day", "threshold": "0", "runway_seconds": 24 * 3600}


def sent(events: Sequence[dict[str, object]]) -> list[Notification]:
    state, out = State(), new_outcome()
    fold(state, records_of(lines_of(events)), out)
    return [output for output in out.outputs if isinstance(output, Notification)]


def test_less_than_a_day_left() -> None:
    """One an hour, 100 paid: after the charge of hour 76 there are 24 left, which is a little under a day's worth."""
    told = sent([{**PROFILE, "rules": [DAY_LEFT]}, CLIENT, PAID, *hourly(1, 90)])
    assert [(one.kind, one.rule, one.at, one.available, one.threshold) for one in told] == [
        ("low_balance", "day", at("d3 04:00"), "24", "0")
    ]
    assert told[0].runway_seconds is not None
    assert 23 * 3600 < told[0].runway_seconds < 24 * 3600


def test_a_rule_without_a_runway_says_none() -> None:
    assert [one.runway_seconds for one in sent([PROFILE, CLIENT, PAID, *hourly(1, 97)])] == [None]


def test_below_the_threshold_it_holds_without_an_estimate() -> None:
    profile = {**PROFILE, "rules": [{**DAY_LEFT, "threshold": "5"}]}
    told = sent([profile, CLIENT, event("d0 00:01", "payment", "c", amount="4")])
    assert [(one.rule, one.runway_seconds) for one in told] == [("day", None)]


def test_a_refill_must_lift_it_out_of_the_runway() -> None:
    profile = {**PROFILE, "rules": [DAY_LEFT]}
    spent = [profile, CLIENT, PAID, *hourly(1, 80)]
    small = [*spent, event("d3 08:30", "payment", "c", amount="1")]
    large = [*spent, event("d3 08:30", "payment", "c", amount="30")]
    assert [one.kind for one in sent(small)] == ["low_balance"]
    assert [one.kind for one in sent(large)] == ["low_balance", "recovered"]


def test_unlimited_money_never_runs_out() -> None:
    events = [{**PROFILE, "rules": [DAY_LEFT]}, CLIENT, PAID, event("d0 00:30", "credit_limit", "c", limit=None)]
    assert sent([*events, *hourly(1, 90)]) == []


def test_a_reminder_looks_again() -> None:
    profile = {**PROFILE, "period_seconds": 3 * 86_400, "rules": [DAY_LEFT]}
    later = event("d9 00:00", "client", "o", currency="EUR")
    told = sent([profile, CLIENT, PAID, *hourly(1, 78), later])
    assert [one.at for one in told] == [at("d3 04:00")]  # three days on, the estimate is above a day


WHY = [
    (
        hourly(1, 60),
        "not_below",
        "Not sent: available 40 EUR is not below the threshold 0 EUR, and is estimated to last for 39 h 11 min, not "
        "less than 24 h.",
    ),
    (
        hourly(1, 10),
        "not_below",
        "Not sent: available 90 EUR is not below the threshold 0 EUR, and no estimate says that it lasts less than "
        "24 h.",
    ),
]


@pytest.mark.parametrize(("charges", "verdict", "sentence"), WHY)
def test_why(charges: list[dict[str, object]], verdict: str, sentence: str) -> None:
    answer = why(folded([{**PROFILE, "rules": [DAY_LEFT]}, CLIENT, PAID, *charges]), "c")
    assert answer is not None
    rule = answer.rules[0]
    assert (rule.verdict, rule.runway_seconds) == (verdict, 24 * 3600)
    assert rule.sentence == sentence


@pytest.mark.parametrize(
    ("runway", "last", "phrase"),
    [
        (24 * 3600, 76, "Sent: available 24 EUR is estimated to last for 23 h"),
        (90, 99, "Not sent: available 1 EUR is not below the threshold 0 EUR, and is estimated to last for 58 min"),
        (86_400, 101, "is below the threshold 0 EUR"),
        (86_400, 100, "available 0 EUR is estimated to last for 0 s, less than 24 h, down to the threshold 0 EUR"),
    ],
)
def test_why_it_was_sent(runway: int, last: int, phrase: str) -> None:
    rule = {**DAY_LEFT, "runway_seconds": runway}
    answer = why(folded([{**PROFILE, "rules": [rule]}, CLIENT, PAID, *hourly(1, last)]), "c", "day")
    assert answer is not None
    assert phrase in answer.rules[0].sentence


def test_why_in_seconds() -> None:
    rule = {**DAY_LEFT, "runway_seconds": 59}
    answer = why(folded([{**PROFILE, "rules": [rule]}, CLIENT, PAID, *hourly(1, 60)]), "c", "day")
    assert answer is not None
    assert answer.rules[0].sentence.endswith("not less than 59 s.")
