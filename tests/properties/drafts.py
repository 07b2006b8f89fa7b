"""What one event of a generated history says, but for its identity and its time.

The pools are small, so that events meet: the same few thresholds, addresses, plans and rates in every history.
"""

from tests.properties.dice import Dice, happens, pick, some

Json = dict[str, object]

HOUR = 3600
DAY = 24 * HOUR
CURRENCIES = ("EUR", "USD", "JPY")
PROFILES = ("p1", "p2", "p3")
TEMPLATES = ("t1", "t2")
CLASSES = ("k1", "k2")
RESELLERS = ("r1", "r2")
USERS = ("u1", "u2", "u3")
PLANS = ("m1", "m2", "s1", "e1", "b1")
GRANTS = ("g1", "g2", "g3", "g4")
THRESHOLDS = ("5", "10", "0", "-2", "4.999999", "5", "20")
WARNINGS = ("5", "50%", "10", "90%", "0", "12.5%", "33.333333%", "-1", "100%", "0.000001")
RATES = ("1", "2", "0.5", "1.1", "0.000001", "3", "0.333333333333", "7.123456")
USAGE_TYPES = ("call", "sms", "data")
COVERED = (["call", "sms", "data"], ["call", "data"], ["call", "sms"], ["call"])
ZONES = ("UTC", "Europe/Kyiv", "America/Sao_Paulo", "Africa/Cairo", "Asia/Kathmandu")


def maybe(dice: Dice, percent: int, body: Json, name: str, value: object) -> None:
    """Adds a field in so many of a hundred cases; an absent one is sometimes an explicit null."""
    if happens(dice, percent):
        body[name] = value
    elif happens(dice, 5):
        body[name] = None


def client(dice: Dice, name: str, currency: str) -> Json:
    """Settings of a client."""
    body: Json = {"type": "client", "client": name, "currency": currency}
    if happens(dice, 45):
        body["model"] = "postpaid"
    maybe(dice, 60, body, "profile", pick(dice, PROFILES))
    maybe(dice, 50, body, "template", pick(dice, TEMPLATES))
    maybe(dice, 40, body, "reseller", pick(dice, RESELLERS))
    maybe(dice, 40, body, "manager", pick(dice, USERS))
    maybe(dice, 40, body, "customer_class", pick(dice, CLASSES))
    maybe(dice, 75, body, "billing_email", f"{name}@x")
    maybe(dice, 40, body, "phone", "+1555")
    maybe(dice, 10, body, "language", pick(dice, ("uk", "pt-BR")))
    maybe(dice, 30, body, "time_zone", pick(dice, ZONES))
    maybe(dice, 40, body, "capacity", pick(dice, (3, 1, 0, 10)))
    maybe(dice, 40, body, "low_balance", low_balance(dice))
    maybe(dice, 50, body, "warning_thresholds", list(dict.fromkeys(some(dice, WARNINGS))))
    maybe(dice, 30, body, "warning_channels", pick(dice, (["email"], ["sms"], ["email", "sms"], [])))
    maybe(dice, 55, body, "transfers", pick(dice, ("yes", "yes", "no")))
    maybe(dice, 20, body, "cycle_day", pick(dice, (1, 15, 28)))
    return body


def low_balance(dice: Dice) -> Json:
    """A low balance pair, or half of one."""
    pair: Json = {}
    maybe(dice, 80, pair, "threshold", pick(dice, THRESHOLDS))
    maybe(dice, 80, pair, "capacity", pick(dice, (1, 0, 2, 5)))
    return pair


def profile(dice: Dice, name: str) -> Json:
    """A low balance profile."""
    body: Json = {"type": "profile", "profile": name, "rules": [rule(dice, f"x{at}") for at in range(dice.below(4))]}
    maybe(dice, 30, body, "reseller", pick(dice, RESELLERS))
    maybe(dice, 35, body, "currency", pick(dice, CURRENCIES))
    maybe(dice, 70, body, "max_qty", pick(dice, (3, 1, 2, 0)))
    maybe(dice, 70, body, "period_seconds", pick(dice, (DAY, 6 * HOUR, 0, 5 * HOUR + 1, 3 * DAY)))
    maybe(dice, 30, body, "rearm", pick(dice, ("any_payment", "refill")))
    return body


def rule(dice: Dice, name: str) -> Json:
    """A rule of a profile."""
    body: Json = {"rule": name, "audience": pick(dice, ("client", "user")), "threshold": pick(dice, THRESHOLDS)}
    maybe(dice, 70, body, "notify", True)
    maybe(dice, 30, body, "users", some(dice, USERS))
    maybe(dice, 40, body, "emails", pick(dice, (["ops@x"], ["ops@x", "c1@x"], ["a@x", "ops@x", "a@x"])))
    maybe(dice, 35, body, "inactivity_days", pick(dice, (1, 0, 3)))
    maybe(dice, 35, body, "channels", pick(dice, (["email"], ["sms"], ["email", "sms"])))
    maybe(dice, 15, body, "runway_seconds", pick(dice, (DAY, 6 * HOUR, 30 * DAY, 1)))
    return body


