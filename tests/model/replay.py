"""The fold: lines of a log in, outputs out, the clock moving in between."""

from __future__ import annotations

import copy
from collections.abc import Iterable
from dataclasses import replace

from .clients import apply_settings, change, view
from .configuration import apply_configuration
from .events import (
    Adjustment,
    Charge,
    ClientSettings,
    CreditLimit,
    Event,
    Invoice,
    Payment,
    TemporaryCredit,
    TimeBalance,
    Transfer,
)
from .money import (
    apply_adjustment,
    apply_credit_limit,
    apply_invoice,
    apply_payment,
    apply_temporary_credit,
    check_fits,
    expire_temporary,
)
from .parse import log_time, parse
from .rules import evaluate, next_rule_instant
from .state import Client, Effect, Output, RememberedCharge, Seen, World
from .time_balance import apply_charge, apply_time_balance, expire_units, give_back, next_expiry
from .transfers import check_and_move
from .values import DEDUPE_WINDOW, Refused, parse_time
from .wire import decode


def replay(lines: Iterable[bytes], until: str | None = None, final: bool = False) -> list[Output]:
    """The outputs of `plimsoll replay`, in order; with `final` the last change of each client, by id."""
    world = World()
    outputs: list[Output] = []
    for number, raw in enumerate(lines):
        outputs += _line(world, raw, first=number == 0)
    if until is not None:
        end = parse_time(until)
        if end is None:
            raise ValueError(f"until cannot be read: {until}")
        outputs += advance(world, end)
    if final:
        last = {str(one["client"]): one for one in outputs if one["output"] == "change"}
        return [last[client] for client in sorted(last)]
    return outputs


def _line(world: World, raw: bytes, first: bool) -> list[Output]:
    line = decode(raw, first)
    if line is None:
        return []
    if line.fields is None:
        return [_rejection(Refused("malformed", "the line is no JSON object"), line.echo)]
    outputs: list[Output] = []
    moment = log_time(line.fields)
    if moment is not None:
        outputs += advance(world, moment)
    try:
        event = parse(line.fields)
        outputs += accept(world, event)
    except Refused as refused:
        outputs.append(_rejection(refused, line.echo))
    return outputs


def _rejection(refused: Refused, echo: object) -> Output:
    return {"output": "rejection", "reason": refused.reason, "message": refused.message, "event": echo}


# The clock


def advance(world: World, moment: int) -> list[Output]:
    """Move the clock, firing every timer due on the way, in order; an earlier moment is the present."""
    outputs: list[Output] = []
    while world.clock is not None and world.clock < moment:
        due = {client.id: _next_instant(world, client) for client in world.clients.values()}
        instants = [instant for instant in due.values() if instant is not None and instant <= moment]
        if not instants:
            break
        world.clock = min(instants)
        for client_id in sorted(client_id for client_id, instant in due.items() if instant == world.clock):
            outputs += _fire(world, world.clients[client_id], world.clock)
    world.clock = moment if world.clock is None else max(world.clock, moment)
    return outputs


def _next_instant(world: World, client: Client) -> int | None:
    """The earliest instant after now at which the clock alone does something to a client."""
    assert world.clock is not None
    temporary = client.temporary.valid_until if client.temporary else None
    instants = (temporary, next_expiry(world, client), next_rule_instant(world, client, world.clock))
    found = [instant for instant in instants if instant is not None]
    assert all(instant > world.clock for instant in found)
    return min(found, default=None)


def _fire(world: World, client: Client, now: int) -> list[Output]:
    """Everything due for one client at one instant, then one evaluation."""
    effect = Effect(now, cause=None)
    before = view(world, client)
    expire_temporary(client, effect)
    expire_units(world, client, effect)
    outputs = [] if view(world, client) == before else _facts(world, client, effect)
    return outputs + evaluate(world, client, effect)


def _facts(world: World, client: Client, effect: Effect) -> list[Output]:
    """The change and what it recorded, in order."""
    expired = sorted(effect.units_expired, key=lambda one: str(one["grant"]))
    return [change(world, client, effect), *effect.credit_history, *effect.usage_rejected, *expired]


# Events


