"""What a configuration event does to a partition: it is checked, kept, and the clients that it touches are evaluated.

Semantics 4, "edited while below"; 5, "edits"; 6: a change only of the clients whose view it alters.
"""

from collections.abc import Iterable
from typing import assert_never

from engine.core.configuration import USERS_NAMED_MAX, key_of
from engine.core.evaluation import evaluate, index_due
from engine.core.outcome import Outcome
from engine.core.records import Account, Balance
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

ClientConfiguration = Profile | Template | CustomerClass | Reseller | User | ExchangeRate
"""Configuration whose clients are evaluated, if any are; a plan's are not."""


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
    if isinstance(event, TimeBalancePlan):
        _apply_plan(state, out, event, now)
        return
    touched = _touched(state, event)
    state.config.define(event)
    for client in touched:
        balance, account = _client(state, client)
        before = shown(state, balance)
        step = Step(state, out, balance, account, now, event)
        evaluate(step)
        step.emit(changed=shown(state, balance) != before)


def _apply_plan(state: State, out: Outcome, event: TimeBalancePlan, now: int) -> None:
    """A plan's grace shows in the view of its clients and moves their timers; no rule of theirs hangs on it."""
    clients = state.references.clients("time_balance_plan", event.plan)
    before = {client: shown(state, _client(state, client)[0]) for client in clients}
    state.config.define(event)
    for client in clients:
        balance, account = _client(state, client)
        step = Step(state, out, balance, account, now, event)
        expire(step)
        index_due(state, balance, account, now)
        state.accounts.dirty[client] = account
        changed = shown(state, balance) != before[client]
        if changed:
            state.balances.dirty[client] = balance
        step.emit(changed=changed)


def _client(state: State, client: str) -> tuple[Balance, Account]:
    """Both records of a client that exists."""
    balance, account = state.balances.find(client), state.accounts.find(client)
    assert balance is not None
    assert account is not None
    return balance, account


def _touched(state: State, event: ClientConfiguration) -> list[str]:
    """The clients to evaluate, by id: those whose rules, capacity or recipients the definition decides."""
    clients = state.references.clients
    match event:
        case Profile():
            found: Iterable[str] = _of_profile(state, event.profile)
        case Template():
            found = clients("template", event.template)
        case Reseller():
            old = state.config.resellers.get(event.reseller)
            found = () if old is None or old.email == event.email else clients("reseller", event.reseller)
        case User():
            was = state.config.users.get(event.user)
            moved = was is not None and (was.email, was.phone) != (event.email, event.phone)
            found = _written_to(state, event.user) if moved else ()
        case CustomerClass() | ExchangeRate():
            found = ()
        case _:
            assert_never(event)
    return sorted(dict.fromkeys(found))


def _written_to(state: State, user: str) -> list[str]:
    """Clients whose rules may write to a user: as their manager, or named by a rule."""
    found = list(state.references.clients("manager", user))
    for profile in state.config.profiles.values():
        if any(user in rule.users for rule in profile.rules if rule.audience == "user"):
            found += _of_profile(state, profile.profile)
    return found


def _of_profile(state: State, profile: str) -> list[str]:
    """Clients that use a profile as their own, or through their template where they have none."""
    found = list(state.references.clients("profile", profile))
    for template in state.config.templates.values():
        if template.profile == profile:
            named = state.references.clients("template", template.template)
            found.extend(client for client in named if _client(state, client)[1].settings.profile is None)
    return found
