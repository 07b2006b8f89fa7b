"""What a configuration event does to a partition: it is checked, kept, and the clients that it touches are evaluated.

Semantics 4, "edited while below"; 5, "edits"; 6: a change only of the clients whose view it alters.
"""

from collections.abc import Iterable
from typing import assert_never

from engine.core.configuration import USERS_NAMED_MAX, key_of
from engine.core.evaluation import evaluate
from engine.core.outcome import Outcome
from engine.core.state import State
from engine.core.step import Step
from engine.core.time_balance import expire
from engine.core.view import shown
from schemas.events import (
    Configuration,
    CustomerClass,
    CustomerClassDeleted,
    Deleted,
    ExchangeRate,
    ExchangeRateDeleted,
    Profile,
    ProfileDeleted,
    Reseller,
    ResellerDeleted,
    Template,
    TemplateDeleted,
    TimeBalancePlan,
    TimeBalancePlanDeleted,
    User,
    UserDeleted,
)
from schemas.reasons import Reason, Refusal

DELETED = (
    ProfileDeleted,
    TemplateDeleted,
    CustomerClassDeleted,
    ResellerDeleted,
    UserDeleted,
    TimeBalancePlanDeleted,
    ExchangeRateDeleted,
)
CONFIGURATION = (Profile, Template, CustomerClass, Reseller, User, TimeBalancePlan, ExchangeRate)


def check_configuration(state: State, event: Configuration | Deleted) -> Refusal | None:
    """Why this partition refuses a configuration event, or None. Changes nothing: a door may ask every partition."""
    if isinstance(event, DELETED):
        return _check_delete(state, event)
    refusal = state.config.unknown_in(event)
    if refusal is None and isinstance(event, TimeBalancePlan):
        refusal = _check_unit(state, event)
    return refusal


def _check_delete(state: State, event: Deleted) -> Refusal | None:
    kind, key = key_of(event)
    if not state.config.knows(kind, key):
        return Refusal(Reason.UNKNOWN_REFERENCE, f"{kind}: expected one that is defined, found {key!r}")
    named = sorted(state.config.configuration_naming(kind, key))
    named += [f"client {client}" for client in clients_naming(state, kind, key)]
    if not named:
        return None
    more = f" and {len(named) - USERS_NAMED_MAX} more" if len(named) > USERS_NAMED_MAX else ""
    users = ", ".join(named[:USERS_NAMED_MAX])
    return Refusal(Reason.IN_USE, f"{kind} {key!r} is in use by {users}{more}; change them first")


def _check_unit(state: State, event: TimeBalancePlan) -> Refusal | None:
    old = state.config.plans.get(event.plan)
    if old is None or old.unit == event.unit:
        return None
    for client in state.references.clients("time_balance_plan", event.plan):
        grants = state.grants.find(client)
        if grants is not None and any(bucket.plan == event.plan for bucket in grants.buckets):
            message = f"unit: fixed to {old.unit} while a grant lives (client {client}), found {event.unit}"
            return Refusal(Reason.FIXED, message)
    return None


def clients_naming(state: State, kind: str, key: str) -> list[str]:
    """The clients of this partition that name a piece of configuration, by id."""
    kinds = ("manager",) if kind == "user" else (kind,)
    return [client for name in kinds for client in state.references.clients(name, key)]


def apply_configuration(state: State, out: Outcome, event: Configuration | Deleted, now: int) -> None:
    """Keeps a definition, or deletes it, and evaluates the clients whose rules or view it can alter."""
    if isinstance(event, DELETED):
        state.config.delete(event)
        return
    touched = _touched(state, event)
    before = {client: _shown(state, client) for client in touched} if isinstance(event, TimeBalancePlan) else {}
    state.config.define(event)
    for client in touched:
        _reevaluate(state, out, event, client, now, before.get(client) or _shown(state, client))


def _shown(state: State, client: str) -> tuple[object, ...]:
    balance = state.balances.find(client)
    assert balance is not None
    return shown(state, balance)


def _touched(state: State, event: Configuration) -> list[str]:
    clients = state.references.clients
    config = state.config
    match event:
        case Profile():
            found: Iterable[str] = _of_profile(state, event.profile)
        case Template():
            found = clients("template", event.template)
        case Reseller():
            found = clients("reseller", event.reseller)
        case User():
            naming = [
                profile.profile
                for profile in config.profiles.values()
                if any(event.user in rule.users for rule in profile.rules)
            ]
            found = [client for profile in naming for client in _of_profile(state, profile)]
            found += clients("manager", event.user)
        case TimeBalancePlan():
            found = clients("time_balance_plan", event.plan)
        case CustomerClass() | ExchangeRate():
            found = ()
        case _:
            assert_never(event)
    return sorted(dict.fromkeys(found))


def _of_profile(state: State, profile: str) -> list[str]:
    """Clients that use a profile as their own or through their template."""
    found = list(state.references.clients("profile", profile))
    for template in state.config.templates.values():
        if template.profile == profile:
            found.extend(state.references.clients("template", template.template))
    return found


def _reevaluate(
    state: State, out: Outcome, event: Configuration, client: str, now: int, before: tuple[object, ...]
) -> None:
    balance, account = state.balances.find(client), state.accounts.find(client)
    assert balance is not None
    assert account is not None
    step = Step(state, out, balance, account, now, event)
    if balance.metered:
        expire(step)
    evaluate(step)
    step.emit(changed=shown(state, balance) != before)
