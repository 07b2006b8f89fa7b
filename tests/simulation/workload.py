"""What senders send: every type of event, on few clients and small pools, so that events meet.

Bodies of settings and configuration are the properties' own drafts; here they get identities and times, and money,
units and transfers are added.
"""

import json
from random import Random
from typing import Final

from schemas.times import DAY, HOUR, SECOND, format_time
from tests.properties import drafts
from tests.properties.dice import happens, pick
from tests.properties.drafts import Json

CLIENTS: Final = tuple(f"c{number}" for number in range(1, 7))
AMOUNTS: Final = ("1", "0.000001", "3.5", "10", "0.333333", "25", "100", "4.999999")
LARGE: Final = ("100", "50", "20", "200.000001")
LIMITS: Final = ("100", "0", "10", "-5", None, "50")
LATENESS: Final = (0, 0, 0, SECOND, 20 * 60 * SECOND, HOUR, DAY, -HOUR)
QUANTITIES: Final = {"second": (60, 1, 61, 600, 3600, 0), "event": (1, 2, 10, 0), "byte": (1024, 1, 5000, 0)}
BAD: Final = (
    b"{",
    b"[]",
    b'{"type":"charge"}',
    b'{"type":"tick","time":"2026-03-02T10:00:00Z"}',
    b'{"type":"transfer_leg","client":"c1"}',
    b'{"type":"payment","id":"b","source":"b","client":"c1","time":"2026-03-02T10:00:00Z","amount":"1.0000001"}',
    b'{"type":"payment","id":"b","source":"b","client":"c1","time":"2026-03-02T10:00:00Z","amount":"1","colour":"red"}',
)
CHARGES_MAX: Final = 20  # how far back refunds look


class _Dice:
    """The world's chance as the drafts ask for it."""

    def __init__(self, random: Random) -> None:
        self._random = random

    def below(self, count: int) -> int:
        return self._random.randrange(count)