def accept(world: World, event: Event) -> list[Output]:
    """Apply one readable event, or refuse it; a duplicate gives nothing."""
    body = event.body
    if body is None:
        return []
    assert world.clock is not None
    now = world.clock
    sender = world.clients.get(event.client) if event.client is not None else None
    if event.client is not None and sender is None and not isinstance(body, ClientSettings):
        raise Refused("unknown_client", f"client {event.client} is unknown")
    seen = world.seen.get((event.client, event.identity))
    if seen is not None and now - seen.at < DEDUPE_WINDOW:
        if seen.event == event or _content(seen.event, sender) == _content(event, sender):
            return []
        raise Refused("conflict", "the same source and id came before with other content")
    if event.client is None:
        outputs = _accept_configuration(world, event, now)
    elif isinstance(body, Transfer):
        assert sender is not None
        outputs = _accept_transfer(world, sender, event, body, now)
    else:
        outputs = _accept_client_event(world, sender, event, now)
    world.seen[event.client, event.identity] = Seen(now, event)
    return outputs


def _content(event: Event, client: Client | None) -> Event:
    """The event with its currency resolved, so that spelling out the default is no other content."""
    body = event.body
    if client is None or isinstance(body, ClientSettings | TimeBalance):
        return event
    if getattr(body, "currency", "") is None:
        return replace(event, body=replace(body, currency=client.settings.currency))  # type: ignore[type-var]  # such a body is a dataclass
    return event


def _accept_client_event(world: World, known: Client | None, event: Event, now: int) -> list[Output]:
    """Apply to a copy, so that a refusal leaves nothing behind."""
    assert event.client is not None
    effect = Effect(now, event.identity)
    if known is None:
        assert isinstance(event.body, ClientSettings)
        draft = Client(event.client, now, event.body)
    else:
        draft = copy.deepcopy(known)
    _apply(world, draft, event, effect)
    check_fits(draft)
    expire_units(world, draft, effect)
    world.clients[event.client] = draft
    if isinstance(event.body, Charge):
        world.charges[event.client, event.identity] = RememberedCharge(now, effect.taken)
    return _facts(world, draft, effect) + evaluate(world, draft, effect)


def _apply(world: World, client: Client, event: Event, effect: Effect) -> None:
    match event.body:
        case ClientSettings() as settings:
            apply_settings(world, client, settings)
        case Charge() as charge:
            client.awake = True
            apply_charge(world, client, charge, effect)
        case Payment() as payment:
            client.awake = True
            apply_payment(world, client, payment, effect)
        case Adjustment() as adjustment:
            client.awake = True
            apply_adjustment(world, client, adjustment, effect)
            if adjustment.kind == "refund" and adjustment.of is not None:
                check_fits(client)
                give_back(world, client, adjustment.of, effect)
        case CreditLimit() as limit:
            client.awake = True
            apply_credit_limit(world, client, limit, effect)
        case TemporaryCredit() as temporary:
            client.awake = True
            apply_temporary_credit(world, client, temporary, effect)
        case Invoice() as invoice:
            apply_invoice(world, client, invoice, effect)
        case TimeBalance() as time_balance:
            apply_time_balance(world, client, event, time_balance, effect)
        case _:
            raise AssertionError(f"not an event of one client: {event}")


def _accept_transfer(world: World, sender: Client, event: Event, transfer: Transfer, now: int) -> list[Output]:
    effect = Effect(now, event.identity)
    debited = copy.deepcopy(sender)
    credited = copy.deepcopy(world.clients.get(transfer.to))
    incoming = check_and_move(world, debited, credited, transfer, effect)
    assert credited is not None
    outputs: list[Output] = []
    for client in (debited, credited):
        check_fits(client)
    for client, its_effect in ((debited, effect), (credited, incoming)):
        world.clients[client.id] = client
        outputs += _facts(world, client, its_effect) + evaluate(world, client, its_effect)
    return outputs


def _accept_configuration(world: World, event: Event, now: int) -> list[Output]:
    """A change of each client whose view it alters, an evaluation of each whose rules it touches."""
    body = event.body
    assert body is not None
    before = {client.id: view(world, client) for client in world.clients.values()}
    to_evaluate = apply_configuration(world, body)  # type: ignore[arg-type]  # no client: configuration
    outputs: list[Output] = []
    for client_id in sorted(world.clients):
        client = world.clients[client_id]
        effect = Effect(now, event.identity)
        expire_units(world, client, effect)
        if view(world, client) != before[client_id]:
            outputs += _facts(world, client, effect)
        if client_id in to_evaluate:
            outputs += evaluate(world, client, effect)
    return outputs
