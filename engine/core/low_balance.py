"""Low balance profiles: when a rule holds, when it fires, and what re-arms it (semantics 4)."""

from typing import Final

from engine.core.configuration import Config, Conversion
from engine.core.records import TRIGGER_ALWAYS, Account, Balance, RuleState
from engine.core.runway import expected_charges, seconds_to_spend
from engine.core.step import Step
from schemas.events import Channel, Client, Profile, Rule
from schemas.money import format_money
from schemas.times import DAY, NEVER, SECOND

CHANNELS: Final[tuple[Channel, ...]] = ("email", "sms")
"""The order in which the channels of one emission come out."""


def evaluate_rules(step: Step) -> None:
    """Evaluates every rule of the client's profile once, fires what is due, and re-arms what a refill lifted."""
    account, config = step.account, step.state.config
    profile = config.profile_of(account.settings)
    key = None if profile is None else profile.profile
    if key != account.profile:
        account.rules, account.profile = {}, key
    if profile is None or key is None:
        return
    rules = config.rules(key)
    conversion = conversion_of(config, step.balance, profile)
    currency = currency_of(profile, step.balance)
    foreign = currency != step.balance.currency
    for rule in rules:
        state = _state_of(account, rule, currency)
        if foreign and conversion is None and step.balance.available is not None:
            step.out.no_rate += 1
        else:
            _evaluate(step, profile, rule, state, conversion)
    if len(account.rules) > len(rules):
        names = [rule.rule for rule in rules]
        account.rules = {name: rule for name, rule in account.rules.items() if name in names}


def currency_of(profile: Profile, balance: Balance) -> str:
    """The currency of a profile's thresholds: its own, or the client's where it names none."""
    return profile.currency or balance.currency


def conversion_of(config: Config, balance: Balance, profile: Profile) -> Conversion | None:
    """How available is converted into the profile's currency; None where it is the same one or there is no rate."""
    currency = currency_of(profile, balance)
    return None if currency == balance.currency else config.conversion(balance.currency, currency)


def is_below(available: int | None, threshold: int, conversion: Conversion | None) -> bool:
    """Whether available, unrounded in the profile's currency, is strictly below; unlimited never is."""
    if available is None:
        return False
    return available < threshold if conversion is None else conversion.is_below(available, threshold)


def falls_short(balance: Balance, rule: Rule, conversion: Conversion | None, now: int) -> bool:
    """Whether available is below the rule's threshold or, where the rule asks for a runway, is expected to be below
    it in less than that at the rate of recent charges (decision record 0015)."""
    available = balance.available
    if available is None or rule.runway_seconds is None or is_below(available, rule.threshold, conversion):
        return is_below(available, rule.threshold, conversion)
    return is_below(available - expected_charges(balance, rule.runway_seconds, now), rule.threshold, conversion)


def runway_to(balance: Balance, rule: Rule, conversion: Conversion | None, now: int) -> int | None:
    """The estimated seconds until available has fallen to the rule's threshold; None: no estimate."""
    available = balance.available
    level = rule.threshold if conversion is None else conversion.back(rule.threshold)
    return None if available is None else seconds_to_spend(balance, available - level, now)


def inactive_from(rule: Rule, balance: Balance, account: Account) -> int:
    """The instant from which the rule's inactivity is fulfilled; the epoch's far past where it asks for none."""
    if rule.inactivity_days is None:
        return -NEVER
    since = account.created_at if balance.charged_at is None else balance.charged_at
    return since + rule.inactivity_days * DAY


def _state_of(account: Account, rule: Rule, currency: str) -> RuleState:
    """Where a rule stands; afresh, which is a count reset, where its threshold or its currency was changed."""
    state = account.rules.get(rule.rule)
    if state is not None and state.threshold == rule.threshold and state.currency == currency:
        return state
    if state is not None and state.count > 0:
        account.take_episode()
    state = account.rules[rule.rule] = RuleState(rule.threshold, currency)
    return state


def _evaluate(step: Step, profile: Profile, rule: Rule, state: RuleState, conversion: Conversion | None) -> None:
    account, balance = step.account, step.balance
    was_below = state.below
    state.below = falls_short(balance, rule, conversion, step.now)
    if not state.below:
        state.open = False
        if step.refilled:
            if state.count > 0:
                if was_below:
                    _emit(step, profile, rule, state, conversion, recovered=True)
                state.count = 0
                state.episode = account.take_episode()
            state.sent_at = None
        return
    if step.paid and state.count > 0 and profile.rearm == "any_payment":
        state.count = 0
        state.episode = account.take_episode()
    if step.now < inactive_from(rule, balance, account):
        state.open = False
        return
    if not state.open:
        state.open = True
        state.episode = account.take_episode()
    if is_due(profile, state, step.now):
        _emit(step, profile, rule, state, conversion, recovered=False)


