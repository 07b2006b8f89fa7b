"""The maximum possible increase before one asks: what a grant may be at the most, by the reseller's cap."""

import pytest

from engine.core.credit import temporary_credit_max
from schemas.outputs import TemporaryCreditMax
from schemas.times import parse_time
from tests.unit.core.histories import at, event, folded

CAPPED = {"reseller": "r"}


def _most(cap: dict[str, object], limit: str | None, model: str = "postpaid", **settings: object) -> object:
    state = folded(
        [
            event("d0 08:00", "reseller", reseller="r", max_temporary_credit=cap),
            event("d0 09:00", "client", "c", currency="EUR", model=model, **settings),
            event("d0 10:00", "credit_limit", "c", limit=limit),
        ]
    )
    return temporary_credit_max(state.config, state.balances["c"], state.accounts["c"], parse_time(at("d0 10:00")))


@pytest.mark.parametrize(
    ("cap", "limit", "amount"),
    [
        ({"amount": "50"}, "200", "50"),
        ({"amount": "50"}, None, "50"),
        ({"percent": "12.5"}, "200", "25"),
        ({"percent": "12.5"}, "0", "0"),
        ({"percent": "12.5"}, None, "0"),
        ({}, "200", None),
    ],
    ids=["amount", "amount-unlimited", "percent", "percent-no-limit", "percent-unlimited", "no-cap"],
)
def test_amount(cap: dict[str, object], limit: str | None, amount: str | None) -> None:
    assert _most(cap, limit, **CAPPED) == TemporaryCreditMax(amount, None, None)


def test_days_count_from_now() -> None:
    assert _most({"days": 3}, "200", **CAPPED) == TemporaryCreditMax(None, 3, at("d3 10:00"))


def test_without_a_reseller_nothing_is_capped() -> None:
    assert _most({"amount": "50", "days": 3}, "200") == TemporaryCreditMax(None, None, None)


def test_a_prepaid_client_may_have_none() -> None:
    assert _most({"amount": "50"}, "200", model="prepaid", **CAPPED) is None
