"""Timers fire at their own instants, once each, in order (semantics 1, "Timers")."""

from engine.core.records import Account
from schemas.times import NEVER, format_time
from tests.unit.core.world import World, client_world


def _with_rule(days: int | None = None, **profile: object) -> World:
    world = World()
    rule = {"rule": "low", "audience": "client", "threshold": "5", "notify": True, "inactivity_days": days}
    world.take("profile", "08:00", profile="p", rules=[rule], **profile)
    world.take("client", "08:00", client="c", currency="USD", profile="p", billing_email="a@b")
    world.take("payment", "08:00", client="c", amount="10")
    return world


def _due(account: Account) -> str | None:
    return None if account.due == NEVER else format_time(account.due)


def test_timer_due_exactly_at_a_record_fires_before_it_with_its_own_instant() -> None:
    world = _with_rule(period_seconds=3600)
    world.take("charge", "09:00", client="c", amount="6")
    outputs = world.take("payment", "10:00", client="c", amount="6")
    assert [(output["output"], output["at"], output["cause"] is None) for output in outputs] == [
        ("notification", "2026-01-01T10:00:00Z", True),
        ("change", "2026-01-01T10:00:00Z", False),
        ("notification", "2026-01-01T10:00:00Z", False),
    ]


def test_every_reminder_that_was_due_is_decided_at_its_instant() -> None:
    world = _with_rule(period_seconds=3600)
    world.take("charge", "09:00", client="c", amount="6")
    outputs = world.take("tick", "12:30")
    assert [output["at"] for output in outputs] == [f"2026-01-01T{hour}:00:00Z" for hour in (10, 11, 12)]
    assert world.out.timers == 3


def test_entry_that_a_charge_made_early_is_renewed_and_nothing_comes_out() -> None:
    """A charge on the short way moves inactivity, not the index: the entry comes up early and finds its new instant."""
    world = _with_rule(days=1)
    world.take("charge", "09:00", client="c", amount="6")
    assert _due(world.account()) == "2026-01-02T09:00:00Z"
    world.take("charge", "15:00", client="c", amount="1")
    assert _due(world.account()) == "2026-01-02T09:00:00Z"
    world.state.accounts.dirty.clear()
    assert world.take("tick", "2026-01-02T12:00:00Z") == []
    assert world.out.timers == 0
    assert _due(world.account()) == "2026-01-02T15:00:00Z"
    assert list(world.state.accounts.dirty) == ["c"]
    (notification,) = world.take("tick", "2026-01-02T15:00:00Z")
    assert notification["at"] == "2026-01-02T15:00:00Z"
    assert _due(world.account()) is None


def test_reminder_alone_alters_no_view_and_an_expiry_does() -> None:
    world = client_world(model="postpaid")
    world.take("temporary_credit", "09:01", client="c", amount="5", valid_until="2026-01-01T10:00:00Z")
    outputs = world.take("tick", "11:00")
    assert [(output["output"], output["at"]) for output in outputs] == [
        ("change", "2026-01-01T10:00:00Z"),
        ("credit_history", "2026-01-01T10:00:00Z"),
    ]
    assert _due(world.account()) is None


def test_clients_due_at_one_instant_come_by_id() -> None:
    world = World()
    for client in ("b", "a", "c"):
        world.take("client", "08:00", client=client, currency="USD", model="postpaid")
        world.take("temporary_credit", "08:00", client=client, amount="5", valid_until="2026-01-01T10:00:00Z")
    outputs = world.take("tick", "10:00")
    assert [output["client"] for output in outputs if output["output"] == "change"] == ["a", "b", "c"]


def test_tick_has_no_output_of_its_own() -> None:
    world = client_world()
    assert world.take("tick", "12:00") == []
    assert world.state.clock == 1_767_268_800_000_000
