"""Configuration events: what they replace, what they refuse, and which clients they make look again."""

from __future__ import annotations

from typing import assert_never

from .clients import profile_of
from .events import (
    ConfigBody,
    CustomerClass,
    Deletion,
    ExchangeRate,
    Plan,
    Profile,
    Reseller,
    Template,
    User,
)
from .state import Client, World
from .values import Refused


def apply_configuration(world: World, body: ConfigBody) -> set[str]:
    """Apply it, or refuse; gives the clients that are to be evaluated at once."""
    match body:
        case Profile():
            _known("reseller", body.reseller, set(world.resellers))
            for user in sorted(_users_of(body)):
                _known("user", user, set(world.users))
            world.profiles[body.profile] = body
            return {client.id for client in world.clients.values() if uses_profile(world, client, body.profile)}
        case Template():
            _known("profile", body.profile, set(world.profiles))
            world.templates[body.template] = body
            return {one.id for one in world.clients.values() if one.settings.template == body.template}
        case CustomerClass():
            world.customer_classes[body.customer_class] = body
            return set()
        case Reseller():
            old = world.resellers.get(body.reseller)
            world.resellers[body.reseller] = body
            if old is None or old.email == body.email:
                return set()
            return {one.id for one in world.clients.values() if one.settings.reseller == body.reseller}
        case User():
            before = world.users.get(body.user)
            world.users[body.user] = body
            if before is None or (before.email, before.phone) == (body.email, body.phone):
                return set()
            return {client.id for client in world.clients.values() if _written_to(world, client, body.user)}
        case Plan():
            _apply_plan(world, body)
            return set()
        case ExchangeRate():
            world.rates[body.base, body.quote] = body.rate
            return set()
        case Deletion():
            _delete(world, body)
            return set()
        case _:
            assert_never(body)


def _known(field: str, key: str | None, known: set[str]) -> None:
    if key is not None and key not in known:
        raise Refused("unknown_reference", f"{field} {key} is unknown")


def _users_of(profile: Profile) -> set[str]:
    return {user for rule in profile.rules if rule.audience == "user" for user in rule.users}


def uses_profile(world: World, client: Client, profile: str) -> bool:
    used = profile_of(world, client.settings)
    return used is not None and used.profile == profile


def _written_to(world: World, client: Client, user: str) -> bool:
    """Whether a user is among those a client's rules may write to."""
    profile = profile_of(world, client.settings)
    return client.settings.manager == user or (profile is not None and user in _users_of(profile))


def _apply_plan(world: World, plan: Plan) -> None:
    old = world.plans.get(plan.plan)
    lives = any(bucket.plan == plan.plan for client in world.clients.values() for bucket in client.buckets)
    if old is not None and old.unit != plan.unit and lives:
        raise Refused("fixed", "the unit is fixed while a grant lives")
    world.plans[plan.plan] = plan


def _delete(world: World, body: Deletion) -> None:
    key = body.key[0]
    tables: dict[str, set[str]] = {
        "profile": set(world.profiles),
        "template": set(world.templates),
        "customer_class": set(world.customer_classes),
        "reseller": set(world.resellers),
        "user": set(world.users),
        "time_balance_plan": set(world.plans),
    }
    if body.kind == "exchange_rate":
        if (body.key[0], body.key[1]) not in world.rates:
            raise Refused("unknown_reference", f"there is no rate from {body.key[0]} to {body.key[1]}")
        del world.rates[body.key[0], body.key[1]]
        return
    if key not in tables[body.kind]:
        raise Refused("unknown_reference", f"{body.kind} {key} is unknown")
    users = users_of(world, body.kind, key)
    if users:
        raise Refused("in_use", f"{body.kind} {key} is used by {', '.join(users)}")
    match body.kind:
        case "profile":
            del world.profiles[key]
        case "template":
            del world.templates[key]
        case "customer_class":
            del world.customer_classes[key]
        case "reseller":
            del world.resellers[key]
        case "user":
            del world.users[key]
        case "time_balance_plan":
            del world.plans[key]
        case _:
            raise AssertionError(body.kind)


def users_of(world: World, kind: str, key: str) -> list[str]:
    """Who names a configuration object: clients, profiles and templates."""
    found = []
    for client in sorted(world.clients.values(), key=lambda one: one.id):
        settings = client.settings
        named: dict[str, set[str | None]] = {
            "profile": {settings.profile},
            "template": {settings.template},
            "customer_class": {settings.customer_class},
            "reseller": {settings.reseller},
            "user": {settings.manager},
            "time_balance_plan": set(client.plans),
        }
        if key in named[kind]:
            found.append(f"client {client.id}")
    for profile in sorted(world.profiles.values(), key=lambda one: one.profile):
        if (kind == "reseller" and profile.reseller == key) or (kind == "user" and key in _users_of(profile)):
            found.append(f"profile {profile.profile}")
    for template in sorted(world.templates.values(), key=lambda one: one.template):
        if kind == "profile" and template.profile == key:
            found.append(f"template {template.template}")
    return found
