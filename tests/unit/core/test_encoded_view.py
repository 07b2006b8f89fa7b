"""Coalesced changes as bytes say what the view says, in every form that they are written in."""

import json
from typing import Any

from engine.core.encoded_view import encoded_views
from engine.core.fold import Record, fold, new_outcome
from engine.core.state import State
from engine.core.view import view
from schemas.codec import decode
from schemas.outputs import encode_output
from schemas.times import parse_time


def record(tag: str, at: str, id: str, **fields: Any) -> Record:  # Any: JSON
    raw = json.dumps({"type": tag, "source": "t", "id": id, "time": at, **fields}).encode()
    return Record(parse_time(at), decode(raw), raw)


def written(*batches: list[Record]) -> list[dict[str, Any]]:  # Any: JSON
    """The changes of the last batch, each compared with the view's own bytes."""
    state, lines = State(), list[bytes]()
    for batch in batches:
        out = new_outcome()
        fold(state, batch, out)
        lines = encoded_views(state, out.changed)
        assert lines == [encode_output(view(state, state.balances[name], note)) for name, note in out.changed.items()]
    return [json.loads(line) for line in lines]


def client(name: str, **fields: Any) -> Record:  # Any: JSON
    return record("client", "2026-01-01T09:00:00Z", f"client-{name}", client=name, currency="EUR", **fields)


def limit(name: str, limit: str | None) -> Record:
    return record("credit_limit", "2026-01-01T09:01:00Z", f"limit-{name}", client=name, limit=limit)


def charge(name: str, at: str, amount: str = "1") -> Record:
    return record("charge", at, f"charge-{name}-{at}", client=name, amount=amount)


def test_clients_charged_at_one_instant_and_at_two() -> None:
    at = "2026-01-01T09:05:00Z"
    changes = written(
        [client("a"), client("b"), client("c"), limit("a", "9"), limit("b", "9")],
        [charge("a", at), charge("b", at), charge("c", "2026-01-01T09:06:00Z", "0.25")],
    )
    assert [(one["client"], one["at"], one["live"], one["status"]) for one in changes] == [
        ("a", at, "-1", "active"),
        ("b", at, "-1", "active"),
        ("c", "2026-01-01T09:06:00Z", "-0.25", "exhausted"),
    ]


def test_charge_whose_log_time_is_before_the_clock_is_told_at_the_clock() -> None:
    last = "2026-01-01T09:05:00Z"
    setup = [client("a"), client("b"), limit("a", "9"), limit("b", "9")]
    first = [charge(name, "2026-01-01T09:02:00Z") for name in "ab"]  # from the second on a charge is ordinary
    changes = written([*setup, *first], [charge("a", last), charge("b", "2026-01-01T09:04:00Z")])
    assert [(one["client"], one["version"], one["at"]) for one in changes] == [("a", 4, last), ("b", 4, last)]


def test_unlimited_credit_is_null_and_active() -> None:
    at = "2026-01-01T09:05:00Z"
    (change,) = written([client("a", model="postpaid"), limit("a", None)], [charge("a", at)])
    assert (change["model"], change["available"], change["status"]) == ("postpaid", None, "active")
    assert change["credit"] == {"permanent": None, "temporary": "0", "valid_until": None}


def test_runway_is_there_once_charges_are_of_a_day() -> None:
    first, last = "2026-01-01T09:05:00Z", "2026-01-02T10:00:00Z"
    (change,) = written([client("a"), limit("a", "100"), charge("a", first)], [charge("a", last)])
    assert change["runway"]["zero_seconds"] > 0


def test_runway_above_a_year_is_not_told() -> None:
    first, last = "2026-01-01T09:05:00Z", "2026-01-02T10:00:00Z"
    (change,) = written([client("a"), limit("a", "1000000"), charge("a", first)], [charge("a", last, "0.01")])
    assert "runway" not in change
