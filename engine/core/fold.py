"""The seam: a batch of records into the state of a partition, and what comes out (architecture, "One core").

``fold`` is the whole engine as a function of state and records. An ordinary charge, one that crosses nothing, is
decided by one comparison with the client's trigger level; everything else goes through ``apply``.
"""

from collections.abc import Iterable
from typing import ClassVar, assert_never

import msgspec
from xxhash import xxh3_64_digest, xxh3_128_digest

from engine.core.clients import put_client
from engine.core.configured import CONFIGURATION, DELETED, apply_configuration, check_configuration
from engine.core.credit import change_temporary, set_limit
from engine.core.evaluation import evaluate
from engine.core.identity import alias_of, check_repeat, conflict, content_of, identity_of
from engine.core.money_events import adjust, charge, invoice, pay
from engine.core.outcome import ACCEPTED, CLOCK, DUPLICATE, Answer, ChangeNote, Outcome
from engine.core.records import Account, Balance
from engine.core.runway import PERIOD, SPENT_MAX, begin_period
from engine.core.state import DEDUPE_WINDOW, State, pack_time, unpack_seen
from engine.core.step import Step
from engine.core.time_balance import change_grants
from engine.core.timers import move_clock
from engine.core.transfers import open_hold, receive, request, settle_transfer
from engine.core.view import view
from schemas.events import (
    Adjustment,
    AnyEvent,
    Charge,
    Client,
    Configuration,
    CreditLimit,
    Deleted,
    Invoice,
    OfClient,
    Payment,
    TemporaryCredit,
    Tick,
    TimeBalance,
    Transfer,
    TransferLeg,
    TransferOutcome,
)
from schemas.outputs import rejection_of
from schemas.reasons import Reason, Refusal
from schemas.times import NEVER


class Record(msgspec.Struct, frozen=True, gc=False):
    """One record of the log: log time in microseconds (None: unreadable, the clock stays), event, bytes as received.

    An ordinary charge's record stands for its ``ChangeNote`` too: making one for each is a fourteenth of the fold.
    """

    at: int | None
    event: AnyEvent | Refusal
    raw: bytes
    conversion: ClassVar[None] = None
    percent: ClassVar[None] = None


_encode_into = msgspec.msgpack.Encoder().encode_into


def new_outcome(*, every_change: bool = False) -> Outcome:
    """An empty outcome for a batch; ``every_change`` writes each version, not the last of each client."""
    return Outcome(view, every_change=every_change)


def fold(state: State, records: Iterable[Record], out: Outcome) -> None:
    """Applies records in order; ``out`` grows by one answer a record and by all that was decided."""
    balances, seen, dues = state.balances, state.seen, state.dues
    fresh, find_seen = seen.fresh(state.clock), seen.finder()
    dirty, changed, answers = balances.dirty, out.changed, out.answers
    every_change = out.every_change
    content_bytes = bytearray()  # encoded into the same memory for every charge
    period_start = period_end = -NEVER
    packed: int | None = None  # a log time, of which ``now_bytes`` are the bytes
    now_bytes = b""
    reached: int | None = None  # a log time at which nothing is due any more
    for record in records:
        at = record.at
        if at is not reached and at is not None:
            if at >= dues.earliest:
                move_clock(state, out, at)
            elif at > state.clock:
                state.clock = at
            reached = at
        event = record.event
        if type(event) is Charge:
            client = event.client
            balance = balances[client]
            if (
                balance is not None  # type: ignore[redundant-expr]  # a table gives None for a client it has not
                and (live := balance.live - (amount := event.amount)) > balance.trigger
                and (event.currency is None or event.currency == balance.currency)
                and (event.usage is None or not balance.metered)
            ):
                identity = xxh3_128_digest(f"{client}\0{event.source}\0{event.id}".encode())
                found = find_seen(identity)
                now = state.clock
                if (found is None or now - unpack_seen(found)[1] >= DEDUPE_WINDOW) and not balance.held:
                    if now is not packed:
                        packed, now_bytes = now, pack_time(now)
                    _encode_into(event, content_bytes)
                    fresh[identity] = xxh3_64_digest(content_bytes) + now_bytes  # ``pack_seen`` of ``content_of``
                    balance.live = live
                    balance.version += 1
                    if amount:  # ``runway.spend``, with what is the same for every charge of a period kept
                        if now >= period_end:
                            period_start, period_end = now - now % PERIOD, now - now % PERIOD + PERIOD
                        if (charged_at := balance.charged_at) is None or charged_at < period_start:
                            begin_period(balance, now)
                        spent = balance.spent + amount
                        balance.spent = spent if spent < SPENT_MAX else SPENT_MAX
                        balance.charged_at = now
                    dirty[client] = balance
                    if every_change:
                        out.change(state, balance, ChangeNote(now, event))
                    elif at == now:  # as good as always
                        changed[client] = record  # type: ignore[assignment]  # it has a note's fields, and its ``at``
                    else:
                        changed[client] = ChangeNote(now, event)
                    answers.append(ACCEPTED)
                    continue
        answers.append(apply(state, record, out))
        fresh, find_seen = seen.fresh(state.clock), seen.finder()
        reached = None  # it may have made something due now


