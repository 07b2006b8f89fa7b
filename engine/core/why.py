"""Why a client was, or was not, notified: what its rules' state says, in numbers and in a sentence (semantics 6).

The verdict is what the last evaluation decided, found again with the predicates that decided it. An ordinary charge
is not an evaluation: it is below nothing that was not below before, so what the last one decided still stands.
"""

from typing import assert_never

from engine.core.configuration import Config, Conversion
from engine.core.low_balance import (
    addresses_of,
    conversion_of,
    currency_of,
    falls_short,
    inactive_from,
    is_below,
    is_due,
    is_spent,
    next_reminder,
    runway_to,
)
from engine.core.records import Account, Balance, RuleState
from engine.core.state import State
from schemas.answers import Verdict, Why, WhyRule
from schemas.events import Profile, Rule
from schemas.money import format_money
from schemas.times import format_time


def why(state: State, client: str, rule: str | None = None) -> Why | None:
    """The answer for one rule of the client's profile, or for all; None where client or rule is unknown."""
    balance, account = state.balances.find(client), state.accounts.find(client)
    if balance is None or account is None:
        return None
    profile = state.config.profile_of(account.settings)
    rules = () if profile is None else state.config.rules(profile.profile)
    if rule is not None:
        rules = tuple(found for found in rules if found.rule == rule)
        if not rules:
            return None
    credit, available = balance.credit, balance.available
    return Why(
        client=client,
        asleep=not balance.awake,
        available=None if available is None else format_money(available),
        live=format_money(balance.live),
        credit=None if credit is None else format_money(credit),
        currency=balance.currency,
        charged_at=None if balance.charged_at is None else format_time(balance.charged_at),
        rules=[] if profile is None else [_why_rule(state.config, balance, account, profile, one) for one in rules],
    )


def _why_rule(config: Config, balance: Balance, account: Account, profile: Profile, rule: Rule) -> WhyRule:
    currency = currency_of(profile, balance)
    # What is kept of another profile of the client is not about this one, whatever the rule's name.
    kept = account.rules.get(rule.rule) if account.profile == profile.profile else None
    standing = RuleState(rule.threshold, currency) if kept is None else kept
    verdict = _verdict(config, balance, account, profile, rule, kept)
    available = balance.available
    return WhyRule(
        rule=rule.rule,
        profile=profile.profile,
        threshold=format_money(rule.threshold),
        threshold_currency=currency,
        inactivity_days=rule.inactivity_days,
        below=standing.below,
        episode=standing.episode,
        count=standing.count,
        max=profile.max_qty,
        last_sent=_time_or_none(standing.sent_at),
        next_at=_time_or_none(_next_at(balance, account, profile, rule, kept)),
        evaluated_at=_time_or_none(account.evaluated_at),
        available=None if available is None else format_money(available),
        verdict=verdict,
        sentence=_sentence(verdict, config, balance, account, profile, rule, standing),
        runway_seconds=rule.runway_seconds,
    )


def _next_at(
    balance: Balance, account: Account, profile: Profile, rule: Rule, standing: RuleState | None
) -> int | None:
    """When the clock alone looks at the rule again, as ``low_balance.rule_dues`` puts it; None: it does not."""
    if standing is None or not standing.below:
        return None
    if not standing.open:
        return inactive_from(rule, balance, account)
    reminder = next_reminder(profile, standing)
    passed = reminder is not None and account.evaluated_at is not None and reminder <= account.evaluated_at
    return None if passed else reminder


def _verdict(
    config: Config, balance: Balance, account: Account, profile: Profile, rule: Rule, standing: RuleState | None
) -> Verdict:
    if not balance.awake:
        return "asleep"
    if balance.available is None:
        return "unlimited"
    conversion = conversion_of(config, balance, profile)
    if conversion is None and currency_of(profile, balance) != balance.currency:
        return "no_rate"
    evaluated_at = account.evaluated_at
    if standing is None or evaluated_at is None or _is_behind(balance, rule, standing, conversion, evaluated_at):
        return "not_evaluated"  # a rate came, or another one: it counts from the client's next evaluation on
    if not standing.below:
        return "not_below"
    if not standing.open:
        return "waiting_for_inactivity"
    if standing.count > 0 and standing.sent_at == evaluated_at:
        return "sent"
    if is_spent(profile, standing):
        return "max_reached"
    if is_due(profile, standing, evaluated_at):
        return "no_recipient"
    return "waiting_for_refill" if next_reminder(profile, standing) is None else "waiting_for_period"


