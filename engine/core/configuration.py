"""Configuration in the state: what is defined, who names it, and exchange rates (semantics 4, "edited while below")."""

from collections.abc import Iterator
from typing import Any, Final

import msgspec

from schemas.events import (
    Client,
    Configuration,
    CustomerClass,
    Deleted,
    ExchangeRate,
    Profile,
    Reseller,
    Rule,
    Template,
    TimeBalancePlan,
    User,
)
from schemas.money import RATE_SCALE, divide_half_even, parse_rate
from schemas.readers import tag_of
from schemas.reasons import Reason, Refusal

CLIENT_REFERENCES: Final = ("profile", "template", "customer_class", "reseller", "manager")
"""The settings of a client that name configuration; each is a kind in the references index."""
USERS_NAMED_MAX: Final = 5

Key = tuple[str, str]
"""Kind of configuration and its key."""


class Conversion(msgspec.Struct, frozen=True):
    """The rate held in state by which an amount was or would be converted, as it is held."""

    base: str
    quote: str
    rate: str
    scaled: int
    direct: bool

    def convert(self, micros: int) -> int:
        """The amount in the other currency: one half-even rounding to the micro-unit (semantics 1)."""
        if self.direct:
            return divide_half_even(micros * self.scaled, RATE_SCALE)
        return divide_half_even(micros * RATE_SCALE, self.scaled)

    def back(self, micros: int) -> int:
        """The other way: an amount in the second currency in the first, rounded the same."""
        return msgspec.structs.replace(self, direct=not self.direct).convert(micros)

    def is_below(self, micros: int, threshold: int) -> bool:
        """Whether the amount, converted and unrounded, is strictly below the threshold."""
        if self.direct:
            return micros * self.scaled < threshold * RATE_SCALE
        return micros * RATE_SCALE < threshold * self.scaled


def key_of(event: Configuration | Deleted) -> Key:
    """Which piece of configuration an event defines or deletes."""
    kind = tag_of(type(event)).removesuffix("_deleted")
    return kind, "/".join(str(getattr(event, name)) for name in event.KEY)


class Config:
    """Every definition by kind and key, in memory whole: it is small, and each partition has all of it."""

    def __init__(self) -> None:
        self.profiles: dict[str, Profile] = {}
        self.templates: dict[str, Template] = {}
        self.customer_classes: dict[str, CustomerClass] = {}
        self.resellers: dict[str, Reseller] = {}
        self.users: dict[str, User] = {}
        self.plans: dict[str, TimeBalancePlan] = {}
        self.rates: dict[str, ExchangeRate] = {}
        self.dirty: dict[Key, Configuration | None] = {}
        self._ordered: dict[str, tuple[Rule, ...]] = {}
        self._scaled: dict[str, int] = {}

    def _kinds(self) -> dict[str, dict[str, Any]]:  # each dict holds one member of the union
        return {
            "profile": self.profiles,
            "template": self.templates,
            "customer_class": self.customer_classes,
            "reseller": self.resellers,
            "user": self.users,
            "time_balance_plan": self.plans,
            "exchange_rate": self.rates,
        }

    def knows(self, kind: str, key: str) -> bool:
        """Whether that piece of configuration is defined."""
        return key in self._kinds()[kind]

    def define(self, event: Configuration) -> None:
        """Adds or replaces a definition, whole."""
        kind, key = key_of(event)
        self._kinds()[kind][key] = event
        self.dirty[kind, key] = event
        if isinstance(event, Profile):
            self._ordered[key] = tuple(sorted(event.rules, key=lambda rule: -rule.threshold))
        elif isinstance(event, ExchangeRate):
            self._scaled[key] = parse_rate(event.rate)

    def delete(self, event: Deleted) -> None:
        """Takes a definition away; it must be known and unused."""
        kind, key = key_of(event)
        del self._kinds()[kind][key]
        self.dirty[kind, key] = None

    def definitions(self) -> Iterator[Configuration]:
        """Every definition, in an order that the history decides."""
        for definitions in self._kinds().values():
            yield from definitions.values()

    def rules(self, profile: str) -> tuple[Rule, ...]:
        """A profile's rules by threshold, highest first, equal ones in profile order (semantics 4, "order")."""
        return self._ordered[profile]

    def conversion(self, source: str, target: str) -> Conversion | None:
        """The rate from one currency into another: direct, else one over the opposite, no chains; None: no rate."""
        held = self.rates.get(f"{source}/{target}")
        if held is not None:
            return Conversion(source, target, held.rate, self._scaled[f"{source}/{target}"], direct=True)
        held = self.rates.get(f"{target}/{source}")
        if held is not None:
            return Conversion(target, source, held.rate, self._scaled[f"{target}/{source}"], direct=False)
        return None

    def profile_of(self, settings: Client) -> Profile | None:
        """The client's own profile, else its template's, else none (semantics 4)."""
        key = settings.profile
        if key is None and settings.template is not None:
            key = self.templates[settings.template].profile
        return None if key is None else self.profiles[key]

    def unknown_in(self, event: Configuration | Client) -> Refusal | None:
        """The refusal of an event that names configuration which is not defined, or None."""
        for field, kind, key in _named_by(event):
            if not self.knows(kind, key):
                message = f"{field}: expected a {kind} that is defined, found {key!r}; define it first"
                return Refusal(Reason.UNKNOWN_REFERENCE, message)
        return None

    def configuration_naming(self, kind: str, key: str) -> list[str]:
        """Which other configuration names this piece, as ``kind key``."""
        return [
            " ".join(key_of(event))
            for event in self.definitions()
            if any((named_kind, named) == (kind, key) for _, named_kind, named in _named_by(event))
        ]


def _named_by(event: Configuration | Client) -> Iterator[tuple[str, str, str]]:
    """Field, kind and key of each piece of configuration that an event names."""
    match event:
        case Client():
            for field in CLIENT_REFERENCES:
                key = getattr(event, field)
                if key is not None:
                    yield field, "user" if field == "manager" else field, key
        case Profile():
            if event.reseller is not None:
                yield "reseller", "reseller", event.reseller
            for rule in event.rules:
                for user in rule.users if rule.audience == "user" else ():
                    yield f"rules: {rule.rule}: users", "user", user
        case Template():
            if event.profile is not None:
                yield "profile", "profile", event.profile
        case _:
            pass


def noted_conversion(base: str, quote: str, rate: str) -> Conversion:
    """A conversion that was made before, to be told again with a later change."""
    return Conversion(base, quote, rate, parse_rate(rate), direct=True)
