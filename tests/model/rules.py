"""What is decided after every event: status, credit warnings, low balance profiles (sections 2 and 4)."""

from __future__ import annotations

from fractions import Fraction

from .clients import notification, own_addresses, profile_of
from .events import Profile, Rule, WarningThreshold
from .money import Rate, available, find_rate, status
from .runway import is_expected_below, seconds_to_threshold
from .state import Client, Effect, Output, RuleState, World
from .values import DAY, SECOND, format_money, format_percent, half_even, percent_of

# Above every threshold: an unlimited available.
UNLIMITED = Fraction(10**30)


def evaluate(world: World, client: Client, effect: Effect) -> list[Output]:
    """Every notification of one client at one instant, in order."""
    outputs = _time_balance(world, client, effect)
    if client.awake:
        outputs += _temporary_credit_expired(world, client, effect)
        outputs += _exhausted(world, client, effect)
        outputs += _credit_warnings(world, client, effect)
        outputs += _low_balance(world, client, effect)
    return outputs


def _time_balance(world: World, client: Client, effect: Effect) -> list[Output]:
    outputs = []
    for plan, level in effect.levels_reached:
        episode = client.next_episode()
        for channel, to in own_addresses(client, level.channels):
            outputs.append(
                notification(
                    world,
                    client,
                    effect,
                    kind="time_balance",
                    rule=f"{plan}:{format_percent(level.percent)}",
                    episode=episode,
                    channel=channel,
                    to=to,
                    threshold=format_percent(level.percent),
                )
            )
    return outputs


def _to_billing_email(
    world: World, client: Client, effect: Effect, kind: str, rule: str, threshold: str | None
) -> list[Output]:
    currency = None if threshold is None else client.settings.currency
    return [
        notification(
            world,
            client,
            effect,
            kind=kind,
            rule=rule,
            episode=client.next_episode(),
            channel=channel,
            to=to,
            threshold=threshold,
            threshold_currency=currency,
        )
        for channel, to in own_addresses(client, ("email",))
    ]


def _temporary_credit_expired(world: World, client: Client, effect: Effect) -> list[Output]:
    if not effect.temporary_credit_expired:
        return []
    return _to_billing_email(world, client, effect, "temporary_credit_expired", "temporary_credit", None)


def _exhausted(world: World, client: Client, effect: Effect) -> list[Output]:
    before, client.status_seen = client.status_seen, status(client)
    if before == "active" and client.status_seen == "exhausted":
        return _to_billing_email(world, client, effect, "exhausted", "status", "0")
    return []


def warning_value(client: Client, warning: WarningThreshold) -> Fraction | None:
    """The amount a warning threshold stands for, exactly; None where it is inert."""
    if not warning.is_percent:
        return Fraction(warning.value)
    if client.settings.model == "prepaid" or client.permanent is None or client.permanent <= 0:
        return None
    return percent_of(client.permanent, warning.value)


def _credit_warnings(world: World, client: Client, effect: Effect) -> list[Output]:
    """Postpaid looks at what is owed (>=), prepaid at what is available (<=); mildest first."""
    postpaid = client.settings.model == "postpaid"
    money = available(client)
    outputs: list[Output] = []
    active = []
    for warning in client.settings.warning_thresholds:
        value = warning_value(client, warning)
        if value is not None:
            active.append((value if postpaid else -value, value, warning))
    for _, value, warning in sorted(active, key=lambda entry: entry[0]):
        reached = -client.live >= value if postpaid else money is not None and money <= value
        if not reached:
            client.warnings_fired.discard(warning)
            continue
        addresses = own_addresses(client, client.settings.warning_channels)
        if warning in client.warnings_fired or not addresses:
            continue
        client.warnings_fired.add(warning)
        episode = client.next_episode()
        for channel, to in addresses:
            outputs.append(
                notification(
                    world,
                    client,
                    effect,
                    kind="credit_warning",
                    rule=warning.text,
                    episode=episode,
                    channel=channel,
                    to=to,
                    threshold=format_money(half_even(value)),
                    threshold_currency=client.settings.currency,
                )
            )
    configured = set(client.settings.warning_thresholds)
    client.warnings_fired &= configured
    return outputs


def recipients(world: World, client: Client, rule: Rule) -> list[tuple[str, list[str]]]:
    """The addresses of a rule by channel, e-mail first, each once; a channel without any is left out."""
    settings = client.settings
    by_channel: dict[str, list[str | None]] = {"email": [], "sms": []}
    if rule.audience == "user":
        reseller = world.resellers[settings.reseller] if settings.reseller else None
        manager = world.users[settings.manager] if settings.manager else None
        if rule.notify and reseller:
            by_channel["email"].append(reseller.email)
        people = [manager] if rule.notify and manager else []
        people += [world.users[user] for user in rule.users]
        by_channel["email"] += [person.email for person in people]
        by_channel["sms"] += [person.phone for person in people]
    elif rule.notify:
        by_channel["email"].append(settings.billing_email)
        by_channel["sms"].append(settings.phone)
    by_channel["email"] += rule.emails
    found = []
    for channel in rule.channels:
        addresses = list(dict.fromkeys(address for address in by_channel[channel] if address))
        if addresses:
            found.append((channel, addresses))
    return found