def is_spent(profile: Profile, state: RuleState) -> bool:
    """Whether a rule has sent as often as its profile allows."""
    return profile.max_qty is not None and state.count >= profile.max_qty


def is_due(profile: Profile, state: RuleState, now: int) -> bool:
    """Whether an open rule fires at that instant, if it has a recipient."""
    if is_spent(profile, state):
        return False
    reminder = next_reminder(profile, state)
    return state.sent_at is None or (reminder is not None and now >= reminder)


def _emit(
    step: Step, profile: Profile, rule: Rule, state: RuleState, conversion: Conversion | None, *, recovered: bool
) -> None:
    addressed = addresses_of(step.state.config, step.account.settings, rule)
    if not addressed:
        return
    if not recovered:
        state.count += 1
        state.sent_at = step.now
    for channel, to in addressed:
        step.notify(
            "recovered" if recovered else "low_balance",
            rule.rule,
            channel,
            to,
            episode=state.episode,
            sequence=0 if recovered else state.count,
            sequence_max=profile.max_qty,
            threshold=format_money(rule.threshold),
            threshold_currency=state.currency,
            next_at=None if recovered else next_reminder(profile, state),
            runway_seconds=None if rule.runway_seconds is None else runway_to(step.balance, rule, conversion, step.now),
        )


def next_reminder(profile: Profile, state: RuleState) -> int | None:
    """When an open rule fires again while it stays below; None: not without a refill or an edit."""
    if state.sent_at is None or not profile.period_seconds or is_spent(profile, state):
        return None
    return state.sent_at + profile.period_seconds * SECOND


def addresses_of(config: Config, settings: Client, rule: Rule) -> list[tuple[Channel, tuple[str, ...]]]:
    """The channels of a rule that have a recipient, in their order; empty: it has none and sends nothing."""
    found = [(channel, recipients(config, settings, rule, channel)) for channel in CHANNELS if channel in rule.channels]
    return [(channel, to) for channel, to in found if to]


def recipients(config: Config, settings: Client, rule: Rule, channel: Channel) -> tuple[str, ...]:
    """The addresses of a rule on a channel, de-duplicated in order (semantics 4, "user rule", "client rule")."""
    found: list[str | None] = []
    if rule.audience == "user":
        if rule.notify:
            found.extend(_own_users(config, settings, channel))
        for key in rule.users:
            user = config.users[key]
            found.append(user.email if channel == "email" else user.phone)
    elif rule.notify:
        found.append(settings.billing_email if channel == "email" else settings.phone)
    if channel == "email":
        found.extend(rule.emails)
    return tuple(dict.fromkeys(address for address in found if address))


def _own_users(config: Config, settings: Client, channel: Channel) -> list[str | None]:
    """The client's reseller (by mail only) and manager."""
    manager = None if settings.manager is None else config.users[settings.manager]
    if channel == "sms":
        return [None if manager is None else manager.phone]
    reseller = None if settings.reseller is None else config.resellers[settings.reseller]
    return [None if reseller is None else reseller.email, None if manager is None else manager.email]


def rule_dues(config: Config, balance: Balance, account: Account) -> list[int]:
    """The instants at which the clock alone can make a rule of the client fire, past ones included."""
    profile = config.profile_of(account.settings)
    if profile is None or profile.profile != account.profile:
        return []
    dues: list[int] = []
    for rule in config.rules(profile.profile):
        state = account.rules.get(rule.rule)
        if state is None or not state.below:
            continue
        if not state.open:
            dues.append(inactive_from(rule, balance, account))
        else:
            reminder = next_reminder(profile, state)
            if reminder is not None:
                dues.append(reminder)
    return dues


def rule_trigger(config: Config, balance: Balance, account: Account) -> int:
    """The highest ``available`` at which a rule could change on the way down, as a level of ``live``."""
    profile = config.profile_of(account.settings)
    credit = balance.credit
    if profile is None or credit is None:
        return -TRIGGER_ALWAYS
    trigger = -TRIGGER_ALWAYS
    foreign = currency_of(profile, balance) != balance.currency
    for rule in config.rules(profile.profile):
        state = account.rules.get(rule.rule)
        if foreign or state is None or (state.open and rule.inactivity_days is not None):
            return TRIGGER_ALWAYS  # a new rate counts from the next evaluation on; a charge ends an open episode
        if rule.runway_seconds is not None:
            return TRIGGER_ALWAYS  # each charge moves the estimate
        if not state.below:
            trigger = max(trigger, rule.threshold - 1 - credit)
    return trigger
