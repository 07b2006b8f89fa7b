"""Charges, payments, adjustments and invoices: what they do to live and to what is billed (semantics 2)."""

from typing import assert_never

import msgspec

from engine.core.coverage import cover
from engine.core.identity import identity_of
from engine.core.records import InvoiceState, Ledger
from engine.core.runway import spend
from engine.core.state import DEDUPE_WINDOW
from engine.core.step import Step, does_not_fit, misfit
from engine.core.time_balance import Consumed, consume, give_back
from schemas.events import Adjustment, Charge, Invoice, Payment
from schemas.money import MICROS_MAX, divide_half_even
from schemas.reasons import Reason, Refusal
from schemas.times import NEVER

_encode = msgspec.msgpack.Encoder().encode
_decode_consumed = msgspec.msgpack.Decoder(list[Consumed]).decode


def charge(step: Step, event: Charge) -> Refusal | bytes:
    """Takes a charge's units and money; gives what is remembered with its identity, for a refund."""
    balance = step.balance
    amount = step.converted(event.amount, event.currency)
    if isinstance(amount, Refusal):
        return amount
    usage, coverage, charged = event.usage, None, amount
    if usage is not None and balance.metered and usage.quantity > 0:
        grants = step.state.grants.find(balance.client)
        assert grants is not None
        coverage = cover(step.state, step.account.settings, grants, usage)
        owed = 0 if coverage.rejecting is not None else coverage.uncovered
        amount = divide_half_even(amount * owed, coverage.whole)
    refusal = misfit(balance, balance.live - amount)
    if refusal is not None:
        return refusal
    balance.live -= amount
    step.wake(moved=charged > 0)
    if amount > 0:
        spend(balance, amount, step.now)
        step.charged = True
    if coverage is None or usage is None:
        return b""
    consumed = consume(step, coverage, usage)
    return _encode(consumed) if consumed else b""


def pay(step: Step, event: Payment) -> Refusal | None:
    """Money up at once; a refill; pays open invoices, oldest due first; what is left is unallocated."""
    amount = step.converted_positive(event.amount, event.currency)
    if isinstance(amount, Refusal):
        return amount
    balance = step.balance
    unallocated = balance.unallocated + amount
    refusal = misfit(balance, balance.live + amount)
    if refusal is None and unallocated > MICROS_MAX:
        refusal = does_not_fit(unallocated)
    if refusal is not None:
        return refusal
    balance.live += amount
    balance.unallocated = unallocated
    step.wake(moved=True)
    step.refilled = step.paid = True
    if step.account.payable:
        ledger = step.state.ledgers.find(balance.client)
        assert ledger is not None
        _allocate(step, ledger)
    return None


def invoice(step: Step, event: Invoice) -> Refusal | None:
    """Marks an amount as billed; unallocated money pays it at once. Moves no live."""
    amount = step.converted_positive(event.amount, event.currency)
    if isinstance(amount, Refusal):
        return amount
    ledger = step.state.ledgers.find(event.client) or Ledger()
    if event.invoice in ledger.invoices:
        message = f"invoice: {event.invoice!r} was recorded before; expected a new number"
        return Refusal(Reason.DUPLICATE_INVOICE, message)
    due_at = NEVER if event.due_at is None else event.due_at
    ledger.invoices[event.invoice] = InvoiceState(amount, 0, due_at, step.now)
    step.account.payable += 1
    _allocate(step, ledger)
    return None


def _allocate(step: Step, ledger: Ledger) -> None:
    """Pays open invoices from what is unallocated, oldest due first, then in the order in which they came."""
    balance = step.balance
    open_ones = [(number, invoice) for number, invoice in ledger.invoices.items() if invoice.paid < invoice.amount]
    for number, invoice in sorted(open_ones, key=lambda pair: (pair[1].due_at, pair[1].at)):
        part = min(balance.unallocated, invoice.amount - invoice.paid)
        if part == 0:
            break
        balance.unallocated -= part
        invoice.paid += part
        ledger.allocations.append((number, part))
        if invoice.paid == invoice.amount:
            step.account.payable -= 1
    step.state.ledgers.put(balance.client, ledger)


def _reopen(step: Step, ledger: Ledger, amount: int) -> None:
    """Takes back what was paid last, invoice by invoice; what no invoice got is nothing to take back."""
    while amount > 0 and ledger.allocations:
        number, part = ledger.allocations.pop()
        taken = min(part, amount)
        amount -= taken
        invoice = ledger.invoices[number]
        if invoice.paid == invoice.amount:
            step.account.payable += 1
        invoice.paid -= taken
        if taken < part:
            ledger.allocations.append((number, part - taken))
    step.state.ledgers.put(step.balance.client, ledger)


def adjust(step: Step, event: Adjustment) -> Refusal | None:
    """manual_charge down; refund up, with the units of the charge it names; reversal down, un-paying invoices."""
    may_be_zero = event.kind == "refund" and event.of is not None
    convert = step.converted if may_be_zero else step.converted_positive
    amount = convert(event.amount, event.currency)
    if isinstance(amount, Refusal):
        return amount
    balance = step.balance
    refusal = misfit(balance, balance.live + amount if event.kind == "refund" else balance.live - amount)
    if refusal is not None:
        return refusal
    match event.kind:
        case "manual_charge":
            balance.live -= amount
        case "refund":
            balance.live += amount
            _return_units(step, event)
        case "reversal":
            balance.live -= amount
            from_unallocated = min(balance.unallocated, amount)
            balance.unallocated -= from_unallocated
            ledger = step.state.ledgers.find(event.client)
            if ledger is not None:
                _reopen(step, ledger, amount - from_unallocated)
        case _:
            assert_never(event.kind)
    step.wake(moved=amount > 0)
    return None


def _return_units(step: Step, event: Adjustment) -> None:
    """Gives a remembered charge's units back, once."""
    if event.of is None:
        return
    seen = step.state.seen
    identity = identity_of(event.client, event.of.source, event.of.id)
    found = seen.get(identity)
    if found is None or not found[2] or step.now - found[1] >= DEDUPE_WINDOW:
        return
    give_back(step, _decode_consumed(found[2]))
    seen.put(identity, found[0], found[1])
