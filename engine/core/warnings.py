"""Credit warning thresholds of a client (semantics 2, "warning thresholds")."""

from functools import lru_cache

from engine.core.low_balance import CHANNELS
from engine.core.records import TRIGGER_ALWAYS, Account, Balance
from engine.core.step import Step
from schemas.events import Channel, Client
from schemas.money import PERCENT_SCALE, divide_half_even, format_money, parse_money, parse_percent


@lru_cache(maxsize=4096)
def _parse(text: str) -> tuple[bool, int]:
    """Whether a threshold is a percentage, and its scaled value."""
    return (True, parse_percent(text[:-1])) if text.endswith("%") else (False, parse_money(text))


_SCALE = 100 * PERCENT_SCALE
"""Levels are exact in this many parts of a micro-unit: that is what a percentage of one can be."""


def _exact_level_of(text: str, balance: Balance) -> int | None:
    """The amount at which a threshold fires, in parts; None: inert. A percentage is of the positive permanent limit."""
    is_percent, value = _parse(text)
    if not is_percent:
        return value * _SCALE
    if not balance.postpaid or balance.permanent is None or balance.permanent <= 0:
        return None
    return value * balance.permanent


def level_of(text: str, balance: Balance) -> int | None:
    """The amount at which a threshold fires: owed for postpaid, available for prepaid; None: inert.

    Owed is whole micro-units, so it reaches the exact value where it reaches the next whole one.
    """
    exact = _exact_level_of(text, balance)
    return None if exact is None else -(-exact // _SCALE)


def is_reached(level: int, balance: Balance) -> bool:
    """Postpaid: owed >= level. Prepaid: available <= level; unlimited never."""
    if balance.postpaid:
        return -balance.live >= level
    available = balance.available
    return available is not None and available <= level


def addresses(settings: Client) -> list[tuple[Channel, str]]:
    """The channels of a client's warnings that have an address."""
    own = {"email": settings.billing_email, "sms": settings.phone}
    return [
        (channel, address)
        for channel in CHANNELS
        if channel in settings.warning_channels and (address := own[channel]) is not None
    ]


def evaluate_warnings(step: Step) -> None:
    """Fires what was crossed, mildest first, each once a crossing; re-arms what is strictly on the safe side."""
    account, balance = step.account, step.balance
    settings = account.settings
    if not settings.warning_thresholds:
        account.warned = []
        return
    crossed: list[tuple[int, str]] = []
    warned: list[str] = []
    for text in dict.fromkeys(settings.warning_thresholds):
        level = level_of(text, balance)
        if level is None or is_reached(level, balance):
            if text in account.warned:
                warned.append(text)
            elif level is not None:
                exact = _exact_level_of(text, balance)
                assert exact is not None
                crossed.append((exact if balance.postpaid else -exact, text))
    to = addresses(settings)
    if to:
        for _, text in sorted(crossed, key=lambda pair: pair[0]):
            _emit(step, text, to)
            warned.append(text)
    account.warned = warned


def _emit(step: Step, text: str, to: list[tuple[Channel, str]]) -> None:
    exact = _exact_level_of(text, step.balance)
    assert exact is not None
    episode = step.account.take_episode()
    for channel, address in to:
        step.notify(
            "credit_warning",
            text,
            channel,
            (address,),
            episode=episode,
            threshold=format_money(divide_half_even(exact, _SCALE)),
            threshold_currency=step.balance.currency,
        )


def warning_trigger(balance: Balance, account: Account) -> int:
    """The highest ``live`` at which a warning could fire on the way down."""
    trigger = -TRIGGER_ALWAYS
    credit = balance.credit
    for text in account.settings.warning_thresholds:
        level = level_of(text, balance)
        if level is None or is_reached(level, balance):
            continue
        if balance.postpaid:
            trigger = max(trigger, -level)
        elif credit is not None:
            trigger = max(trigger, level - credit)
    return trigger
