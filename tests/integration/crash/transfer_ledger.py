"""What a store says of money in transfers, by additions alone.

Nothing here knows a rule of the engine. A client is given money once, by its payment; after that only transfers move
it. Their amounts are taken from the engine's own records in the log, where they are in the sender's currency, which is
the receiver's too: a transfer in another currency was converted once, before it was held. So whatever the rates are,
each currency by itself keeps its sum, to the micro-unit.
"""

from collections import Counter
from typing import Final

import msgspec

from engine.core.records import Account, Balance
from engine.partition import keys
from engine.store.ports import STATE, Store
from schemas.codec import decode
from schemas.events import Payment, Transfer, TransferLeg, TransferOutcome
from schemas.topics import Topic
from tests.integration.crash.audit import Audit, Identity, audit, read_log

_balance_of: Final = msgspec.msgpack.Decoder(Balance).decode
_account_of: Final = msgspec.msgpack.Decoder(Account).decode


class _Refused(msgspec.Struct):
    reason: str


_rejection_of: Final = msgspec.json.Decoder(_Refused).decode


class TransferLedger:
    """What the log and the state of a store hold. Amounts in micro-units.

    ``sums`` is live by currency; ``held`` what is promised and not settled, which its sender still has. ``settled`` are
    the transfers that moved money, ``crossed`` those of them between partitions, ``refused`` counts others by reason.
    """

    def __init__(self, store: Store, partitions: int) -> None:
        self.found: Audit = audit(store, partitions)
        self.sums: Counter[str] = Counter()
        self.held: Counter[str] = Counter()
        self.settled: set[Identity] = set()
        self.crossed = 0
        self.refused: Counter[str] = Counter()
        self._balances: dict[str, Balance] = {}
        self._accounts: dict[str, Account] = {}
        self._homes: dict[str, int] = {}
        self._legs: Counter[Identity] = Counter()
        self._outcomes: Counter[Identity] = Counter()
        self._payments: dict[Identity, tuple[str, int]] = {}
        self._foreign: set[Identity] = set()
        self._paid: Counter[str] = Counter()
        self._moved: Counter[str] = Counter()
        self._currencies: dict[str, str] = {}
        for number in range(partitions):
            self._read_state(store, number)
        for number in range(partitions):
            self._read_log(store, number)
        self._add_up()

    @property
    def converted(self) -> int:
        """Transfers settled that asked for another currency than the sender's."""
        return len(self.settled & self._foreign)

    def check(self) -> None:
        """Raises AssertionError where money appeared or vanished, or a leg is there other than once."""
        self.found.check()
        wanted: Counter[str] = Counter()
        for client, amount in self._paid.items():
            wanted[self._currencies[client]] += amount
        assert self.sums == wanted, f"money is not constant: {dict(self.sums)}, expected {dict(wanted)}"
        open_holds: Counter[Identity] = Counter()
        for client, account in self._accounts.items():
            names = [(source, id) for source, _, id in (key.partition("\0") for key in account.holds)]
            open_holds.update(names)
            held = sum(hold.amount for hold in account.holds.values())
            assert self._balances[client].held == held, f"{client}: holds {held}, says {self._balances[client].held}"
        for identity in self._legs.keys() | self._outcomes.keys() | open_holds.keys():
            requests = self.found.accepted[identity]
            counts = (self._legs[identity], self._outcomes[identity] + open_holds[identity])
            assert counts == (requests, requests), f"{identity}: {requests} holds, legs and outcomes {counts}"

    def _read_state(self, store: Store, number: int) -> None:
        begin = keys.prefix(number, keys.BALANCE)
        for _, value in store.scan(STATE, begin, keys.after(begin)):
            balance = _balance_of(value)
            self._balances[balance.client] = balance
            self._homes[balance.client] = number
            self._currencies[balance.client] = balance.currency
        begin = keys.prefix(number, keys.ACCOUNT)
        for key, value in store.scan(STATE, begin, keys.after(begin)):
            self._accounts[key.removeprefix(begin).decode()] = _account_of(value)

    def _read_log(self, store: Store, number: int) -> None:
        for entry in read_log(store, number, Topic.EVENTS, self.found.problems):
            event = decode(entry.value, engine=entry.mark)
            match event:
                case Payment():
                    self._payments[event.source, event.id] = event.client, event.amount
                case Transfer() if event.currency not in (None, self._currencies[event.client]):
                    self._foreign.add((event.source, event.id))
                case TransferLeg():
                    self._legs[event.transfer.source, event.transfer.id] += 1
                case TransferOutcome():
                    self._settle(event)
                case _:
                    pass
        for entry in read_log(store, number, Topic.REJECTIONS, self.found.problems):
            self.refused[_rejection_of(entry.value).reason] += 1

    def _settle(self, outcome: TransferOutcome) -> None:
        identity = (outcome.transfer.source, outcome.transfer.id)
        self._outcomes[identity] += 1
        if not outcome.accepted:
            return
        assert identity not in self.settled, f"{identity}: debited twice"
        self.settled.add(identity)
        self._moved[outcome.from_] -= outcome.amount
        self._moved[outcome.to] += outcome.amount
        self.crossed += self._homes[outcome.from_] != self._homes[outcome.to]

    def _add_up(self) -> None:
        for client, amount in self._payments.values():
            self._paid[client] += amount
        for client, balance in self._balances.items():
            self.sums[balance.currency] += balance.live
            self.held[balance.currency] += balance.held
            wanted = self._paid[client] + self._moved[client]
            if balance.live != wanted:
                self.found.problems.append(f"{client}: live {balance.live}, transfers in and out make it {wanted}")
