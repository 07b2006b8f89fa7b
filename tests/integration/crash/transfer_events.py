"""The events of a transfer run: a hundred clients that hold money, and transfers among them of every kind of fate."""

import json
import random
import time
from collections.abc import Iterator
from typing import Final

from schemas.times import format_time

CLIENTS: Final = 100
FUNDS: Final = "100.000007"
_DOLLAR_CLIENTS: Final = 20  # the last ones; the others have euros
_POSTPAID_EVERY: Final = 7
_REPEATED: Final = 0.08  # of what is sent, so many are repeats of something sent before
_SETTINGS: Final = 0.03  # and so many change a permission or a rate
_SENT_MAX: Final = 300  # how far back a repeat looks
_AMOUNTS: Final = ("0.000001", "0.333333", "1", "2.5", "7.999999", "25", "60.000001", "180")
_LOUD: Final = ({"rule": "low", "audience": "client", "threshold": "40", "notify": True, "emails": ["ops@x.example"]},)

Event = dict[str, object]


class TransferEvents:
    """``setup``, then ``events`` until ``transfers`` of them were written; ``written`` counts those, repeats apart.

    By turns a transfer is for the receiver's own currency, for another with or without a rate, to a client of another
    currency, to nobody, to oneself, for more than there is, or from somebody who may not; each may be sent again.
    """

    def __init__(self, seed: int, transfers: int) -> None:
        self._chance = random.Random(seed)
        self._transfers = transfers
        self._count = 0
        self.written = 0
        self.clients = [f"c{number:03}" for number in range(CLIENTS)]

    def setup(self) -> Iterator[bytes]:
        """Rates, classes and a profile; then every client, with money."""
        yield self._event(self._rate("USD", "0.9"))
        yield self._event(self._rate("GBP", "1.170001"))
        for name, transfers in (("open", "yes"), ("closed", "no")):
            yield self._event({"type": "customer_class", "customer_class": name, "transfers": transfers})
        yield self._event({"type": "profile", "profile": "loud", "max_qty": 3, "rules": list(_LOUD)})
        for number in range(CLIENTS):
            yield self._event(self._settings(number))
            yield self._event({"type": "payment", "client": self.clients[number], "amount": FUNDS})
            if number % _POSTPAID_EVERY == 0:
                yield self._event({"type": "credit_limit", "client": self.clients[number], "limit": "50"})

    def events(self) -> Iterator[bytes]:
        """Transfers with repeats and changed settings between them."""
        sent: list[bytes] = []
        while self.written < self._transfers:
            choice = self._chance.random()
            if sent and choice < _REPEATED:
                yield self._chance.choice(sent)
            elif choice < _REPEATED + _SETTINGS:
                yield self._event(self._changed())
            else:
                self.written += 1
                sent.append(self._event(self._transfer()))
                del sent[:-_SENT_MAX]
                yield sent[-1]

    def _event(self, body: Event) -> bytes:
        self._count += 1
        now = format_time(time.time_ns() // 1000)
        return json.dumps({**body, "source": "transfers", "id": f"t{self._count}", "time": now}).encode()

    def _rate(self, base: str, rate: str) -> Event:
        return {"type": "exchange_rate", "base": base, "quote": "EUR", "rate": rate}

    def _settings(self, number: int) -> Event:
        chance = self._chance.random()
        body: Event = {"type": "client", "client": self.clients[number], "billing_email": f"c{number}@x.example"}
        body["currency"] = "EUR" if number < CLIENTS - _DOLLAR_CLIENTS else "USD"
        body["model"] = "postpaid" if number % _POSTPAID_EVERY == 0 else "prepaid"
        body["profile"] = "loud"
        if chance < 0.55:
            body["transfers"] = "yes"
        elif chance < 0.65:
            body["transfers"] = "no"
        elif chance < 0.97:
            body["customer_class"] = "open" if chance < 0.9 else "closed"
        return body

    def _changed(self) -> Event:
        choice = self._chance.random()
        if choice < 0.7:
            return self._settings(self._chance.randrange(CLIENTS))
        if choice < 0.9:
            return self._rate(*self._chance.choice((("USD", "0.9"), ("USD", "0.912345678901"), ("GBP", "1.17"))))
        transfers = self._chance.choice(("yes", "yes", "no"))
        return {"type": "customer_class", "customer_class": "open", "transfers": transfers}

    def _transfer(self) -> Event:
        chance, choice = self._chance, self._chance.random()
        number, other = chance.sample(range(CLIENTS), 2)
        same = (number < CLIENTS - _DOLLAR_CLIENTS) == (other < CLIENTS - _DOLLAR_CLIENTS)
        if not same and choice < 0.85:  # mostly within a currency, or nearly all would be refused
            other = number - 1 if number not in (0, CLIENTS - _DOLLAR_CLIENTS) else number + 1
        to = self.clients[other]
        if choice > 0.97:
            to = self.clients[number]
        elif choice > 0.93:
            to = "nobody"
        body: Event = {"type": "transfer", "client": self.clients[number], "to": to}
        body["amount"] = chance.choice(_AMOUNTS)
        currency = chance.random()
        if currency < 0.15:
            body["currency"] = chance.choice(("USD", "EUR", "GBP"))
        elif currency < 0.17:
            body["currency"] = "XAU"
        return body