def _is_behind(
    balance: Balance, rule: Rule, standing: RuleState, conversion: Conversion | None, evaluated_at: int
) -> bool:
    """Whether a rule holds that did not when it was evaluated."""
    return not standing.below and falls_short(balance, rule, conversion, evaluated_at)


def _sentence(
    verdict: Verdict,
    config: Config,
    balance: Balance,
    account: Account,
    profile: Profile,
    rule: Rule,
    standing: RuleState,
) -> str:
    conversion = conversion_of(config, balance, profile)
    threshold = f"{format_money(rule.threshold)} {currency_of(profile, balance)}"
    available = _available(balance, conversion)
    below = f"{available} {_holds(balance, account, rule, conversion)} the threshold {threshold}"
    changed = _changed_since(balance, account, rule, standing, conversion)
    runway = _runway(balance, account, rule, conversion)
    refill = _refill(rule, threshold)
    match verdict:
        case "asleep":
            return (
                "Not sent: the client is asleep; its rules begin with its first charge, payment, adjustment, transfer "
                "or change of credit."
            )
        case "unlimited":
            return f"Not sent: credit is unlimited, so available is never below the threshold {threshold}."
        case "no_rate":
            pair = f"{balance.currency} and {currency_of(profile, balance)}"
            return (
                f"Not sent: {available} cannot be compared with the threshold {threshold}: there is no exchange rate "
                f"between {pair}."
            )
        case "not_evaluated":
            return f"Not decided yet: the rule ({threshold}) is evaluated with the client's next event."
        case "not_below":
            hold_off = _hold_off(profile, standing)
            return f"Not sent: {available} is not below the threshold {threshold}{runway}.{hold_off}"
        case "waiting_for_inactivity":
            return f"Not sent: {below}, but {_inactivity(balance, account, rule)}.{changed}"
        case "max_reached":
            if profile.max_qty == 0:
                return f"Not sent: {below}, but the profile allows no notification (maximum 0).{changed}"
            return (
                f"Not sent again: {below}, but the maximum is reached, {standing.count} of {profile.max_qty}, the last "
                f"at {_time_or_none(standing.sent_at)}; {refill}.{changed}"
            )
        case "no_recipient":
            return f"Not sent: {below}, but the rule has no recipient: {_no_recipient(rule)}.{changed}"
        case "waiting_for_refill":
            return (
                f"Not sent again: {below}, but the profile has no period and the last one was sent at "
                f"{_time_or_none(standing.sent_at)}; {refill}.{changed}"
            )
        case "waiting_for_period":
            return (
                f"Not sent again yet: {below}, {_counted(profile, standing)} at {_time_or_none(standing.sent_at)}; it "
                f"waits for the period, until {_time_or_none(next_reminder(profile, standing))}.{changed}"
            )
        case "sent":
            return (
                f"Sent: {below}; {_counted(profile, standing)} at {_time_or_none(standing.sent_at)}."
                f"{_follows(profile, standing, refill)}{_to(config, account, rule)}{changed}"
            )
        case _:
            assert_never(verdict)


def _available(balance: Balance, conversion: Conversion | None) -> str:
    available = balance.available
    amount = "unlimited" if available is None else f"{format_money(available)} {balance.currency}"
    rate = "" if conversion is None else f" (at {conversion.base}/{conversion.quote} {conversion.rate})"
    return f"available {amount}{rate}"


def _holds(balance: Balance, account: Account, rule: Rule, conversion: Conversion | None) -> str:
    """How a rule holds: below its threshold or, at the rate of recent charges, soon to be."""
    if rule.runway_seconds is None or is_below(balance.available, rule.threshold, conversion):
        return "is below"
    seconds = _estimate(balance, account, rule, conversion)
    lasts = "above a year" if seconds is None else _span(seconds)
    return f"is estimated to last for {lasts}, less than {_span(rule.runway_seconds)}, down to"


