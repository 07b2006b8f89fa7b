"""Transfers from client to client, both legs at once as `replay` shows them."""

from __future__ import annotations

from .events import Transfer
from .money import available, check_fits, convert_amount
from .state import Client, Effect, World
from .values import Refused


def _allowed(world: World, sender: Client) -> bool:
    """The client's own setting, else its class's, else no."""
    own = sender.settings.transfers
    if own is None and sender.settings.customer_class is not None:
        own = world.customer_classes[sender.settings.customer_class].transfers
    return own == "yes"


def check_and_move(world: World, sender: Client, receiver: Client | None, transfer: Transfer, effect: Effect) -> Effect:
    """Debit the sender and credit the receiver, or refuse; gives the receiver's effect."""
    amount = convert_amount(world, sender, transfer.amount, transfer.currency, effect)
    if transfer.to == sender.id:
        raise Refused("same_client", "a transfer needs two clients")
    if not _allowed(world, sender):
        raise Refused("transfers_off", f"client {sender.id} may not transfer")
    money = available(sender)
    if money is not None and money < amount:
        raise Refused("insufficient", f"client {sender.id} has less available than the amount")
    sender.live -= amount
    check_fits(sender)
    if receiver is None:
        raise Refused("unknown_client", f"client {transfer.to} is unknown")
    if receiver.settings.currency != sender.settings.currency:
        raise Refused("currency_mismatch", "both clients must have the same currency")
    receiver.live += amount
    sender.money_moved = receiver.money_moved = True
    sender.awake = receiver.awake = True
    return Effect(effect.now, effect.cause, refill=True, paid_in=True)
