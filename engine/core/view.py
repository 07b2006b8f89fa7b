"""A client's whole view, as ``change`` carries it and the API shows it."""

from functools import lru_cache

from msgspec.structs import replace

from engine.core.low_balance import conversion_of, currency_of, runway_to
from engine.core.outcome import ChangeNote, cause_of
from engine.core.records import Account, Balance
from engine.core.runway import seconds_to_spend
from engine.core.state import State
from engine.core.time_balance import views_of
from schemas.money import format_money, format_percent
from schemas.outputs import Change, Credit, Runway, RunwayThreshold
from schemas.times import format_time


def view(state: State, balance: Balance, note: ChangeNote) -> Change:
    """The change of a client's latest version."""
    live, permanent, temporary = balance.live, balance.permanent, balance.temporary
    available = None if permanent is None else live + permanent + temporary
    shown_live = format_money(live)
    change = Change(  # by position: this is done for every client of every commit
        balance.client,
        balance.version,
        format_time(note.at),
        cause_of(note.event),
        balance.currency,
        "postpaid" if balance.postpaid else "prepaid",
        shown_live,
        _credit(permanent, temporary, balance.valid_until),
        None if available is None else shown_live if available == live else format_money(available),
        "active" if available is None or available > 0 else "exhausted",
        balance.capacity,
        format_money(balance.unallocated),
        views_of(state, balance.client) if balance.metered else [],
        None,
        None,
        None,
        None,
        None if available is None or available <= 0 else _runway(balance, available, note.at),
    )
    conversion, percent = note.conversion, note.percent
    if conversion is None and percent is None:
        return change
    return replace(
        change,
        rate=None if conversion is None else conversion.rate,
        rate_base=None if conversion is None else conversion.base,
        rate_quote=None if conversion is None else conversion.quote,
        percent=None if percent is None else format_percent(percent),
    )


@lru_cache(maxsize=4096)  # few distinct ones: most clients have the same limit and no temporary increase
def _credit(permanent: int | None, temporary: int, valid_until: int | None) -> Credit:
    return Credit(
        None if permanent is None else format_money(permanent),
        format_money(temporary),
        None if valid_until is None else format_time(valid_until),
    )


def _runway(balance: Balance, available: int, now: int) -> Runway | None:
    seconds = seconds_to_spend(balance, available, now)
    return None if seconds is None else Runway(seconds)


def with_thresholds(state: State, balance: Balance, account: Account, change: Change) -> Change:
    """The view with the runway down to the thresholds of the client's rules, as they are configured now."""
    profile = state.config.profile_of(account.settings)
    if change.runway is None or profile is None:
        return change
    conversion = conversion_of(state.config, balance, profile)
    if conversion is None and currency_of(profile, balance) != balance.currency:
        return change
    thresholds = tuple(
        RunwayThreshold(rule.rule, seconds)
        for rule in state.config.rules(profile.profile)
        if (seconds := runway_to(balance, rule, conversion, state.clock)) is not None
    )
    return replace(change, runway=replace(change.runway, thresholds=thresholds))


def shown(state: State, balance: Balance) -> tuple[object, ...]:
    """What a client's view shows beside version, time and cause: compared to see whether something altered it."""
    units = views_of(state, balance.client) if balance.metered else None
    return (
        balance.currency,
        balance.postpaid,
        balance.live,
        balance.permanent,
        balance.temporary,
        balance.valid_until,
        balance.capacity,
        balance.unallocated,
        units,
    )
