"""From the fields of a line to an event, or a refusal with the first reason of the contract's list."""

from __future__ import annotations

from collections.abc import Callable

from .events import (
    Adjustment,
    Charge,
    ClientBody,
    ClientSettings,
    ConfigBody,
    CreditLimit,
    CustomerClass,
    Deletion,
    Event,
    ExchangeRate,
    Identity,
    Invoice,
    Level,
    LowBalance,
    Payment,
    Plan,
    Profile,
    Reseller,
    Rollover,
    Rule,
    Template,
    TemporaryCredit,
    TemporaryCreditCap,
    TimeBalance,
    Transfer,
    Usage,
    User,
    WarningThreshold,
    Window,
)
from .values import Refused, parse_money, parse_time
from .wire import Object, Reader

LATE_GRACE_SECONDS = 3600
LEVELS_MAX = 3
DURATION_MAX = 100 * 366 * 86_400
UNITS = ("event", "second", "minute", "hour", "day", "byte", "kilobyte", "megabyte", "gigabyte")


def log_time(fields: Object) -> int | None:
    """The log time the line asks for: `at`, else `time`; None if that one cannot be read."""
    at = fields.get("at")
    return parse_time(fields.get("time") if at is None else at)


def parse(fields: Object) -> Event:
    """The event, or Refused."""
    kind = fields.get("type")
    if not isinstance(kind, str) or kind not in KNOWN:
        raise Refused("unknown_type", f"the type is unknown: {kind!r:.80}")
    reader = Reader(fields)
    time = parse_time(reader.raw("time"))
    if time is None:
        reader.fail("bad_time", "time is missing or cannot be read")
    if reader.raw("at") is not None and parse_time(reader.raw("at")) is None:
        reader.fail("bad_time", "at cannot be read")
    identity = Identity("", "")
    client: str | None = None
    body: ClientBody | ConfigBody | None = None
    if kind != "tick":
        identity = Identity(reader.identity("source"), reader.identity("id"))
    if kind in CLIENT_TYPES:
        client = reader.identity("client")
        body = CLIENT_TYPES[kind](reader, time or 0)
    elif kind in CONFIG_TYPES:
        body = CONFIG_TYPES[kind](reader)
    elif kind in DELETIONS:
        body = _deletion(reader, kind.removesuffix("_deleted"))
    reader.check()
    return Event(identity, time or 0, client, body)


def _low_balance(reader: Reader) -> LowBalance:
    nested = reader.nested("low_balance")
    if nested is None:
        return LowBalance()
    return LowBalance(nested.money("threshold"), nested.whole("capacity"))


def _transfers(reader: Reader) -> str | None:
    return None if reader.raw("transfers") is None else reader.choice("transfers", ("yes", "no"), "no")


def _warning_thresholds(reader: Reader) -> tuple[WarningThreshold, ...]:
    found: list[WarningThreshold] = []
    for text in reader.items("warning_thresholds"):
        is_percent = isinstance(text, str) and text.endswith("%")
        value = parse_money(text[:-1] if is_percent else text)
        if value is None:
            reader.fail("bad_amount", f"a warning threshold cannot be read: {text!r:.80}")
            continue
        threshold = WarningThreshold(is_percent, value, text)
        if threshold not in found:
            found.append(threshold)
    return tuple(found)


def _client(reader: Reader, _time: int) -> ClientSettings:
    return ClientSettings(
        currency=reader.currency("currency", required=True) or "",
        model=reader.choice("model", ("prepaid", "postpaid"), "prepaid"),
        reseller=reader.reference("reseller"),
        manager=reader.reference("manager"),
        template=reader.reference("template"),
        customer_class=reader.reference("customer_class"),
        profile=reader.reference("profile"),
        billing_email=reader.text("billing_email"),
        phone=reader.text("phone"),
        language=reader.text("language"),
        time_zone=reader.zone("time_zone"),
        capacity=reader.whole("capacity"),
        low_balance=_low_balance(reader),
        warning_thresholds=_warning_thresholds(reader),
        warning_channels=reader.channels("warning_channels"),
        transfers=_transfers(reader),
        cycle_day=reader.whole("cycle_day", low=1, high=28) or 1,
    )


