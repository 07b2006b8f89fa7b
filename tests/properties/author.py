"""Who writes the events of a generated history, and aims them.

The author looks at the state of an engine that it folds along, only to aim: at amounts that land exactly on a
threshold or one micro-unit beside it, at instants at which something is due. What is right is decided elsewhere.
"""

import json
from collections.abc import Callable
from typing import Final

from engine.core.coverage import UNIT_FACTOR
from engine.core.fold import Record
from engine.core.identity import identity_of
from engine.core.low_balance import rule_dues
from engine.core.records import Bucket
from engine.core.state import State
from engine.core.time_balance import grants_due
from engine.core.warnings import level_of
from engine.replay import fold_whole
from schemas.codec import decode_line
from schemas.money import MICROS_MAX, format_money
from schemas.times import DAY, NEVER, SECOND, format_time
from tests.properties import drafts, spoiled
from tests.properties.dice import Dice, happens, pick
from tests.properties.drafts import Json

START: Final = 1_772_445_600 * SECOND  # 2026-03-02T10:00:00Z: spring, with the changes of clocks ahead
MINUTE: Final = 60 * SECOND
HOUR: Final = 3600 * SECOND
GAPS: Final = (
    *(0, 0, 0, 0, SECOND, SECOND, 1, 1, 30 * SECOND, MINUTE, 10 * MINUTE, 10 * MINUTE, HOUR, HOUR, HOUR + 1),
    *(6 * HOUR, 6 * HOUR, DAY, DAY + 1, 3 * DAY, 7 * DAY),
)
LATENESS: Final = (0, 0, 0, SECOND, 20 * MINUTE, HOUR, DAY, -HOUR, 30 * DAY, 500_000)
SENT_MAX: Final = 60  # how far back repeats, conflicts and refunds look
QUANTITIES: Final = {
    "second": (60, 1, 59, 61, 600, 3600, 0, 90_000),
    "event": (1, 2, 10, 0),
    "byte": (1024, 1, 5000, 0),
}