class Author:
    """Writes the events of one sender, whose identities count up in the order written."""

    def __init__(self, random: Random, name: str, clients: tuple[str, ...]) -> None:
        self._dice = _Dice(random)
        self._name = name
        self._clients = clients
        self._count = 0
        self._known: set[str] = set()
        self._charges: list[Json] = []
        self._grants: list[tuple[str, str]] = []

    def knows(self, client: str) -> None:
        """That client was accepted."""
        self._known.add(client)

    def write(self, now: int) -> bytes:
        """The next event."""
        if not self._clients:
            return self._configuration(now)
        if happens(self._dice, 2):
            return pick(self._dice, BAD)
        client = pick(self._dice, self._clients)
        if client not in self._known and not happens(self._dice, 3):
            return self._event(self._client(client), now)
        kind = pick(self._dice, _KINDS)
        happened = now - pick(self._dice, LATENESS) if kind in ("charge", "units") else now
        return self._event(getattr(self, f"_{kind}")(client, now, happened), happened)

    def set_up(self, now: int) -> list[bytes]:
        """Most of the configuration there can be, in an order in which nothing names what is not there yet."""
        bodies = [
            drafts.configuration(self._dice, kind, key)
            for kind, key in drafts.CONFIGURATION
            if not happens(self._dice, 8)
        ]
        return [self._event(body, now) for body in bodies]

    def _event(self, body: Json, time: int) -> bytes:
        self._count += 1
        event: Json = {**body, "source": self._name, "id": f"{self._name}-{self._count}", "time": format_time(time)}
        if event["type"] == "charge":
            self._charges.append(event)
            del self._charges[:-CHARGES_MAX]
        return json.dumps(event).encode()

    def _configuration(self, now: int) -> bytes:
        kind, key = pick(self._dice, drafts.CONFIGURATION)
        if happens(self._dice, 20):
            return self._event(drafts.deletion(kind, key), now)
        body = drafts.configuration(self._dice, kind, key)
        if kind == "time_balance_plan" and happens(self._dice, 40):
            body["unit"] = pick(self._dice, ("second", "minute", "hour"))  # fixed while a grant lives
        return self._event(body, now)

    def _client(self, client: str, *_: int) -> Json:
        currency = "USD" if happens(self._dice, 15) else "EUR"
        if client not in self._known and happens(self._dice, 30):  # names nothing that may be unknown
            return {"type": "client", "client": client, "currency": currency, "transfers": "yes"}
        return {
            **drafts.client(self._dice, client, currency),
            "transfers": pick(self._dice, ("yes", "yes", "yes", None)),
        }

    def _money(self, body: Json) -> Json:
        body.setdefault("amount", pick(self._dice, AMOUNTS))
        if happens(self._dice, 12):
            body["currency"] = pick(self._dice, drafts.CURRENCIES)
        return body

    def _charge(self, client: str, _: int, happened: int) -> Json:
        body: Json = {"type": "charge", "client": client}
        if happens(self._dice, 60):
            unit = pick(self._dice, ("second", "second", "event", "byte"))
            quantity = pick(self._dice, QUANTITIES[unit])
            usage: Json = {"type": pick(self._dice, drafts.USAGE_TYPES), "quantity": quantity, "unit": unit}
            if happens(self._dice, 50):
                usage["started_at"] = format_time(happened - pick(self._dice, (0, quantity * SECOND, HOUR)))
            body["usage"] = usage
        return self._money(body)

    def _payment(self, client: str, *_: int) -> Json:
        kind = pick(self._dice, ("payment", "top_up", "manual_credit", "promotional_credit"))
        body: Json = {"type": "payment", "client": client, "kind": kind}
        drafts.maybe(self._dice, 60, body, "amount", pick(self._dice, LARGE))
        return self._money({name: value for name, value in body.items() if value is not None})

    def _adjustment(self, client: str, *_: int) -> Json:
        kind = pick(self._dice, ("refund", "refund", "manual_charge", "reversal"))
        body: Json = {"type": "adjustment", "client": client, "kind": kind}
        if kind == "refund" and self._charges and happens(self._dice, 80):
            charge = pick(self._dice, self._charges)
            body |= {"client": charge["client"], "of": {"source": charge["source"], "id": charge["id"]}}
            if happens(self._dice, 30):
                body["amount"] = "0"
        return self._money(body)

    def _limit(self, client: str, *_: int) -> Json:
        return {"type": "credit_limit", "client": client, "limit": pick(self._dice, LIMITS), "actor": "ann"}

    def _temporary(self, client: str, now: int, _: int) -> Json:
        body: Json = {"type": "temporary_credit", "client": client}
        choice = self._dice.below(10)
        if choice < 2:
            return {**body, "remove": True}
        body |= (
            {"percent": pick(self._dice, (50, "12.5", 100))} if choice < 5 else {"amount": pick(self._dice, AMOUNTS)}
        )
        drafts.maybe(
            self._dice,
            80,
            body,
            "valid_until",
            format_time(now + pick(self._dice, (DAY, HOUR, 20 * SECOND, 2 * SECOND, 3 * DAY))),
        )
        return body

    def _invoice(self, client: str, now: int, _: int) -> Json:
        body: Json = {"type": "invoice", "client": client, "invoice": f"i{self._dice.below(9)}"}
        drafts.maybe(self._dice, 60, body, "due_at", format_time(now + pick(self._dice, (DAY, 0, -DAY))))
        return self._money(body)

    def _transfer(self, client: str, *_: int) -> Json:
        to = (
            "nobody"
            if happens(self._dice, 4)
            else pick(self._dice, CLIENTS if happens(self._dice, 8) else _others(client))
        )
        return self._money({"type": "transfer", "client": client, "to": to})

    def _units(self, client: str, *_: int) -> Json:
        own = [grant for owner, grant in self._grants if owner == client]
        action = pick(self._dice, ("grant", "grant", "renew", "renew", "top_up", "cancel")) if own else "grant"
        grant = pick(self._dice, own) if own and action != "grant" else f"g{self._dice.below(30)}"
        self._grants.append((client, grant))
        body: Json = {"type": "time_balance", "client": client, "action": action, "grant": grant}
        if action in ("grant", "renew"):
            body["plan"] = pick(self._dice, drafts.PLANS)
        drafts.maybe(self._dice, 40, body, "units", pick(self._dice, (1, 5, 60)))
        return body


def _others(client: str) -> tuple[str, ...]:
    return tuple(other for other in CLIENTS if other != client)


_KINDS: Final = (
    *("charge",) * 10,
    *("payment",) * 5,
    *("adjustment",) * 3,
    *("limit",) * 2,
    *("temporary",) * 3,
    *("invoice",) * 2,
    *("transfer",) * 5,
    *("units",) * 6,
    "client",
)
"""What is sent, as often as it is listed."""