def _charge(reader: Reader, time: int) -> Charge:
    usage = None
    nested = reader.nested("usage")
    if nested is not None:
        started_at = nested.time("started_at")
        usage = Usage(
            type=nested.string("type"),
            quantity=nested.whole("quantity", required=True) or 0,
            unit=nested.choice("unit", ("event", "second", "byte")),
            started_at=time if started_at is None else started_at,
        )
    return Charge(reader.amount(low=0) or 0, reader.currency("currency"), usage)


def _payment(reader: Reader, _time: int) -> Payment:
    kinds = ("payment", "top_up", "manual_credit", "promotional_credit")
    return Payment(
        reader.amount() or 0,
        reader.currency("currency"),
        reader.choice("kind", kinds, "payment"),
        reader.text("reference"),
    )


def _adjustment(reader: Reader, _time: int) -> Adjustment:
    kind = reader.choice("kind", ("manual_charge", "refund", "reversal"))
    of = None
    nested = reader.nested("of")
    if nested is not None:
        of = Identity(nested.key("source"), nested.key("id"))
    low = 0 if kind == "refund" and of is not None else 1
    return Adjustment(reader.amount(low=low) or 0, reader.currency("currency"), kind, of)


def _credit_limit(reader: Reader, _time: int) -> CreditLimit:
    if "limit" not in reader.fields:
        reader.fail("missing_field", "limit is missing; null is unlimited")
    return CreditLimit(reader.money("limit"), reader.currency("currency"), reader.text("actor"), reader.text("reason"))


def _temporary_credit(reader: Reader, _time: int) -> TemporaryCredit:
    remove = reader.flag("remove")
    amount, percent = reader.amount(required=False), reader.percent("percent")
    named = [name for name in ("amount", "amount_micros", "percent") if reader.raw(name) is not None]
    if not remove and len(named) != 1:
        reader.fail("bad_amount", "exactly one of amount and percent")
    return TemporaryCredit(
        None if remove else amount,
        None if remove else percent,
        reader.currency("currency"),
        reader.time("valid_until"),
        reader.text("actor"),
        reader.text("reason"),
        remove,
    )


def _invoice(reader: Reader, _time: int) -> Invoice:
    return Invoice(reader.key("invoice"), reader.amount() or 0, reader.currency("currency"), reader.time("due_at"))


def _transfer(reader: Reader, _time: int) -> Transfer:
    return Transfer(reader.key("to"), reader.amount() or 0, reader.currency("currency"))


def _time_balance(reader: Reader, _time: int) -> TimeBalance:
    action = reader.choice("action", ("grant", "renew", "top_up", "cancel"))
    names_plan = reader.raw("action") in ("grant", "renew")
    plan = reader.key("plan") if names_plan else reader.reference("plan")
    return TimeBalance(action, plan, reader.key("grant"), reader.whole("units"))


