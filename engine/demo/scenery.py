"""The operator of the sample traffic: resellers, people, profiles, templates and clients, drawn from a seed.

Periods are tens of seconds, so that reminders are seen at once; addresses are of reserved names only.
"""

import random
from typing import Final

import msgspec

Event = dict[str, object]

CENT: Final = 10_000
"""Micro-units of a hundredth."""
UAH_FOR_EUR: Final = 48
"""How much larger amounts are in UAH; the exchange rate that is published agrees with it."""
SHOWCASE: Final = "c-0001"
"""A client whose story is always the same: below its threshold within seconds, topped up within a minute."""

_RESELLERS: Final = (("north", "North Voice"), ("south", "South Telecom"), ("steppe", "Steppe Carriers"))
_PEOPLE: Final = ("olena", "mark", "iryna", "david", "taras", "julia")
_TEMPLATES: Final = (("retail", 60), ("mobile", 30), ("wholesale", 10))
_ZONES: Final = ("Europe/Kyiv", "Europe/London", "America/New_York")


class Subscriber(msgspec.Struct):
    """A client of the scenery. ``live_micros`` follows its money roughly, to decide who pays and who may give."""

    client: str
    currency: str
    postpaid: bool
    wholesale: bool
    limit_micros: int
    live_micros: int

    @property
    def scale(self) -> int:
        """What an amount in EUR is multiplied by for this client."""
        return UAH_FOR_EUR if self.currency == "UAH" else 1

    @property
    def available_micros(self) -> int:
        """Roughly what is available."""
        return self.live_micros + self.limit_micros


def configuration() -> list[Event]:
    """The events that make everything but the clients, in an order in which nothing is named before it is made."""
    events: list[Event] = [{"type": "exchange_rate", "base": "EUR", "quote": "UAH", "rate": str(UAH_FOR_EUR)}]
    for person in _PEOPLE:
        events.append({"type": "user", "user": f"u-{person}", "name": person.title(), **_contact(person)})
    for key, name in _RESELLERS:
        cap = {"percent": 50, "days": 30}
        events.append(
            {"type": "reseller", "reseller": f"r-{key}", "name": name, "email": f"billing@{key}.example",
             "max_temporary_credit": cap}
        )  # fmt: skip
    events += [
        {"type": "customer_class", "customer_class": "k-retail", "name": "Retail", "transfers": "yes"},
        {"type": "customer_class", "customer_class": "k-wholesale", "name": "Wholesale", "transfers": "no"},
    ]
    return [*events, *_profiles(), *_templates()]


def _contact(person: str) -> Event:
    number = 100 + sum(person.encode()) % 800
    return {"email": f"{person}@operator.example", "phone": f"+380440000{number}"}


def _profiles() -> list[Event]:
    def rule(name: str, audience: str, threshold: str, channels: list[str], **more: object) -> Event:
        return {
            "rule": name, "audience": audience, "threshold": threshold, "notify": True, "channels": channels, **more
        }  # fmt: skip

    def profile(name: str, reseller: str, max_qty: int, period: int, rules: list[Event]) -> Event:
        return {
            "type": "profile", "profile": f"p-{name}", "name": name.title(), "reseller": f"r-{reseller}",
            "currency": "EUR", "max_qty": max_qty, "period_seconds": period, "rules": rules,
        }  # fmt: skip

    both = ["email", "sms"]
    return [
        profile("retail", "north", 3, 20, [
            rule("client-5", "client", "5", ["email"]),
            rule("user-1", "user", "1", ["email"]),
        ]),
        profile("mobile", "south", 3, 30, [
            rule("client-5", "client", "5", both),
            rule("client-2", "client", "2", ["sms"]),
        ]),
        profile("wholesale", "steppe", 5, 60, [
            rule("user-50", "user", "50", both, users=["u-olena"]),
            rule("client-20", "client", "20", ["email"], emails=["noc@carriers.example"]),
            rule("idle-10", "user", "10", ["email"], inactivity_days=1),
        ]),
    ]  # fmt: skip


def _templates() -> list[Event]:
    def template(name: str, capacity: int, threshold: str, low: int) -> Event:
        return {
            "type": "template", "template": f"t-{name}", "name": name.title(), "profile": f"p-{name}",
            "capacity": capacity, "low_balance": {"threshold": threshold, "capacity": low},
        }  # fmt: skip

    return [template("retail", 3, "5", 1), template("mobile", 3, "5", 1), template("wholesale", 30, "50", 5)]


def subscriber(index: int, draw: random.Random) -> tuple[Subscriber, list[Event]]:
    """Client number ``index`` from 1, and the events that make it and give it its first money."""
    client = f"c-{index:04d}"
    if client == SHOWCASE:
        return _showcase(client)
    kind = draw.choices([name for name, _ in _TEMPLATES], [weight for _, weight in _TEMPLATES])[0]
    wholesale = kind == "wholesale"
    postpaid = draw.random() < (0.6 if wholesale else 0.2)
    currency = "UAH" if not wholesale and draw.random() < 0.15 else "EUR"
    found = Subscriber(client, currency, postpaid, wholesale, 0, 0)
    reseller = draw.choice(_RESELLERS)[0]
    settings: Event = {
        "type": "client", "client": client, "currency": currency, "model": "postpaid" if postpaid else "prepaid",
        "reseller": f"r-{reseller}", "manager": f"u-{draw.choice(_PEOPLE)}", "template": f"t-{kind}",
        "customer_class": "k-wholesale" if wholesale else "k-retail",
        "billing_email": f"{client}@customers.example", "phone": f"+38050{1_000_000 + index:07d}",
        "language": "uk" if currency == "UAH" or draw.random() < 0.3 else "en", "time_zone": draw.choice(_ZONES),
        "warning_thresholds": ["80%", "100%"] if postpaid else [], "cycle_day": draw.randint(1, 28),
    }  # fmt: skip
    # A third stand just above their threshold, so that a minute shows what the rest of the day would.
    near = draw.random() < 0.33
    cents = draw.randint(5010, 6500) if wholesale else draw.randint(505, 680)
    if not near:
        cents = draw.randint(10_000, 60_000) if wholesale else draw.randint(800, 4000)
    amount = cents * CENT * found.scale
    money: Event
    if postpaid:
        found.limit_micros = amount
        money = {"type": "credit_limit", "client": client, "limit": amount, "actor": "demo", "reason": "contract"}
    else:
        found.live_micros = amount
        money = {"type": "payment", "client": client, "amount": amount, "reference": "first payment"}
    return found, [settings, money]


def _showcase(client: str) -> tuple[Subscriber, list[Event]]:
    amount = 560 * CENT
    settings: Event = {
        "type": "client", "client": client, "currency": "EUR", "reseller": "r-south", "manager": "u-olena",
        "template": "t-mobile", "customer_class": "k-wholesale", "billing_email": f"{client}@customers.example",
        "phone": "+380501000001", "language": "en", "time_zone": "Europe/Kyiv",
    }  # fmt: skip
    payment: Event = {"type": "payment", "client": client, "amount": amount, "reference": "first payment"}
    return Subscriber(client, "EUR", False, True, 0, amount), [settings, payment]