def _runway(balance: Balance, account: Account, rule: Rule, conversion: Conversion | None) -> str:
    """What a rule with a runway that does not hold adds: how long it is."""
    if rule.runway_seconds is None:
        return ""
    seconds = _estimate(balance, account, rule, conversion)
    if seconds is None:
        return f", and no estimate says that it lasts less than {_span(rule.runway_seconds)}"
    return f", and is estimated to last for {_span(seconds)}, not less than {_span(rule.runway_seconds)}"


def _estimate(balance: Balance, account: Account, rule: Rule, conversion: Conversion | None) -> int | None:
    """The runway as it was when the rule was evaluated."""
    evaluated_at = account.created_at if account.evaluated_at is None else account.evaluated_at
    return runway_to(balance, rule, conversion, evaluated_at)


def _span(seconds: int) -> str:
    """Hours and minutes; below a minute, seconds."""
    if seconds < 60:
        return f"{seconds} s"
    hours, minutes = divmod(seconds // 60, 60)
    return " ".join(f"{count} {unit}" for count, unit in ((hours, "h"), (minutes, "min")) if count)


def _changed_since(
    balance: Balance, account: Account, rule: Rule, standing: RuleState, conversion: Conversion | None
) -> str:
    """A new rate counts from the client's next evaluation on; until then state and numbers may differ."""
    if conversion is None or account.evaluated_at is None:
        return ""
    if falls_short(balance, rule, conversion, account.evaluated_at) == standing.below:
        return ""
    return " The exchange rate has changed since: the new one counts from the client's next event on."


def _counted(profile: Profile, standing: RuleState) -> str:
    of = "" if profile.max_qty is None else f" of {profile.max_qty}"
    return f"{standing.count}{of} sent, the last"


def _hold_off(profile: Profile, standing: RuleState) -> str:
    """What a rule that was lifted without a refill keeps."""
    if standing.sent_at is None:
        return ""
    if is_spent(profile, standing):
        return f" It was lifted without a refill: {standing.count} of {profile.max_qty} stay counted."
    reminder = next_reminder(profile, standing)
    until = "a refill" if reminder is None else format_time(reminder)
    return f" It was lifted without a refill: below again, it does not fire before {until}."


def _follows(profile: Profile, standing: RuleState, refill: str) -> str:
    reminder = next_reminder(profile, standing)
    if reminder is not None:
        return f" The next is due at {format_time(reminder)} if it is still below then."
    return f" It was the last: {refill}."


def _to(config: Config, account: Account, rule: Rule) -> str:
    channels = [channel for channel, _ in addresses_of(config, account.settings, rule)]
    names = {"email": "e-mail", "sms": "SMS"}
    return f" By {' and '.join(names[channel] for channel in channels)}." if channels else ""


def _refill(rule: Rule, threshold: str) -> str:
    if rule.runway_seconds is not None:
        return f"a refill that makes it last for {_span(rule.runway_seconds)} or longer starts it anew"
    return f"a refill that lifts available to {threshold} or above starts it anew"


def _inactivity(balance: Balance, account: Account, rule: Rule) -> str:
    since = (
        f"it was created at {format_time(account.created_at)} and never charged"
        if balance.charged_at is None
        else f"its last charge was at {format_time(balance.charged_at)}"
    )
    until = format_time(inactive_from(rule, balance, account))
    return f"the rule asks for {rule.inactivity_days} days without a charge: {since}, so it waits until {until}"


def _no_recipient(rule: Rule) -> str:
    names = {"email": "e-mail address", "sms": "phone"}
    wanted = " or ".join(names[channel] for channel in rule.channels) or "channel"
    whom = "the client" if rule.audience == "client" else "its manager, its reseller or a chosen user"
    if not rule.notify:
        whom = "" if rule.audience == "client" else "a chosen user"
        listed = "no listed e-mail addresses" if not whom else f"no listed e-mail addresses, nor {whom} with a {wanted}"
        return f"notify is off and there are {listed}"
    return f"there is no {wanted} of {whom}, and no listed e-mail address"


def _time_or_none(instant: int | None) -> str | None:
    return None if instant is None else format_time(instant)
