"""Live, credit, available, conversion, invoices: section 2 of the semantics."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

from .events import (
    Adjustment,
    CreditLimit,
    Invoice,
    Payment,
    TemporaryCredit,
    TemporaryCreditCap,
)
from .state import Client, Effect, OpenInvoice, RateUsed, Temporary, World, cause_view
from .values import (
    DAY,
    PICO,
    Refused,
    fits,
    format_limit,
    format_money,
    format_percent,
    format_time,
    half_even,
    percent_of,
)


def effective_credit(client: Client) -> int | None:
    """Permanent limit plus the active temporary increase; None is unlimited."""
    if client.permanent is None:
        return None
    return client.permanent + (client.temporary.amount if client.temporary else 0)


def available(client: Client) -> int | None:
    credit = effective_credit(client)
    return None if credit is None else client.live + credit


def status(client: Client) -> str:
    money = available(client)
    return "exhausted" if money is not None and money <= 0 else "active"


def check_fits(client: Client) -> None:
    """Refuse a result that does not fit."""
    money = available(client)
    if not fits(client.live) or not fits(client.unallocated) or (money is not None and not fits(money)):
        raise Refused("bad_amount", "the result would not fit")


@dataclass(frozen=True)
class Rate:
    """A held pair, to be multiplied with, or divided by when it is the opposite one."""

    held: RateUsed
    opposite: bool

    def convert(self, amount: Fraction) -> Fraction:
        factor = Fraction(self.held.rate, PICO)
        return amount / factor if self.opposite else amount * factor


def find_rate(world: World, base: str, quote: str) -> Rate | None:
    """The direct rate, else the opposite one; no chains."""
    if (base, quote) in world.rates:
        return Rate(RateUsed(base, quote, world.rates[base, quote]), opposite=False)
    if (quote, base) in world.rates:
        return Rate(RateUsed(quote, base, world.rates[quote, base]), opposite=True)
    return None


def convert_amount(
    world: World, client: Client, amount: int, currency: str | None, effect: Effect, zero_is_fine: bool = False
) -> int:
    """An event's amount in the client's currency, the rate noted. What must be above zero stays so."""
    if currency is None or currency == client.settings.currency:
        return amount
    rate = find_rate(world, currency, client.settings.currency)
    if rate is None:
        raise Refused("no_rate", f"no rate between {currency} and {client.settings.currency}")
    effect.rate = rate.held
    converted = half_even(rate.convert(Fraction(amount)))
    if not fits(converted) or (converted == 0 and amount > 0 and not zero_is_fine):
        raise Refused("bad_amount", "the converted amount is nothing, or does not fit")
    return converted


def _history(
    effect: Effect,
    client: Client,
    part: str,
    old: int | None,
    new: int | None,
    actor: str | None,
    reason: str | None,
) -> None:
    effect.credit_history.append(
        {
            "output": "credit_history",
            "client": client.id,
            "at": format_time(effect.now),
            "actor": actor,
            "part": part,
            "from": format_limit(old),
            "to": format_limit(new),
            "reason": reason,
            "cause": cause_view(effect.cause),
        }
    )


def pay_invoices(client: Client) -> None:
    """Unallocated money pays open invoices, the oldest due first, those without a date last."""
    in_order = sorted(client.invoices, key=lambda one: (one.due_at is None, one.due_at or 0))
    for invoice in in_order:
        part = min(client.unallocated, invoice.amount - invoice.paid)
        if part > 0:
            invoice.paid += part
            client.unallocated -= part
            client.allocations.append((invoice.number, part))


def take_back(client: Client, amount: int) -> None:
    """A reversal: first from what is unallocated, then from the invoices paid last."""
    part = min(amount, client.unallocated)
    client.unallocated -= part
    amount -= part
    while amount > 0 and client.allocations:
        number, paid = client.allocations.pop()
        part = min(amount, paid)
        amount -= part
        if paid > part:
            client.allocations.append((number, paid - part))
        for invoice in client.invoices:
            if invoice.number == number:
                invoice.paid -= part


def apply_payment(world: World, client: Client, payment: Payment, effect: Effect) -> None:
    amount = convert_amount(world, client, payment.amount, payment.currency, effect)
    client.live += amount
    client.unallocated += amount
    pay_invoices(client)
    client.money_moved = True
    effect.refill = effect.paid_in = True


def apply_adjustment(world: World, client: Client, adjustment: Adjustment, effect: Effect) -> None:
    """The money of an adjustment; the free units of a refund are given back elsewhere."""
    zero_is_fine = adjustment.kind == "refund" and adjustment.of is not None
    amount = convert_amount(world, client, adjustment.amount, adjustment.currency, effect, zero_is_fine)
    if adjustment.kind == "refund":
        client.live += amount
    else:
        client.live -= amount
    if adjustment.kind == "reversal":
        take_back(client, amount)
    client.money_moved = client.money_moved or amount > 0


def apply_invoice(world: World, client: Client, invoice: Invoice, effect: Effect) -> None:
    amount = convert_amount(world, client, invoice.amount, invoice.currency, effect)
    if any(known.number == invoice.invoice for known in client.invoices):
        raise Refused("duplicate_invoice", f"invoice {invoice.invoice} is already known")
    client.invoices.append(OpenInvoice(invoice.invoice, amount, invoice.due_at))
    pay_invoices(client)


def apply_credit_limit(world: World, client: Client, event: CreditLimit, effect: Effect) -> None:
    old = client.permanent
    new = event.limit
    if new is not None:
        new = convert_amount(world, client, new, event.currency, effect, zero_is_fine=True)
    client.permanent = new
    if new != old:
        _history(effect, client, "permanent", old, new, event.actor, event.reason)
    effect.refill = old is not None and (new is None or new > old)


def apply_temporary_credit(world: World, client: Client, event: TemporaryCredit, effect: Effect) -> None:
    if not event.remove and event.valid_until is not None and event.valid_until <= effect.now:
        raise Refused("bad_time", "valid_until is not in the future")
    amount = event.amount
    if amount is not None:
        amount = convert_amount(world, client, amount, event.currency, effect)
    if client.settings.model != "postpaid":
        raise Refused("not_postpaid", "temporary credit is for postpaid clients")
    old = client.temporary.amount if client.temporary else 0
    if event.remove:
        if client.temporary is None:
            raise Refused("nothing_to_remove", "there is no temporary credit")
        client.temporary = None
        _history(effect, client, "temporary", old, 0, event.actor, event.reason)
        return
    if event.percent is not None:
        amount = _frozen_percent(client, event.percent)
        effect.percent = event.percent
    assert amount is not None
    client.temporary = Temporary(amount, event.valid_until)
    check_fits(client)
    _check_cap(world, client, amount, event.valid_until, effect.now)
    _history(effect, client, "temporary", old, amount, event.actor, event.reason)
    effect.refill = amount > old


def _frozen_percent(client: Client, percent: int) -> int:
    """A percentage of the positive permanent limit as an amount."""
    if client.permanent is None or client.permanent <= 0:
        raise Refused("no_limit", "there is no positive permanent limit to take a percentage of")
    amount = half_even(percent_of(client.permanent, percent))
    if amount == 0 or not fits(amount):
        raise Refused("bad_amount", "the percentage comes to nothing, or does not fit")
    return amount


def cap_amount(client: Client, cap: TemporaryCreditCap) -> int | None:
    """The most a temporary increase may be; None is no cap. A percentage without a positive limit is 0."""
    if cap.percent is None:
        return cap.amount
    if client.permanent is None or client.permanent <= 0:
        return 0
    return half_even(percent_of(client.permanent, cap.percent))


def _check_cap(world: World, client: Client, amount: int, valid_until: int | None, now: int) -> None:
    reseller = world.resellers.get(client.settings.reseller or "")
    cap = reseller.max_temporary_credit if reseller else None
    if cap is None:
        return
    most = cap_amount(client, cap)
    if most is not None and amount > most:
        percent = "" if cap.percent is None else f" ({format_percent(cap.percent)} %)"
        raise Refused("above_cap", f"at most {format_money(most)}{percent} may be granted")
    if cap.days is not None and (valid_until is None or valid_until - now > cap.days * DAY):
        raise Refused("above_cap", f"at most {cap.days} days may be granted")


def expire_temporary(client: Client, effect: Effect) -> None:
    """The clock removes an increase whose time is over."""
    due = client.temporary.valid_until if client.temporary else None
    if client.temporary and due is not None and due <= effect.now:
        _history(effect, client, "temporary", client.temporary.amount, 0, None, "expired")
        client.temporary = None
        effect.temporary_credit_expired = True
