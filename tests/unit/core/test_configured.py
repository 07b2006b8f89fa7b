"""Whom an edit of configuration reaches at once (semantics 4, "edited while below"; 6)."""

import pytest

from tests.unit.core.world import Json, World

RULE: Json = {"rule": "low", "audience": "client", "threshold": "5", "notify": True}


def _world() -> World:
    """Clients with a profile of their own, with that of their template, and with both."""
    world = World()
    for profile in ("p", "q"):
        world.take("profile", "08:00", profile=profile)
    world.take("template", "08:00", template="t", profile="p")
    for client, settings in (
        ("own", {"profile": "p"}),
        ("shared", {"template": "t"}),
        ("both", {"template": "t", "profile": "q"}),
        ("none", {}),
    ):
        world.take("client", "08:00", client=client, currency="USD", billing_email=f"{client}@c.example", **settings)
        world.take("payment", "08:00", client=client, amount="1")
    return world


def _told(outputs: list[Json]) -> list[str]:
    return [output["client"] for output in outputs if output["output"] == "notification"]


@pytest.mark.parametrize(("profile", "told"), [("p", ["own", "shared"]), ("q", ["both"])])
def test_edit_of_a_profile_reaches_who_uses_it_as_his_own_or_through_his_template(
    profile: str, told: list[str]
) -> None:
    world = _world()
    assert _told(world.take("profile", "09:00", profile=profile, rules=[RULE])) == told


def test_template_that_gets_another_profile_reaches_who_has_none_of_his_own() -> None:
    world = _world()
    world.take("profile", "09:00", profile="r", rules=[RULE])
    assert _told(world.take("template", "09:01", template="t", profile="r")) == ["shared"]


def test_address_that_a_user_gets_reaches_whose_rules_write_to_him() -> None:
    world = _world()
    world.take("user", "08:30", user="u")
    rule = {"rule": "team", "audience": "user", "threshold": "5", "users": ["u"]}
    assert _told(world.take("profile", "09:00", profile="p", rules=[rule])) == []
    outputs = world.take("user", "09:01", user="u", email="u@o.example")
    assert [(output["client"], output["to"]) for output in outputs] == [
        ("own", ["u@o.example"]),
        ("shared", ["u@o.example"]),
    ]
    assert world.take("user", "09:02", user="u", email="u@o.example", name="Uma") == []


def test_edit_that_alters_a_view_yields_its_change_and_no_other() -> None:
    world = _world()
    outputs = world.take("template", "09:00", template="t", profile="p", capacity=2)
    assert [(output["output"], output["client"], output["capacity"]) for output in outputs] == [
        ("change", "both", 2),
        ("change", "shared", 2),
    ]
    assert world.take("template", "09:01", template="t", profile="p", capacity=2, name="Retail") == []


def test_deleting_names_at_most_five_users_and_counts_the_rest() -> None:
    world = _world()
    world.take("reseller", "08:30", reseller="r")
    for number in range(7):
        world.take("client", "08:30", client=f"c{number}", currency="USD", reseller="r")
    (rejection,) = world.take("reseller_deleted", "09:00", reseller="r")
    assert rejection["message"] == (
        "reseller 'r' is in use by client c0, client c1, client c2, client c3, client c4 and 2 more; change them first"
    )
