"""Which reminders are stale (semantics 6, "after an outage")."""

import pytest

from notifiers.supersession import ReadAhead
from schemas.outputs import Notification
from schemas.times import parse_time
from tests.fakes.notifications import notification

DUE = "2026-03-02T10:05:00Z"
NOW = parse_time(DUE)
FIRST = notification(sequence=1, next_at=DUE)


def _held(*others: Notification) -> ReadAhead:
    held = ReadAhead()
    for one in (FIRST, *others):
        held.add(one)
    return held


def test_an_older_reminder_past_its_period_is_superseded() -> None:
    held = _held(notification(sequence=2))
    assert held.supersedes(FIRST, NOW)
    assert held.latest(FIRST) == 2


def test_it_is_not_a_microsecond_before_its_next_is_due() -> None:
    assert not _held(notification(sequence=2)).supersedes(FIRST, NOW - 1)


def test_the_latest_is_never_superseded() -> None:
    latest = notification(sequence=3, next_at=DUE)
    held = _held(notification(sequence=2, next_at=DUE), latest)
    assert not held.supersedes(latest, NOW)
    assert held.supersedes(FIRST, NOW)


def test_alone_it_is_not_superseded() -> None:
    assert not _held().supersedes(FIRST, NOW)


@pytest.mark.parametrize(
    "other",
    [
        notification(sequence=2, episode=2),
        notification(sequence=2, rule="another"),
        notification("c-43", sequence=2),
        notification(sequence=0, kind="recovered"),
    ],
)
def test_only_a_later_one_of_the_same_episode_supersedes(other: Notification) -> None:
    assert not _held(other).supersedes(FIRST, NOW)


def test_without_a_next_reminder_it_is_not_superseded() -> None:
    last = notification(sequence=1, next_at=None)
    held = ReadAhead()
    held.add(last)
    held.add(notification(sequence=2))
    assert not held.supersedes(last, NOW)


def test_a_later_one_still_supersedes_after_it_was_sent_itself() -> None:
    later = notification(sequence=2)
    held = _held(later)
    held.remove(later)
    assert held.supersedes(FIRST, NOW)


def test_nothing_is_remembered_once_nothing_is_held() -> None:
    held = _held()
    held.remove(FIRST)
    assert held.latest(FIRST) is None
