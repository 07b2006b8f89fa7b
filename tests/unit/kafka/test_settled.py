"""The set of settled notifications: what was added is in it, whatever was sealed meanwhile, and it is bounded."""

import pytest

from engine.kafka import settled
from engine.kafka.settled import SettledIds


def test_what_was_added_is_there_and_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settled, "_FRESH_MAX", 7)
    ids = SettledIds()
    for number in range(100):
        ids.add(f"c-{number}/low_balance/r/1/1/email")
        ids.add("c-0/low_balance/r/1/1/email")
    assert all(f"c-{number}/low_balance/r/1/1/email" in ids for number in range(100))
    assert not any(f"c-{number}/low_balance/r/1/1/email" in ids for number in range(100, 200))


def test_the_oldest_leave_beyond_the_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settled, "_FRESH_MAX", 10)
    monkeypatch.setattr(settled, "_SEALED_MAX", 3)
    ids = SettledIds()
    for number in range(50):
        ids.add(str(number))
    assert [number for number in range(50) if str(number) in ids] == list(range(20, 50))