def _rule(reader: Reader) -> Rule:
    return Rule(
        rule=reader.key("rule"),
        audience=reader.choice("audience", ("user", "client")),
        threshold=reader.money("threshold", required=True) or 0,
        notify=reader.flag("notify"),
        users=reader.keys("users"),
        emails=reader.texts("emails"),
        inactivity_days=reader.whole("inactivity_days", high=DURATION_MAX // 86_400),
        channels=reader.channels("channels"),
        runway_seconds=reader.whole("runway_seconds", low=1, high=DURATION_MAX),
    )


def _profile(reader: Reader) -> Profile:
    rules = []
    for item in reader.items("rules"):
        nested = reader.within(item, "a rule")
        if nested is None:
            reader.fail("bad_field", "a rule is not an object")
        else:
            rules.append(_rule(nested))
    if len({rule.rule for rule in rules}) < len(rules):
        reader.fail("bad_field", "two rules have the same id")
    return Profile(
        profile=reader.key("profile"),
        name=reader.text("name"),
        reseller=reader.reference("reseller"),
        currency=reader.currency("currency"),
        sort_order=reader.whole("sort_order", low=-(2**63)),
        max_qty=reader.whole("max_qty"),
        period_seconds=reader.whole("period_seconds", high=DURATION_MAX),
        rearm=reader.choice("rearm", ("refill", "any_payment"), "refill"),
        rules=tuple(rules),
    )


def _template(reader: Reader) -> Template:
    return Template(
        reader.key("template"),
        reader.text("name"),
        reader.reference("profile"),
        reader.whole("capacity"),
        _low_balance(reader),
    )


def _customer_class(reader: Reader) -> CustomerClass:
    return CustomerClass(reader.key("customer_class"), reader.text("name"), _transfers(reader))


def _reseller(reader: Reader) -> Reseller:
    cap = None
    nested = reader.nested("max_temporary_credit")
    if nested is not None:
        days = nested.whole("days", high=DURATION_MAX // 86_400)
        cap = TemporaryCreditCap(nested.money("amount"), nested.percent("percent"), days)
        if cap.amount is not None and cap.percent is not None:
            reader.fail("bad_field", "the cap is either an amount or a percentage")
    return Reseller(reader.key("reseller"), reader.text("name"), reader.text("email"), cap)


def _user(reader: Reader) -> User:
    return User(reader.key("user"), reader.text("name"), reader.text("email"), reader.text("phone"))


def _window(reader: Reader) -> Window | None:
    nested = reader.nested("window")
    if nested is None:
        return None
    seconds, until = nested.whole("seconds", high=DURATION_MAX), None
    if nested.raw("until") is not None:
        until = nested.choice("until", ("day", "week", "cycle"))
    if (nested.raw("seconds") is None) == (nested.raw("until") is None):
        reader.fail("bad_field", "a window has either seconds or until")
    return Window(seconds, until)


def _levels(reader: Reader) -> tuple[Level, ...]:
    levels = []
    for item in reader.items("thresholds"):
        nested = reader.within(item, "a threshold")
        if nested is None:
            reader.fail("bad_field", "a threshold is not an object")
        else:
            levels.append(Level(nested.percent("percent", required=True) or 0, nested.channels("channels")))
    if len(levels) > LEVELS_MAX or len({level.percent for level in levels}) < len(levels):
        reader.fail("bad_field", "three thresholds at most, each another percentage")
    return tuple(levels)


def _plan(reader: Reader) -> Plan:
    rollover = None
    nested = reader.nested("rollover")
    if nested is not None:
        rollover = Rollover(nested.whole("min") or 0, nested.whole("max"), nested.whole("cycles"))
    grace = reader.whole("late_grace_seconds", high=DURATION_MAX)
    return Plan(
        plan=reader.key("plan"),
        name=reader.text("name"),
        unit=reader.choice("unit", UNITS),
        units=reader.whole("units", required=True) or 0,
        usage_types=reader.texts("usage_types"),
        validity_seconds=reader.whole("validity_seconds", high=DURATION_MAX),
        window=_window(reader),
        rollover=rollover,
        order=reader.choice("order", ("fresh_first", "rolled_first"), "fresh_first"),
        thresholds=_levels(reader),
        on_exhausted=reader.choice("on_exhausted", ("reject", "charge"), "charge"),
        late_grace_seconds=LATE_GRACE_SECONDS if grace is None else grace,
    )


def _exchange_rate(reader: Reader) -> ExchangeRate:
    base, quote = reader.currency("base", required=True), reader.currency("quote", required=True)
    return ExchangeRate(base or "", quote or "", reader.rate("rate"))


def _deletion(reader: Reader, kind: str) -> Deletion:
    if kind == "exchange_rate":
        base, quote = reader.currency("base", required=True), reader.currency("quote", required=True)
        return Deletion(kind, (base or "", quote or ""))
    return Deletion(kind, (reader.key("plan" if kind == "time_balance_plan" else kind),))


CLIENT_TYPES: dict[str, Callable[[Reader, int], ClientBody]] = {
    "client": _client,
    "charge": _charge,
    "payment": _payment,
    "adjustment": _adjustment,
    "credit_limit": _credit_limit,
    "temporary_credit": _temporary_credit,
    "invoice": _invoice,
    "transfer": _transfer,
    "time_balance": _time_balance,
}
CONFIG_TYPES: dict[str, Callable[[Reader], ConfigBody]] = {
    "profile": _profile,
    "template": _template,
    "customer_class": _customer_class,
    "reseller": _reseller,
    "user": _user,
    "time_balance_plan": _plan,
    "exchange_rate": _exchange_rate,
}
DELETIONS = {f"{kind}_deleted" for kind in CONFIG_TYPES}
KNOWN = {"tick", *CLIENT_TYPES, *CONFIG_TYPES, *DELETIONS}
