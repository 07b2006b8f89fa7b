"""Transfers: hold at the sender, credit or refuse at the receiver, debit or release at the sender (semantics 2).

Each of the three is a record of the partition that decides it. The second and third are written by the engine; in
one process they follow at once, on Kafka inside the transactions of the partitions that decide.
"""

from engine.core.configuration import Config, noted_conversion
from engine.core.identity import check_repeat, leg_identity_of
from engine.core.outcome import Outcome
from engine.core.records import Account, Balance, Hold
from engine.core.state import State
from engine.core.step import Step, misfit
from schemas.events import Client, EventName, Transfer, TransferLeg, TransferOutcome
from schemas.money import format_money
from schemas.outputs import rejection_of
from schemas.reasons import Reason, Refusal


def hold_key(source: str, id: str) -> str:
    """A transfer's key among its sender's holds."""
    return f"{source}\0{id}"


def request(step: Step, event: Transfer, content: int, raw: bytes) -> Refusal | None:
    """Converts, checks at the sender in the stated order, and holds the amount: no change, no version."""
    balance, account = step.balance, step.account
    amount = step.converted_positive(event.amount, event.currency)
    if isinstance(amount, Refusal):
        return amount
    if event.to == event.client:
        return Refusal(Reason.SAME_CLIENT, "to: expected another client, found the sender")
    if not _is_allowed(account.settings, step.state.config):
        return Refusal(Reason.TRANSFERS_OFF, "neither the client nor its class allows transfers; set transfers to yes")
    available = balance.available
    if available is not None and available - balance.held < amount:
        message = (
            f"amount: available is {format_money(available)} less {format_money(balance.held)} held, "
            f"found {format_money(amount)}"
        )
        return Refusal(Reason.INSUFFICIENT, message)
    refusal = misfit(balance, balance.live - balance.held - amount)
    if refusal is not None:
        return refusal
    conversion = step.conversion
    rate = None if conversion is None else (conversion.base, conversion.quote, conversion.rate)
    account.holds[hold_key(event.source, event.id)] = Hold(event.to, amount, content, step.now, raw, rate)
    balance.held += amount
    step.state.balances.dirty[balance.client] = balance
    step.state.accounts.dirty[balance.client] = account
    step.out.legs.append(
        TransferLeg(
            id=event.id,
            source=event.source,
            time=event.time,
            client=event.to,
            transfer=EventName(source=event.source, id=event.id),
            from_=event.client,
            to=event.to,
            amount=amount,
            currency=balance.currency,
            requested_at=step.now,
        )
    )
    return None


def _is_allowed(settings: Client, config: Config) -> bool:
    """The client's own setting wins over its class's default; neither: no."""
    transfers = settings.transfers
    if transfers is None and settings.customer_class is not None:
        transfers = config.customer_classes[settings.customer_class].transfers
    return transfers == "yes"


def receive(state: State, out: Outcome, event: TransferLeg, step: Step | None) -> bool:
    """Credits the receiver or refuses, and answers the sender; whether the receiver changed."""
    identity = leg_identity_of(event.to, event.from_, event.transfer.source, event.transfer.id, event.requested_at)
    if step is not None and check_repeat(state.seen, identity, 0, step.now) is not False:
        return False
    refusal = _refusal_of_leg(event, step)
    out.legs.append(
        TransferOutcome(
            id=event.id,
            source=event.source,
            time=event.time,
            client=event.from_,
            transfer=event.transfer,
            from_=event.from_,
            to=event.to,
            amount=event.amount,
            accepted=refusal is None,
            reason=None if refusal is None else refusal.reason.value,
        )
    )
    if refusal is not None or step is None:
        return False
    step.balance.live += event.amount
    step.wake(moved=True)
    step.refilled = step.paid = True
    state.seen.put(identity, 0, step.now)
    return True


def _refusal_of_leg(event: TransferLeg, step: Step | None) -> Refusal | None:
    if step is None:
        return _refusal(Reason.UNKNOWN_CLIENT, event)
    if step.balance.currency != event.currency:
        return _refusal(Reason.CURRENCY_MISMATCH, event)
    return misfit(step.balance, step.balance.live + event.amount)


_SENTENCES = {
    Reason.UNKNOWN_CLIENT: "to: expected a client that exists, found {to!r}",
    Reason.CURRENCY_MISMATCH: "to: expected a client in the sender's currency, {to!r} has another",
    Reason.BAD_AMOUNT: "amount: the balance of {to!r} with it does not fit 63 bits",
}


def _refusal(reason: Reason, event: TransferLeg | TransferOutcome) -> Refusal:
    return Refusal(reason, _SENTENCES[reason].format(to=event.to))


def settle_transfer(step: Step, event: TransferOutcome) -> Hold | None:
    """Debits the sender, or releases the hold with one rejection. The hold, if the sender changed."""
    balance, account = step.balance, step.account
    hold = account.holds.pop(hold_key(event.transfer.source, event.transfer.id), None)
    if hold is None:
        return None
    assert balance.held >= hold.amount
    balance.held -= hold.amount
    step.state.balances.dirty[balance.client] = balance
    step.state.accounts.dirty[balance.client] = account
    if not event.accepted:
        step.out.outputs.append(rejection_of(_refusal(Reason(event.reason), event), hold.raw))
        return None
    balance.live -= hold.amount
    if hold.conversion is not None:
        step.conversion = noted_conversion(*hold.conversion)
    step.wake(moved=True)
    return hold


def open_hold(balance: Balance, account: Account, source: str, id: str) -> Hold | None:
    """The hold under that identity, if a transfer with it is on its way."""
    return account.holds.get(hold_key(source, id)) if balance.held else None
