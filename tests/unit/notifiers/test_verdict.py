"""What an attempt leads to, by the kind of failure (README of the notifiers, "What is tried again")."""

import pytest

from notifiers.attempts import Attempt, Failure, FailureKind, back_off, failed
from notifiers.config import DeliveryOptions
from notifiers.gateways import kannel_kind, retry_after, webhook_kind
from notifiers.lane import Parcel
from notifiers.smtp import reply_kind
from notifiers.verdict import Again, Settled, judge
from tests.fakes.notifications import notification

ONE, TWO = "one@example.net", "two@example.net"
OPTIONS = DeliveryOptions(attempts_max=3, deferral_seconds_max=100, backoff_first_seconds=2, backoff_max_seconds=10)
DOWN, UNAVAILABLE, DEFERRED, REFUSED = FailureKind


def _parcel(*to: str) -> Parcel:
    return Parcel(notification(to=to), 0, 0, 0, to, acceptances_seen=0)


def _judge(parcel: Parcel, attempt: Attempt, acceptances: int = 0, now: float = 0.0) -> Settled | Again:
    return judge(parcel, attempt, acceptances, now, OPTIONS, chance=lambda: 0.0)


def test_taken_is_sent() -> None:
    assert _judge(_parcel(ONE), Attempt((ONE,))) == Settled("sent", "")


def test_refused_is_a_dead_letter_at_once() -> None:
    verdict = _judge(_parcel(ONE), failed(REFUSED, [ONE], "550 no such user"))
    assert verdict == Settled("failed", "refused: 550 no such user")


def test_some_refused_is_sent_and_says_who_was_not_served() -> None:
    parcel = _parcel(ONE, TWO)
    verdict = _judge(parcel, Attempt((ONE,), (Failure(REFUSED, (TWO,), f"{TWO}: 550 no such user"),)))
    assert verdict == Settled("sent", f"refused: {TWO}: 550 no such user")
    assert parcel.accepted == (ONE,)


def test_only_those_not_served_are_tried_again() -> None:
    parcel = _parcel(ONE, TWO)
    assert isinstance(_judge(parcel, Attempt((ONE,), (Failure(DEFERRED, (TWO,), "450"),))), Again)
    assert parcel.owed == (TWO,)
    assert _judge(parcel, Attempt((TWO,))) == Settled("sent", "")
    assert parcel.accepted == (ONE, TWO)


def test_a_peer_that_is_down_never_costs_a_message() -> None:
    parcel = _parcel(ONE)
    for hour in range(1000):
        verdict = _judge(parcel, failed(DOWN, [ONE], "refused"), acceptances=hour, now=hour * 3600.0)
        assert verdict == Again(DOWN, "refused", 0.0)


def test_a_peer_that_turns_everything_away_never_costs_a_message() -> None:
    parcel = _parcel(ONE)
    for hour in range(1000):
        verdict = _judge(parcel, failed(UNAVAILABLE, [ONE], "401"), acceptances=0, now=hour * 3600.0)
        assert isinstance(verdict, Again)


@pytest.mark.parametrize("kind", [DEFERRED, UNAVAILABLE])
def test_a_message_that_alone_is_turned_away_is_given_up(kind: FailureKind) -> None:
    parcel = _parcel(ONE)
    verdicts = [_judge(parcel, failed(kind, [ONE], "451"), acceptances=taken) for taken in (1, 2, 3)]
    assert [isinstance(verdict, Again) for verdict in verdicts] == [True, True, False]
    assert verdicts[-1] == Settled("failed", "given up after 3 attempts: 451")


def test_a_failure_counts_only_if_another_message_was_taken_since_the_last() -> None:
    parcel = _parcel(ONE)
    for acceptances in (1, 1, 1, 1, 2):
        assert isinstance(_judge(parcel, failed(DEFERRED, [ONE], "451"), acceptances), Again)
    assert parcel.counted == 2