class Author:
    """Writes one history, line by line, each as JSON bytes in ``lines``; ``now`` is the log time of the last.

    ``written`` counts them: whoever takes lines out keeps the identities apart all the same.
    """

    def __init__(self, dice: Dice) -> None:
        self.dice = dice
        self.lines: list[bytes] = []
        self.written = 0
        self.now = START
        self.clients = [f"c{number}" for number in range(1, 4 + dice.below(4))]
        self._state = State()
        self._sent: list[tuple[int, Json]] = []
        self._charges: list[Json] = []
        self._covered: list[Json] = []  # charges that took free units

    # Writing

    def write(self, body: Json, *, time: int | None = None) -> None:
        """Adds an event with an identity of its own, at ``now``; ``time`` is when it happened, if not now."""
        event: Json = {**body, "source": "s", "id": f"e{self.written}"}
        happened = self.now if time is None else time
        event["time"] = format_time(happened)
        if happened != self.now:
            event["at"] = format_time(self.now)
        self._add(event)

    def _add(self, event: Json) -> None:
        self._sent.append((self.now, event))
        del self._sent[:-SENT_MAX]
        if event["type"] == "charge":
            self._charges.append(event)
            del self._charges[:-SENT_MAX]
        self.raw(json.dumps(event).encode())
        seen = self._state.seen.get(identity_of(str(event.get("client")), "s", str(event["id"])))
        if event["type"] == "charge" and seen is not None and seen[2]:
            self._covered.append(event)
            del self._covered[:-2]

    def raw(self, line: bytes) -> None:
        """Adds a line as it stands."""
        self.lines.append(line)
        self.written += 1
        decoded = decode_line(line)
        fold_whole(self._state, Record(decoded.at, decoded.event, line))
        self.now = max(self.now, self._state.clock)

    # Time

    def wait(self) -> None:
        """Moves the clock: by one of a few gaps, to what is due, or to the end of an identity's window."""
        dice = self.dice
        choice = dice.below(10)
        aimed: int = NEVER
        if choice == 9 and self._sent:
            aimed = pick(dice, self._sent)[0] + 7 * DAY
        elif choice >= 7:
            dues = self._dues()
            aimed = pick(dice, dues) if dues else NEVER
        if self.now < aimed < self.now + 40 * DAY:
            self.now = max(self.now, aimed + pick(dice, (0, -1, 1)))
        else:
            self.now += pick(dice, GAPS)

    def _dues(self) -> list[int]:
        """Instants after now at which the clock has something to do, and at which free units close."""
        found: list[int] = []
        for client in self.clients:
            balance = self._state.balances.find(client)
            if balance is None:
                continue
            account = self._state.accounts[client]
            found += rule_dues(self._state.config, balance, account)
            found += [] if balance.valid_until is None else [balance.valid_until]
            if balance.metered:
                found += grants_due(self._state, client)
                found += [bucket.closes_at for bucket in self._state.grants[client].buckets]
        return sorted({due for due in found if due > self.now})

    def happened(self) -> int:
        """When an event that is written now says that it happened."""
        return self.now - pick(self.dice, LATENESS)

    # What there is

    def client(self) -> str:
        """A client, nearly always one that exists."""
        known = [name for name in self.clients if name in self._state.balances]
        return pick(self.dice, known if known and not happens(self.dice, 2) else self.clients)

    def _client_that(self, fits: Callable[[str], bool]) -> str:
        """Mostly a client of that sort, where there is one."""
        found = [name for name in self.clients if name in self._state.balances and fits(name)]
        return pick(self.dice, found) if found and not happens(self.dice, 20) else self.client()

    def _buckets(self, client: str) -> list[Bucket]:
        grants = self._state.grants.find(client)
        return [] if grants is None else grants.buckets

    def _levels(self, client: str) -> list[int]:
        """The values of available at which something happens to a client."""
        balance, account = self._state.balances.find(client), self._state.accounts.find(client)
        levels = [0]
        if balance is None or account is None or balance.credit is None:
            return levels
        profile = self._state.config.profile_of(account.settings)
        levels += [rule.threshold for rule in profile.rules] if profile is not None else []
        pairs = [account.settings.low_balance]
        if account.settings.template is not None:
            pairs.append(self._state.config.templates[account.settings.template].low_balance)
        levels += [pair.threshold for pair in pairs if pair is not None and pair.threshold is not None]
        for text in account.settings.warning_thresholds:
            level = level_of(text, balance)
            if level is not None:
                levels.append(balance.credit - level if balance.postpaid else level)
        return levels

    def step_to_level(self, client: str) -> int:
        """The move of a client's money, in micro-units, that lands on one of its levels or right beside it."""
        balance = self._state.balances.find(client)
        if balance is None or balance.available is None:
            return 0
        target = pick(self.dice, self._levels(client)) + pick(self.dice, (-1, 0, 1))
        return target - balance.available

    def amount(self, client: str, *, up: bool) -> str:
        """An amount of money: small, or what takes the client to one of its levels."""
        step = self.step_to_level(client) * (1 if up else -1)
        if 0 < step <= MICROS_MAX and happens(self.dice, 65):
            return format_money(step)
        return pick(self.dice, ("1", "0.000001", "3.5", "10", "0.333333", "25", "100"))

    def with_currency(self, body: Json) -> Json:
        """Now and then names the currency: the client's own or another."""
        if happens(self.dice, 15):
            body["currency"] = pick(self.dice, drafts.CURRENCIES)
        return body

    # Events of a client

    def put_client(self, name: str) -> None:
        """Creates a client, or replaces its settings."""
        balance = self._state.balances.find(name)
        currency = pick(self.dice, drafts.CURRENCIES[:2])
        if balance is not None and not happens(self.dice, 10):
            currency = balance.currency
        body = drafts.client(self.dice, name, currency)
        if balance is not None and not happens(self.dice, 10):
            body["model"] = "postpaid" if balance.postpaid else "prepaid"
        self.write(self.known(body))

    def edit_client(self) -> None:
        """Replaces the settings of some client, or creates one."""
        self.put_client(pick(self.dice, self.clients))

    def known(self, body: Json) -> Json:
        """Leaves out, nearly always, what names configuration that is not defined."""
        config = self._state.config
        if happens(self.dice, 2):
            return body
        for field, kind in (("profile", "profile"), ("template", "template"), ("reseller", "reseller")):
            key = body.get(field)
            if field != body["type"] and isinstance(key, str) and not config.knows(kind, key):
                del body[field]
        for field, kind in (("manager", "user"), ("customer_class", "customer_class")):
            key = body.get(field)
            if field != body["type"] and isinstance(key, str) and not config.knows(kind, key):
                del body[field]
        rules = body.get("rules")
        for rule in rules if isinstance(rules, list) else ():
            if isinstance(rule.get("users"), list):
                rule["users"] = [user for user in rule["users"] if config.knows("user", user)]
        return body

    def charge(self) -> None:
        """Money down, perhaps for a usage."""
        metered = happens(self.dice, 45)
        client = self._client_that(lambda name: bool(self._buckets(name))) if metered else self.client()
        body: Json = {"type": "charge", "client": client}
        if happens(self.dice, 8):
            body["amount_micros"] = pick(self.dice, (1, 0, 2_500_000))
        else:
            body["amount"] = "0" if happens(self.dice, 8) else self.amount(client, up=False)
        happened = self.happened()
        if metered or happens(self.dice, 20):
            body["usage"] = self._usage(client, happened)
        self.write(self.with_currency(body), time=happened)

    def _usage(self, client: str, happened: int) -> Json:
        """A usage, mostly one that free units of the client are for: of a few, of all, of one more than are left."""
        unit = pick(self.dice, ("second", "second", "event", "byte"))
        quantity = pick(self.dice, QUANTITIES[unit])
        buckets = self._buckets(client)
        bucket = pick(self.dice, buckets) if buckets and happens(self.dice, 80) else None
        if bucket is not None:
            plan = self._state.config.plans[bucket.plan]
            unit, factor = UNIT_FACTOR[plan.unit]
            left = bucket.left * factor
            quantity = pick(self.dice, (factor, left, left + 1, max(0, left - 1), left // 2, 2 * left, 1, factor + 1))
        usage: Json = {"type": pick(self.dice, drafts.USAGE_TYPES), "quantity": quantity, "unit": unit}
        if bucket is not None and happens(self.dice, 60):
            ends = [bucket.start_at, *(end for end in (bucket.closes_at,) if end < NEVER)]
            aside = pick(self.dice, (0, -1, 1, -30 * SECOND, -HOUR, MINUTE, -500_000))
            usage["started_at"] = format_time(pick(self.dice, ends) + aside)
        elif unit == "second" and happens(self.dice, 60):
            usage["started_at"] = format_time(happened - quantity * SECOND)
        elif happens(self.dice, 40):
            usage["started_at"] = format_time(happened - pick(self.dice, (1, SECOND, HOUR, 6 * HOUR, 500_000)))
        return usage

    def payment(self) -> None:
        """Money up."""
        client = self.client()
        body: Json = {"type": "payment", "client": client, "amount": self.amount(client, up=True)}
        drafts.maybe(self.dice, 40, body, "kind", pick(self.dice, ("top_up", "manual_credit", "promotional_credit")))
        drafts.maybe(self.dice, 10, body, "reference", "bank")
        self.write(self.with_currency(body))

    def adjustment(self) -> None:
        """A manual charge, a refund that may name a charge, or a reversal."""
        client = self.client()
        kind = pick(self.dice, ("refund", "manual_charge", "reversal", "refund"))
        body: Json = {"type": "adjustment", "client": client, "kind": kind}
        body["amount"] = self.amount(client, up=kind == "refund")
        if kind == "refund" and self._charges and happens(self.dice, 75):
            covered = self._covered
            charge = pick(self.dice, covered if covered and happens(self.dice, 70) else self._charges[-12:])
            if not happens(self.dice, 10):
                body["client"] = charge["client"]
            body["of"] = {"source": charge["source"], "id": charge["id"]}
            if happens(self.dice, 40):
                body["amount"] = "0"
        self.write(self.with_currency(body))

    def limit(self) -> None:
        """The permanent credit limit, often so that available lands on a level."""
        client = self.client()
        balance = self._state.balances.find(client)
        limit: object = pick(self.dice, ("100", "0", "10", "-5", "0.000003", None))
        if balance is not None and balance.permanent is not None and happens(self.dice, 40):
            limit = format_money(balance.permanent + self.step_to_level(client))
        body: Json = {"type": "credit_limit", "client": client, "limit": limit}
        drafts.maybe(self.dice, 20, body, "actor", "ann")
        drafts.maybe(self.dice, 20, body, "reason", "asked")
        self.write(self.with_currency(body))

    def temporary(self) -> None:
        """Temporary credit: granted, replaced or removed."""
        client = self._client_that(lambda name: self._state.balances[name].postpaid)
        body: Json = {"type": "temporary_credit", "client": client}
        choice = self.dice.below(10)
        if choice < 2:
            body["remove"] = True
        elif choice < 5:
            body["percent"] = pick(self.dice, (50, "12.5", 100, "0.000001"))
        else:
            body["amount"] = self.amount(client, up=True)
        if choice >= 2:
            until = self.now + pick(self.dice, (DAY, HOUR, 3 * DAY, DAY + 1, 1, 0, -HOUR))
            drafts.maybe(self.dice, 75, body, "valid_until", format_time(until))
        drafts.maybe(self.dice, 20, body, "actor", "bob")
        self.write(self.with_currency(body))

    def invoice(self) -> None:
        """An invoice."""
        body: Json = {"type": "invoice", "client": self.client(), "invoice": f"i{self.dice.below(8)}"}
        body["amount"] = pick(self.dice, ("5", "1", "10.5", "0.000001"))
        drafts.maybe(self.dice, 60, body, "due_at", format_time(self.now + pick(self.dice, (DAY, 0, -DAY, 2 * DAY))))
        self.write(self.with_currency(body))

    def transfer(self) -> None:
        """From one client to another."""
        client = self._client_that(lambda name: self._state.accounts[name].settings.transfers == "yes")
        to = "nobody" if happens(self.dice, 4) else pick(self.dice, self.clients)
        self.write(
            self.with_currency(
                {"type": "transfer", "client": client, "to": to, "amount": self.amount(client, up=False)}
            )
        )

    def units(self) -> None:
        """A grant, a renewal, a top-up or a cancellation."""
        client = self._client_that(lambda name: bool(self._buckets(name)))
        live = self._buckets(client)
        action = pick(self.dice, ("grant", "grant", "renew", "renew", "top_up", "cancel")[: 6 if live else 3])
        bucket = pick(self.dice, live) if live and happens(self.dice, 90) else None
        grant = pick(self.dice, drafts.GRANTS) if bucket is None else bucket.grant
        if action == "grant" and happens(self.dice, 85):
            grant = f"g{self.written}"
        body: Json = {"type": "time_balance", "client": client, "action": action, "grant": grant}
        if action in ("grant", "renew") or happens(self.dice, 10):
            known = tuple(self._state.config.plans) or drafts.PLANS
            same = bucket is not None and action != "grant" and happens(self.dice, 85)
            body["plan"] = bucket.plan if bucket is not None and same else pick(self.dice, known)
        drafts.maybe(self.dice, 40, body, "units", pick(self.dice, (1, 5, 60)))
        self.write(body, time=self.happened() if happens(self.dice, 40) else self.now)

    # Configuration, repeats and bad events

    def define(self) -> None:
        """Defines or redefines a piece of configuration."""
        kind, key = pick(self.dice, drafts.CONFIGURATION)
        self.write(self.known(drafts.configuration(self.dice, kind, key)))

    def delete(self) -> None:
        """Deletes a piece of configuration, or tries to."""
        self.write(drafts.deletion(*pick(self.dice, drafts.CONFIGURATION)))

    def repeat(self) -> None:
        """Sends something again: as it was, spelled in another way, or with other content."""
        if not self._sent:
            return
        event = dict(pick(self.dice, self._sent)[1])
        event["at"] = format_time(self.now)
        choice = self.dice.below(4)
        amount = event.get("amount")
        if choice == 1 and isinstance(amount, str):
            event["amount"] = amount + ("00" if "." in amount and len(amount.partition(".")[2]) <= 4 else "")
            event["note"] = "again"
        elif choice == 2:
            event["amount" if "amount" in event else "name"] = "7"
        elif choice == 3 and event["type"] in ("charge", "payment") and event.get("currency") is None:
            event["currency"] = pick(self.dice, drafts.CURRENCIES)
        self.raw(json.dumps(event).encode())

    def spoil(self) -> None:
        """Sends what cannot be taken."""
        self.raw(spoiled.line(self.dice, self.now, self.client()))

    def tick(self) -> None:
        """The clock's own event."""
        self.raw(json.dumps({"type": "tick", "time": format_time(self.now)}).encode())