def template(dice: Dice, name: str) -> Json:
    """What clients share."""
    body: Json = {"type": "template", "template": name}
    maybe(dice, 50, body, "profile", pick(dice, PROFILES))
    maybe(dice, 50, body, "capacity", pick(dice, (3, 2, 0)))
    maybe(dice, 50, body, "low_balance", low_balance(dice))
    return body


def reseller(dice: Dice, name: str) -> Json:
    """A reseller, perhaps with a cap on temporary credit."""
    body: Json = {"type": "reseller", "reseller": name}
    maybe(dice, 60, body, "email", pick(dice, ("r@x", f"{name}@x")))
    if happens(dice, 50):
        cap: Json = {}
        if happens(dice, 50):
            cap["amount"] = pick(dice, ("10", "0", "50"))
        elif happens(dice, 60):
            cap["percent"] = pick(dice, (50, "12.5", 100))
        maybe(dice, 40, cap, "days", pick(dice, (1, 3)))
        body["max_temporary_credit"] = cap
    return body


def user(dice: Dice, name: str) -> Json:
    """A person."""
    body: Json = {"type": "user", "user": name}
    maybe(dice, 60, body, "email", pick(dice, (f"{name}@x", "ops@x")))
    maybe(dice, 50, body, "phone", pick(dice, ("+1777", "+1555")))
    maybe(dice, 20, body, "name", pick(dice, ("Ann", "Bob")))
    return body


def plan(dice: Dice, name: str) -> Json:
    """A plan of free units; its id says of which kind."""
    units = {"m": ("minute", "hour"), "s": ("second", "second"), "e": ("event", "event"), "b": ("kilobyte", "byte")}
    body: Json = {"type": "time_balance_plan", "plan": name}
    body["unit"] = units[name[0]][happens(dice, 10)]
    body["units"] = pick(dice, (10, 60, 3, 100, 20, 5, 2, 0))
    maybe(dice, 95, body, "usage_types", pick(dice, COVERED))
    maybe(dice, 70, body, "validity_seconds", pick(dice, (DAY, 2 * HOUR, 30 * DAY, 7 * DAY, 12 * HOUR)))
    if happens(dice, 45):
        windows: tuple[Json, ...] = ({"seconds": HOUR}, {"seconds": 90}, {"until": "day"}, {"until": "week"})
        body["window"] = pick(dice, (*windows, {"until": "cycle"}))
    if happens(dice, 65):
        carried: Json = {}
        maybe(dice, 30, carried, "min", pick(dice, (1, 5)))
        maybe(dice, 40, carried, "max", pick(dice, (8, 5, 100)))
        maybe(dice, 40, carried, "cycles", pick(dice, (1, 2, 0)))
        body["rollover"] = carried
    maybe(dice, 40, body, "order", pick(dice, ("rolled_first", "fresh_first")))
    if happens(dice, 80):
        levels = some(dice, (0, 50, 80, 100, "33.3", "0.1"))[:3]
        body["thresholds"] = [_level(dice, percent) for percent in levels]
    maybe(dice, 45, body, "on_exhausted", pick(dice, ("reject", "charge")))
    maybe(dice, 50, body, "late_grace_seconds", pick(dice, (0, 60, 2 * HOUR)))
    return body


def _level(dice: Dice, percent: object) -> Json:
    level: Json = {"percent": percent}
    maybe(dice, 40, level, "channels", pick(dice, (["email", "sms"], ["sms"])))
    return level


def configuration(dice: Dice, kind: str, key: str) -> Json:
    """A definition of that kind and key."""
    match kind:
        case "profile":
            return profile(dice, key)
        case "template":
            return template(dice, key)
        case "customer_class":
            body: Json = {"type": "customer_class", "customer_class": key}
            maybe(dice, 70, body, "transfers", pick(dice, ("yes", "no")))
            return body
        case "reseller":
            return reseller(dice, key)
        case "user":
            return user(dice, key)
        case "time_balance_plan":
            return plan(dice, key)
        case _:
            base, quote = key.split("/")
            return {"type": "exchange_rate", "base": base, "quote": quote, "rate": pick(dice, RATES)}


CONFIGURATION: tuple[tuple[str, str], ...] = (
    *(("reseller", key) for key in RESELLERS),
    *(("user", key) for key in USERS),
    *(("profile", key) for key in PROFILES),
    *(("template", key) for key in TEMPLATES),
    *(("customer_class", key) for key in CLASSES),
    *(("time_balance_plan", key) for key in PLANS),
    ("exchange_rate", "EUR/USD"),
    ("exchange_rate", "USD/EUR"),
    ("exchange_rate", "JPY/EUR"),
)
"""Every piece of configuration a history can define, in an order in which none names a later one."""


def deletion(kind: str, key: str) -> Json:
    """The event that deletes it."""
    if kind == "exchange_rate":
        base, quote = key.split("/")
        return {"type": "exchange_rate_deleted", "base": base, "quote": quote}
    return {"type": f"{kind}_deleted", "plan" if kind == "time_balance_plan" else kind: key}