def test_a_message_deferred_for_too_long_is_given_up_where_nothing_else_is_sent() -> None:
    parcel = _parcel(ONE)
    assert isinstance(_judge(parcel, failed(DEFERRED, [ONE], "451"), now=50.0), Again)
    assert isinstance(_judge(parcel, failed(DEFERRED, [ONE], "451"), now=149.0), Again)
    verdict = _judge(parcel, failed(DEFERRED, [ONE], "451"), now=150.0)
    assert verdict == Settled("failed", "given up after being deferred for 100 s: 451")


def test_given_up_for_one_address_is_sent_for_the_other() -> None:
    parcel = _parcel(ONE, TWO)
    verdict: Settled | Again = _judge(parcel, Attempt((ONE,), (Failure(DEFERRED, (TWO,), "450"),)))
    for taken in (1, 2):
        verdict = _judge(parcel, failed(DEFERRED, [TWO], "450"), acceptances=taken)
    assert verdict == Settled("sent", "given up after 3 attempts: 450")


def test_waits_double_to_their_cap() -> None:
    parcel = _parcel(ONE)
    waits = []
    for _ in range(5):
        verdict = _judge(parcel, failed(DEFERRED, [ONE], "451"))
        assert isinstance(verdict, Again)
        waits.append(verdict.wait_seconds)
    assert waits == [2, 4, 8, 10, 10]


def test_an_outage_does_not_lengthen_the_first_wait_after_it() -> None:
    parcel = _parcel(ONE)
    for _ in range(50):
        _judge(parcel, failed(DOWN, [ONE], "refused"))
    verdict = _judge(parcel, failed(DEFERRED, [ONE], "451"))
    assert isinstance(verdict, Again)
    assert verdict.wait_seconds == 2


def test_a_wait_that_the_peer_asks_for_is_kept_within_bounds() -> None:
    options = DeliveryOptions(retry_after_seconds_max=60)
    for asked, waited in ((30.0, 30.0), (1e9, 60.0)):
        verdict = judge(_parcel(ONE), failed(DEFERRED, [ONE], "503", asked), 0, 0.0, options, lambda: 0.0)
        assert isinstance(verdict, Again)
        assert verdict.wait_seconds == waited


def test_chance_shortens_a_wait_by_a_quarter_at_most() -> None:
    assert back_off(3, 1.0, 100.0, lambda: 0.0) == 4.0
    assert back_off(3, 1.0, 100.0, lambda: 1.0) == 3.0
    assert back_off(10_000, 1.0, 100.0, lambda: 0.0) == 100.0


@pytest.mark.parametrize(
    ("code", "kind"),
    [(421, UNAVAILABLE), (450, DEFERRED), (451, DEFERRED), (452, DEFERRED), (550, REFUSED), (554, REFUSED)],
)
def test_replies_of_a_mail_server(code: int, kind: FailureKind) -> None:
    assert reply_kind(code) is kind


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (301, UNAVAILABLE),
        (400, REFUSED),
        (401, UNAVAILABLE),
        (403, UNAVAILABLE),
        (404, UNAVAILABLE),
        (408, DEFERRED),
        (413, REFUSED),
        (422, REFUSED),
        (429, DOWN),
        (500, DEFERRED),
        (502, UNAVAILABLE),
        (503, UNAVAILABLE),
    ],
)
def test_answers_of_a_gateway(status: int, kind: FailureKind) -> None:
    assert webhook_kind(status, "") is kind


def test_kannel_says_403_of_a_number_without_a_route_too() -> None:
    assert kannel_kind(403, "Not routable. Do not try again.") is REFUSED
    assert kannel_kind(403, "Authorization failed for sendsms") is UNAVAILABLE


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("120", 120.0),
        ("Thu, 01 Jan 1970 00:01:40 GMT", 40.0),
        ("Thu, 01 Jan 1970 00:00:00 GMT", 0.0),
        ("soon", None),
        ("", None),
    ],
)
def test_retry_after_is_seconds_or_a_date(value: str, seconds: float | None) -> None:
    assert retry_after({"retry-after": value}, now=60.0) == seconds