def available_in(world: World, client: Client, currency: str) -> Fraction | None:
    """Available in another currency, unrounded; None without a rate."""
    money = available(client)
    if money is None:
        return UNLIMITED
    if currency == client.settings.currency:
        return Fraction(money)
    rate = find_rate(world, client.settings.currency, currency)
    return None if rate is None else rate.convert(Fraction(money))


def _rate_into(world: World, client: Client, currency: str) -> Rate | None:
    return find_rate(world, client.settings.currency, currency)


def inactive_at(client: Client, rule: Rule) -> int | None:
    """When a client without a further charge becomes inactive for a rule; None if it does not ask."""
    if rule.inactivity_days is None:
        return None
    since = client.created_at if client.last_charge is None else client.last_charge
    return since + rule.inactivity_days * DAY


def period_of(profile: Profile) -> int:
    """Microseconds; 0 is no period."""
    return (profile.period_seconds or 0) * SECOND


def may_send(profile: Profile, state: RuleState) -> bool:
    return profile.max_qty is None or state.count < profile.max_qty


def next_reminder(profile: Profile, state: RuleState) -> int | None:
    """When the rule may send again while it holds; None if it may not, or has not sent yet."""
    if not period_of(profile) or not may_send(profile, state) or state.last_sent is None:
        return None
    return state.last_sent + period_of(profile)


def _low_balance(world: World, client: Client, effect: Effect) -> list[Output]:
    """One pass over the rules, highest threshold first; what the client no longer has is forgotten."""
    profile = profile_of(world, client.settings)
    if profile is None:
        client.rules = {}
        return []
    present = {(profile.profile, rule.rule) for rule in profile.rules}
    client.rules = {key: state for key, state in client.rules.items() if key in present}
    outputs: list[Output] = []
    for rule in sorted(profile.rules, key=lambda rule: -rule.threshold):
        outputs += _low_balance_rule(world, client, profile, rule, effect)
    return outputs


def _low_balance_rule(world: World, client: Client, profile: Profile, rule: Rule, effect: Effect) -> list[Output]:
    state = _state(client, profile, rule)
    money = available_in(world, client, state.currency)
    if money is None:
        return []
    outputs: list[Output] = []
    rate = None if state.currency == client.settings.currency else _rate_into(world, client, state.currency)
    below = money < rule.threshold or is_expected_below(client, rule, rate, effect.now)
    inactive = inactive_at(client, rule)
    holds = below and (inactive is None or effect.now >= inactive)

    if effect.refill and not below:
        if state.below and state.count > 0:
            outputs += _emit(world, client, profile, rule, state, effect, kind="recovered")
        _reset_count(client, state)
        state.last_sent = None
    elif effect.paid_in and below and profile.rearm == "any_payment":
        _reset_count(client, state)

    if holds and not state.holds:
        state.episode = client.next_episode()
    state.below, state.holds = below, holds

    due = next_reminder(profile, state)
    first = state.last_sent is None and may_send(profile, state)
    if holds and (first or (due is not None and effect.now >= due)) and recipients(world, client, rule):
        state.count += 1
        state.last_sent = effect.now
        outputs += _emit(world, client, profile, rule, state, effect, kind="low_balance")
    return outputs


def _state(client: Client, profile: Profile, rule: Rule) -> RuleState:
    """The rule's state; a fresh one for a new rule, or where the threshold or its currency changed."""
    key = (profile.profile, rule.rule)
    currency = profile.currency or client.settings.currency
    known = client.rules.get(key)
    if known is None or (known.threshold, known.currency) != (rule.threshold, currency):
        if known is not None:
            _reset_count(client, known)
        client.rules[key] = RuleState(rule.threshold, currency)
    return client.rules[key]


def _reset_count(client: Client, state: RuleState) -> None:
    if state.count > 0:
        state.episode = client.next_episode()
    state.count = 0


def _emit(
    world: World,
    client: Client,
    profile: Profile,
    rule: Rule,
    state: RuleState,
    effect: Effect,
    kind: str,
) -> list[Output]:
    reminder = kind == "low_balance"
    rate = None if state.currency == client.settings.currency else _rate_into(world, client, state.currency)
    return [
        notification(
            world,
            client,
            effect,
            kind=kind,
            rule=rule.rule,
            episode=state.episode,
            sequence=state.count if reminder else 0,
            maximum=profile.max_qty,
            channel=channel,
            to=to,
            threshold=format_money(rule.threshold),
            threshold_currency=state.currency,
            next_at=next_reminder(profile, state) if reminder else None,
            runway_seconds=seconds_to_threshold(client, rule, rate, effect.now),
        )
        for channel, to in recipients(world, client, rule)
    ]


def next_rule_instant(world: World, client: Client, after: int) -> int | None:
    """The earliest instant after `after` at which the clock alone may change what a rule says."""
    profile = profile_of(world, client.settings)
    found: list[int] = []
    for rule in profile.rules if profile else ():
        assert profile is not None
        state = client.rules.get((profile.profile, rule.rule))
        if state is None:
            continue
        reminder = next_reminder(profile, state) if state.holds else None
        inactive = inactive_at(client, rule) if state.below and not state.holds else None
        found += [due for due in (reminder, inactive) if due is not None and due > after]
    return min(found, default=None)