def apply(state: State, record: Record, out: Outcome) -> Answer:
    """Decides one record whose log time the clock has reached: the general way, for every type of event."""
    event = record.event
    if isinstance(event, Refusal):
        answer: Answer = event
    elif isinstance(event, Tick):
        return CLOCK
    elif isinstance(event, TransferLeg):
        return _apply_leg(state, out, event)
    elif isinstance(event, TransferOutcome):
        return _apply_outcome(state, out, event)
    elif isinstance(event, (*CONFIGURATION, *DELETED)):
        answer = _apply_configuration(state, out, event)
    else:
        answer = _apply_client_event(state, out, event, record.raw)
    if isinstance(answer, Refusal):
        out.outputs.append(rejection_of(answer, record.raw))
    return answer


def _apply_configuration(state: State, out: Outcome, event: Configuration | Deleted) -> Answer:
    identity, content, now = identity_of("", event.source, event.id), content_of(event), state.clock
    repeat = check_repeat(state.seen, identity, content, now)
    if isinstance(repeat, Refusal):
        return repeat
    if repeat:
        return DUPLICATE
    refusal = check_configuration(state, event)
    if refusal is not None:
        return refusal
    state.seen.put(identity, content, now)
    apply_configuration(state, out, event, now)
    return ACCEPTED


def _apply_client_event(state: State, out: Outcome, event: OfClient, raw: bytes) -> Answer:
    now = state.clock
    balance, account = state.balances.find(event.client), state.accounts.find(event.client)
    if (balance is None or account is None) and not isinstance(event, Client):
        message = f"client: expected one that exists, found {event.client!r}; send its client event first"
        return Refusal(Reason.UNKNOWN_CLIENT, message)
    identity = identity_of(event.client, event.source, event.id)
    content = content_of(event)
    alias = None if balance is None else alias_of(event, balance.currency)
    repeat = check_repeat(state.seen, identity, content, now, alias)
    if balance is not None and account is not None and repeat is False:
        hold = open_hold(balance, account, event.source, event.id)
        if hold is not None:
            repeat = True if hold.content in (content, alias) else conflict(hold.at)
    if isinstance(repeat, Refusal):
        return repeat
    if repeat:
        return DUPLICATE
    kept = b""
    if isinstance(event, Client):
        refusal = put_client(state, out, event, now)
    else:
        assert balance is not None
        assert account is not None
        step = Step(state, out, balance, account, now, event)
        if isinstance(event, Transfer):
            return request(step, event, content, raw) or ACCEPTED
        decided = _decide(step, event)
        refusal = decided if isinstance(decided, Refusal) else None
        kept = decided if isinstance(decided, bytes) else b""
        if refusal is None:
            evaluate(step)
            step.emit(changed=True)
    if refusal is not None:
        return refusal
    state.seen.put(identity, content, now, kept)
    return ACCEPTED


def _decide(
    step: Step, event: Charge | Payment | Adjustment | CreditLimit | TemporaryCredit | Invoice | TimeBalance
) -> Refusal | bytes | None:
    """Guards, computes and assigns; a charge gives what is kept with its identity."""
    match event:
        case Charge():
            return charge(step, event)
        case Payment():
            return pay(step, event)
        case Adjustment():
            return adjust(step, event)
        case CreditLimit():
            return set_limit(step, event)
        case TemporaryCredit():
            return change_temporary(step, event)
        case Invoice():
            return invoice(step, event)
        case TimeBalance():
            return change_grants(step, event)
        case _:
            assert_never(event)


def _apply_leg(state: State, out: Outcome, event: TransferLeg) -> Answer:
    step = _step_of(state, out, event)
    if receive(state, out, event, step) and step is not None:
        evaluate(step)
        step.emit(changed=True)
    return ACCEPTED


def _apply_outcome(state: State, out: Outcome, event: TransferOutcome) -> Answer:
    step = _step_of(state, out, event)
    assert step is not None
    hold = settle_transfer(step, event)
    if hold is None:
        return ACCEPTED
    evaluate(step)
    step.emit(changed=True)
    identity = identity_of(event.client, event.transfer.source, event.transfer.id)
    state.seen.put(identity, hold.content, hold.at)
    return ACCEPTED


def _step_of(state: State, out: Outcome, event: TransferLeg | TransferOutcome) -> Step | None:
    balance: Balance | None = state.balances.find(event.client)
    account: Account | None = state.accounts.find(event.client)
    if balance is None or account is None:
        return None
    return Step(state, out, balance, account, state.clock, event)
