"""Usage authorisation: the one place where a usage may be refused (semantics 1, "a fact"; 5, "reject").

It reads the state and changes nothing: a switch asks, the charge that follows is applied whatever was answered.
"""

from engine.core.capacity import capacity_rule
from engine.core.coverage import Coverage, cover
from engine.core.records import Account, Balance
from engine.core.state import State
from schemas.authorization import Authorization, AuthorizationRequest, Refused
from schemas.events import Usage
from schemas.money import format_money, parse_money


def authorize(state: State, request: AuthorizationRequest, now: int) -> Authorization:
    """The answer for one client at one instant (microseconds). Raises MoneyError where the amount is no money."""
    balance, account = state.balances.find(request.client), state.accounts.find(request.client)
    amount: int | None = None if request.amount is None else parse_money(request.amount)
    if balance is None or account is None:
        return _unknown(request)
    if amount is not None and request.currency not in (None, balance.currency):
        assert request.currency is not None
        conversion = state.config.conversion(request.currency, balance.currency)
        if conversion is None:
            return _answer(balance, account, state, request, 0, 0, "no_rate", None)
        amount = conversion.convert(amount)
    channels = _channels(state, balance, account, request)
    if channels == 0:
        return _answer(balance, account, state, request, 0, 0, "capacity", None)
    if request.usage is None:
        return _money_alone(state, balance, account, request, amount)
    return _usage(state, balance, account, request, amount, now)


def _money_alone(
    state: State, balance: Balance, account: Account, request: AuthorizationRequest, amount: int | None
) -> Authorization:
    free = _free_money(balance)
    reason: Refused | None = None
    if free is not None and free <= 0:
        reason = "exhausted"
    elif free is not None and amount is not None and amount > free:
        reason = "insufficient"
    return _answer(balance, account, state, request, 0, 0, reason, None)


def _usage(
    state: State, balance: Balance, account: Account, request: AuthorizationRequest, amount: int | None, now: int
) -> Authorization:
    asked = request.usage
    assert asked is not None
    usage = Usage(type=asked.type, quantity=asked.quantity, unit=asked.unit, started_at=now)
    coverage = Coverage([], asked.quantity, max(1, asked.quantity), None)
    grants = state.grants.find(balance.client) if balance.metered else None
    if grants is not None and asked.quantity > 0:
        coverage = cover(state, account.settings, grants, usage)
    uncovered = coverage.uncovered_quantity(usage)
    units = asked.quantity - uncovered
    if coverage.rejecting is not None:
        return _answer(balance, account, state, request, units, units, "plan_rejects", coverage.rejecting)
    if uncovered == 0 and asked.quantity > 0:
        return _answer(balance, account, state, request, units, units, None, None)
    free = _free_money(balance)
    if free is None:
        return _answer(balance, account, state, request, asked.quantity, units, None, None)
    if free <= 0:
        return _answer(balance, account, state, request, units, units, "exhausted", None)
    paid = uncovered if not amount else min(uncovered, free * asked.quantity // amount)
    reason: Refused | None = "insufficient" if paid < uncovered else None
    if asked.quantity == 0 and amount is not None and amount > free:
        reason = "insufficient"
    return _answer(balance, account, state, request, units + paid, units, reason, None)


def _free_money(balance: Balance) -> int | None:
    """What may be spent now: available less what is held for transfers; None is unlimited."""
    available = balance.available
    return None if available is None else available - balance.held


def _channels(state: State, balance: Balance, account: Account, request: AuthorizationRequest) -> int | None:
    """How many channels may begin now; None is unlimited."""
    capacity = capacity_rule(account.settings, state.config).at(balance.available)
    return None if capacity is None else max(0, capacity - request.channels_in_use)


_SENTENCES: dict[Refused | None, str] = {
    None: "allowed",
    "unknown_client": "no such client",
    "no_rate": "the amount cannot be converted: no exchange rate is defined",
    "capacity": "all channels that the client may use are in use",
    "plan_rejects": "the plan {plan} refuses what its units do not cover",
    "exhausted": "nothing is available and no free units are left for this usage",
    "insufficient": "what is available pays for a part only",
}


def _answer(
    balance: Balance,
    account: Account,
    state: State,
    request: AuthorizationRequest,
    quantity: int,
    units: int,
    reason: Refused | None,
    plan: str | None,
) -> Authorization:
    available, free = balance.available, _free_money(balance)
    capacity = capacity_rule(account.settings, state.config).at(available)
    asked = None if request.usage is None else request.usage.quantity
    return Authorization(
        client=balance.client,
        allowed=reason is None or quantity > 0,
        reason=reason,
        sentence=_SENTENCES[reason].format(plan=plan),
        quantity=None if asked is None else quantity,
        units=units,
        plan=plan,
        money=None if free is None else format_money(max(0, free)),
        currency=balance.currency,
        available=None if available is None else format_money(available),
        capacity=capacity,
        channels=_channels(state, balance, account, request),
    )


def _unknown(request: AuthorizationRequest) -> Authorization:
    quantity = None if request.usage is None else 0
    sentence = _SENTENCES["unknown_client"]
    return Authorization(
        request.client, False, "unknown_client", sentence, quantity, 0, None, None, None, None, None, None
    )
