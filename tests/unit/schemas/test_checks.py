"""Rules between the fields of an event, which no field alone can say."""

import json
from typing import Any

import pytest

from schemas.codec import decode
from schemas.reasons import Refusal

Json = dict[str, Any]  # Any: JSON under test, right and wrong

CONFIG: Json = {"id": "1", "source": "s", "time": "2026-01-31T10:00:00Z"}
PROFILE: Json = {**CONFIG, "type": "profile", "profile": "p"}
PLAN: Json = {**CONFIG, "type": "time_balance_plan", "plan": "p", "unit": "minute", "units": 60}
PAYMENT: Json = {**CONFIG, "client": "c", "type": "payment", "amount": "1"}


def _decoded(event: Json) -> object:
    return decode(json.dumps(event).encode())


def _without(event: Json, *names: str) -> Json:
    return {name: value for name, value in event.items() if name not in names}


@pytest.mark.parametrize(
    ("event", "message"),
    [
        (
            {**PROFILE, "rules": [{"rule": "r", "audience": "user", "threshold": "5"}] * 2},
            "rules: rule must be unique, found the same one twice",
        ),
        (
            {**CONFIG, "type": "exchange_rate", "base": "EUR", "quote": "EUR", "rate": "1"},
            "quote: expected another currency than base, found EUR",
        ),
        (
            {**CONFIG, "type": "reseller", "reseller": "r", "max_temporary_credit": {"amount": "1", "percent": 1}},
            "max_temporary_credit: expected amount or percent, found both",
        ),
        ({**PLAN, "window": {}}, "window: expected seconds or until, one of the two"),
        ({**PLAN, "window": {"seconds": 1, "until": "day"}}, "window: expected seconds or until, one of the two"),
        ({**PLAN, "rollover": {"min": 2, "max": 1}}, "rollover: expected min <= max, found 2 and 1"),
        (
            {**PLAN, "thresholds": [{"percent": 80}, {"percent": "80.0"}]},
            "thresholds: percent must be unique, found the same one twice",
        ),
        (
            {**PAYMENT, "type": "adjustment", "kind": "refund", "amount": "0"},
            "amount: expected an amount above 0, or the charge that is undone in of, found 0",
        ),
        ({**PAYMENT, "type": "adjustment", "kind": "reversal", "amount": "0"}, "amount: expected above 0, found 0"),
        ({**PAYMENT, "type": "temporary_credit", "percent": 5}, "expected amount or percent, found both"),
        (_without({**PAYMENT, "type": "temporary_credit"}, "amount"), "expected amount or percent, found neither"),
        (
            _without({**PAYMENT, "type": "temporary_credit", "percent": 0}, "amount"),
            "percent: expected a percentage above 0, found 0",
        ),
        (
            {**PAYMENT, "type": "temporary_credit", "remove": True},
            "expected remove or an amount or a percent, found remove and another",
        ),
        (
            _without({**PAYMENT, "type": "temporary_credit", "remove": True, "percent": 1}, "amount"),
            "expected remove or an amount or a percent, found remove and another",
        ),
        (
            _without({**PAYMENT, "type": "time_balance", "action": "grant", "grant": "g"}, "amount"),
            "plan is needed to grant and was not given",
        ),
    ],
)
def test_rules_between_fields(event: Json, message: str) -> None:
    decoded = _decoded(event)
    assert isinstance(decoded, Refusal)
    assert decoded.message == message


@pytest.mark.parametrize(
    "event",
    [
        {**PLAN, "rollover": {"min": 1, "max": 1}, "window": {"until": "cycle"}},
        {**PLAN, "rollover": {"min": 1}},
        {**CONFIG, "type": "reseller", "reseller": "r"},
        {**CONFIG, "type": "reseller", "reseller": "r", "max_temporary_credit": {"days": 5}},
        {**CONFIG, "type": "reseller", "reseller": "r", "max_temporary_credit": {"amount": "5"}},
        _without({**PAYMENT, "type": "time_balance", "action": "cancel", "grant": "g"}, "amount"),
        _without({**PAYMENT, "type": "temporary_credit", "remove": True}, "amount"),
    ],
)
def test_rules_between_fields_allow_the_rest(event: Json) -> None:
    assert not isinstance(_decoded(event), Refusal)
