"""What the codec takes, what it refuses, and with which reason (contract, "Events in" and "Reasons")."""

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from schemas.codec import decode, decode_all, decode_line, parse_object
from schemas.engine_events import encode_engine_event
from schemas.events import (
    EVENT_TYPES,
    Charge,
    Client,
    CreditLimit,
    EventName,
    Payment,
    Tick,
    TransferLeg,
    TransferOutcome,
    Usage,
)
from schemas.reasons import Reason, Refusal

Json = dict[str, Any]  # Any: JSON under test, right and wrong

EVENTS = Path(__file__).parents[2] / "golden" / "events.ndjson"
SAMPLES = [json.loads(line) for line in EVENTS.read_bytes().splitlines()]
AT = 1_769_853_600_000_000
PAYMENT: Json = {
    "type": "payment",
    "id": "1",
    "source": "s",
    "client": "c",
    "time": "2026-01-31T10:00:00Z",
    "amount": "1",
}
PROFILE: Json = {"type": "profile", "id": "1", "source": "s", "time": "2026-01-31T10:00:00Z", "profile": "p"}


def _decoded(event: Json, **how: bool) -> object:
    return decode(json.dumps(event).encode(), **how)


def _reason(event: Json, **how: bool) -> str | None:
    decoded = _decoded(event, **how)
    return decoded.reason.value if isinstance(decoded, Refusal) else None


def _without(event: Json, *names: str) -> Json:
    return {name: value for name, value in event.items() if name not in names}


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (b"", "expected one JSON object, found no JSON: Expecting value: line 1 column 1 (char 0)"),
        (b"\xff{}", "expected JSON in UTF-8, found a bad byte at 0"),
        (
            b'{"type":"tick"',
            "expected one JSON object, found no JSON: Expecting ',' delimiter: line 1 column 15 (char 14)",
        ),
        (b'{"a":NaN}', "expected one JSON object, found no JSON: NaN is not JSON"),
        (b'{"a":-Infinity}', "expected one JSON object, found no JSON: -Infinity is not JSON"),
        (b'{"a":"\\ud800"}', "expected JSON text, found half a surrogate pair"),
        (b'{"\\udc00":1}', "expected JSON text, found half a surrogate pair"),
        (b'{"a":[["\\ud800"]]}', "expected JSON text, found half a surrogate pair"),
        (b"[]", "expected one JSON object, found an array"),
        (b'"text"', "expected one JSON object, found 'text'"),
        (b"5", "expected one JSON object, found the number 5"),
        (b"5.50", "expected one JSON object, found the number 5.50"),
        (b"null", "expected one JSON object, found null"),
        (b'{"a":' + b"[" * 201 + b"]" * 201 + b"}", "expected a flat JSON object, found one nested too deeply"),
        (b"[" * 100_000, "expected a flat JSON object, found one nested too deeply"),
    ],
    ids=lambda value: repr(value)[:30],
)
def test_what_is_no_json_object_is_malformed(raw: bytes, message: str) -> None:
    assert decode(raw) == parse_object(raw) == Refusal(Reason.MALFORMED, message)


def test_nesting_up_to_the_limit_is_read() -> None:
    deep = json.loads("[" * 199 + "]" * 199)
    assert parse_object(json.dumps({"a": deep}).encode()) == {"a": deep}


def test_number_of_more_digits_than_can_be_read_is_malformed() -> None:
    refusal = parse_object(b'{"a":' + b"9" * 5000 + b"}")
    assert isinstance(refusal, Refusal)
    assert refusal.reason is Reason.MALFORMED


@pytest.mark.parametrize(
    "tag", [None, 5, ["charge"], "", "Charge", "charge ", "what", "transfer_leg", "transfer_outcome"]
)
def test_type_that_is_absent_unknown_or_the_engines_own_is_unknown(tag: object) -> None:
    assert _reason({**PAYMENT, "type": tag}) == "unknown_type"
    assert _reason(_without(PAYMENT, "type")) == "unknown_type"


def test_engines_own_types_are_read_where_the_record_carries_its_mark() -> None:
    for event in SAMPLES:
        assert _reason(event, engine=True) is None
        assert (_reason(event) is None) == (not event["type"].startswith("transfer_"))


@pytest.mark.parametrize(
    ("event", "reason"),
    [
        # each on its own
        (_without(PAYMENT, "id"), "bad_id"),
        ({**PAYMENT, "id": "a b"}, "bad_id"),
        ({**PAYMENT, "source": ""}, "bad_id"),
        ({**PAYMENT, "client": 5}, "bad_id"),
        (_without(PAYMENT, "client"), "bad_id"),
        ({**PAYMENT, "client": None}, "bad_id"),
        (_without(PAYMENT, "time"), "bad_time"),
        ({**PAYMENT, "time": 5}, "bad_time"),
        ({**PAYMENT, "time": "2026-01-31"}, "bad_time"),
        (_without(PAYMENT, "amount"), "bad_amount"),
        ({**PAYMENT, "amount": None}, "bad_amount"),
        ({**PAYMENT, "amount": 1}, "bad_amount"),
        ({**PAYMENT, "amount": "0"}, "bad_amount"),
        ({**PAYMENT, "amount_micros": 1}, "bad_amount"),
        ({**_without(PAYMENT, "amount"), "amount_micros": 0}, "bad_amount"),
        ({**_without(PAYMENT, "amount"), "amount_micros": 1.0}, "bad_amount"),
        ({**_without(PAYMENT, "amount"), "amount_micros": True}, "bad_amount"),
        ({**PAYMENT, "kind": "gift"}, "bad_field"),
        ({**PAYMENT, "kind": 5}, "bad_field"),
        ({**PAYMENT, "currency": "eur"}, "bad_field"),
        ({**PAYMENT, "reference": "x" * 1025}, "bad_field"),
        ({**PAYMENT, "type": "transfer"}, "missing_field"),
        ({**PAYMENT, "type": "transfer", "to": ""}, "bad_field"),
        ({**PAYMENT, "type": "adjustment"}, "missing_field"),
        ({**PAYMENT, "type": "adjustment", "kind": "refund", "of": {"source": "s"}}, "missing_field"),
        ({**PAYMENT, "type": "adjustment", "kind": "refund", "of": []}, "bad_field"),
        ({**PAYMENT, "type": "invoice"}, "missing_field"),
        ({**PAYMENT, "type": "invoice", "invoice": "1", "due_at": "soon"}, "bad_time"),
        (_without({**PAYMENT, "type": "credit_limit"}, "amount"), "missing_field"),
        ({**PAYMENT, "type": "credit_limit", "limit": 5}, "bad_amount"),
        ({**PAYMENT, "type": "charge", "usage": {"type": "v", "quantity": -1, "unit": "byte"}}, "bad_field"),
        ({**PAYMENT, "type": "charge", "usage": {"type": "v", "quantity": 1, "unit": "minute"}}, "bad_field"),
        ({**PAYMENT, "type": "charge", "usage": {"type": "v", "unit": "byte"}}, "missing_field"),
        ({**PAYMENT, "type": "time_balance", "action": "renew", "grant": "g"}, "missing_field"),
        ({**PAYMENT, "type": "client"}, "missing_field"),
        ({**PAYMENT, "type": "client", "currency": "EUR", "time_zone": "Mars"}, "bad_field"),
        ({**PAYMENT, "type": "client", "currency": "EUR", "warning_thresholds": ["x"]}, "bad_amount"),
        ({**PAYMENT, "type": "client", "currency": "EUR", "low_balance": {"threshold": 5}}, "bad_amount"),
        ({**PROFILE, "rules": [{"rule": "r", "audience": "user", "threshold": 5}]}, "bad_amount"),
        ({**PROFILE, "rules": [{"rule": "r", "audience": "user"}]}, "missing_field"),
        ({**PROFILE, "rules": {}}, "bad_field"),
        ({**PROFILE, "type": "exchange_rate", "base": "EUR", "quote": "USD"}, "missing_field"),
        ({**PROFILE, "type": "exchange_rate", "base": "EUR", "quote": "USD", "rate": 1.5}, "bad_rate"),
        ({**PROFILE, "type": "exchange_rate", "base": "EUR", "quote": "USD", "rate": "0"}, "bad_rate"),
        (_without(PROFILE, "profile"), "missing_field"),
        # of two, the first in the contract's order
        ({"type": "nothing", "id": ""}, "unknown_type"),
        ({**PAYMENT, "type": "invoice", "id": ""}, "missing_field"),
        ({**PAYMENT, "id": "", "time": ""}, "bad_id"),
        ({**PAYMENT, "time": "", "amount": ""}, "bad_time"),
        ({**PAYMENT, "amount": "", "kind": ""}, "bad_amount"),
        ({**PROFILE, "type": "exchange_rate", "base": "EUR", "quote": "usd", "rate": "0"}, "bad_field"),
    ],
)
def test_reason_is_the_first_of_the_contracts_order(event: Json, reason: str) -> None:
    assert _reason(event) == reason


@pytest.mark.parametrize(
    ("event", "message"),
    [
        (_without(PAYMENT, "amount"), "amount is needed and was not given"),
        ({**PAYMENT, "amount": 0.5}, 'amount: expected money as a decimal string such as "0.12", found the number 0.5'),
        ({**PAYMENT, "amount_micros": 1}, "amount: expected amount or amount_micros, found both"),
        (
            {**PAYMENT, "kind": "gift"},
            "kind: expected payment or top_up or manual_credit or promotional_credit, found 'gift'",
        ),
        ({**PAYMENT, "type": "what"}, "type: 'what' is not a type of event"),
        ({**PAYMENT, "type": "transfer_leg"}, "type: 'transfer_leg' is written by the engine only"),
        (
            {**PROFILE, "rules": [{"rule": "r", "audience": "user", "threshold": "5", "emails": ["a@b", "nobody"]}]},
            "rules: item 0: emails: item 1: expected an e-mail address such as ops@example.net, found 'nobody'",
        ),
        ({**PROFILE, "rules": [5]}, "rules: item 0: expected an object, found the number 5"),
        (
            {**PROFILE, "max_qty": 10**30},
            "max_qty: expected a whole number from 0 to 9223372036854775807, found a number that is too large",
        ),
        ({**PROFILE, "max_qty": {}}, "max_qty: expected a whole number from 0 to 9223372036854775807, found an object"),
        ({**PROFILE, "max_qty": True}, "max_qty: expected a whole number from 0 to 9223372036854775807, found true"),
    ],
)
def test_message_says_which_field_what_was_expected_and_what_was_found(event: Json, message: str) -> None:
    decoded = _decoded(event)
    assert isinstance(decoded, Refusal)
    assert decoded.message == message


def test_null_on_an_optional_field_is_its_absence() -> None:
    absent = _decoded(PAYMENT)
    assert _decoded({**PAYMENT, "kind": None, "currency": None, "reference": None, "amount_micros": None}) == absent


def test_null_limit_is_a_value_and_its_absence_is_an_error() -> None:
    event = _without({**PAYMENT, "type": "credit_limit", "limit": None}, "amount")
    assert _decoded(event) == CreditLimit(id="1", source="s", client="c", time=AT, limit=None)
    assert _reason(_without(event, "limit")) == "missing_field"


@pytest.mark.parametrize(
    "event", [_without(sample, "at") for sample in SAMPLES], ids=[sample["type"] for sample in SAMPLES]
)
def test_unknown_fields_are_ignored_on_the_log_and_refused_at_a_door(event: Json) -> None:
    known, more = _decoded(event, engine=True), {**event, "colour": "red"}
    assert _decoded(more, engine=True) == known
    assert _decoded(event, engine=True, unknown_refused=True) == known
    assert _decoded({**event, "at": "2026-01-31T10:00:00Z"}, engine=True, unknown_refused=True) == known
    assert _decoded(more, engine=True, unknown_refused=True) == Refusal(
        Reason.BAD_FIELD, "colour is not a field of this event"
    )


def test_a_door_reads_each_event_as_it_would_alone() -> None:
    plain = b'{"type":"charge","id":"1","source":"s","client":"c","time":"2026-01-01T00:00:00Z","amount":"1.500000"}'
    raws = [plain, b"no JSON", plain.replace(b'"amount"', b'"colour":"red","amount"'), plain.replace(b"1.5", b"2")]
    assert decode_all(raws) == [decode(raw, unknown_refused=True) for raw in raws]


def test_micros_of_an_amount_are_a_known_field_only_where_there_is_an_amount() -> None:
    assert _reason({**_without(PAYMENT, "amount"), "amount_micros": 5}, unknown_refused=True) is None
    assert _reason({**PROFILE, "amount_micros": 5}, unknown_refused=True) == "bad_field"


def test_usage_starts_when_the_charge_happened_if_nothing_else_is_said() -> None:
    usage = {"type": "voice", "quantity": 60, "unit": "second"}
    expected = Usage(type="voice", quantity=60, unit="second", started_at=AT)
    for more in ({}, {"unknown": 1}):
        charge = _decoded({**PAYMENT, "type": "charge", "usage": usage, **more})
        assert isinstance(charge, Charge)
        assert charge.usage == expected


def test_values_are_canonical_so_that_spelling_makes_no_other_content() -> None:
    given = {**PAYMENT, "type": "client", "currency": "EUR", "warning_thresholds": ["05.0", "90.00%"]}
    client = _decoded({**given, "time": "2026-01-31T12:00:00+02:00"})
    assert isinstance(client, Client)
    assert (client.time, client.warning_thresholds) == (AT, ("5", "90%"))
    assert _decoded({**PAYMENT, "amount": "01.00"}) == _decoded({**_without(PAYMENT, "amount"), "amount_micros": 10**6})


@pytest.mark.parametrize(
    ("given", "at"),
    [
        ({}, AT),
        ({"at": "2026-02-01T00:00:00Z"}, 1_769_904_000_000_000),
        ({"at": None}, AT),
        ({"at": "2026-02-01T00:00:00Z", "time": "nonsense"}, 1_769_904_000_000_000),
        ({"at": "2026-02-01T00:00:00Z", "amount": "x"}, 1_769_904_000_000_000),
        ({"at": "nonsense"}, None),
        ({"at": 5}, None),
        ({"time": "nonsense"}, None),
        ({"time": None}, None),
        ({"amount": "x"}, AT),
        ({"amount": "x", "at": "nonsense"}, None),
        ({"type": "what", "time": 5}, None),
        ({"type": "what"}, AT),
    ],
)
def test_log_time_of_a_line_is_its_at_else_its_time(given: Json, at: int | None) -> None:
    assert decode_line(json.dumps({**PAYMENT, **given}).encode()).at == at


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ({"at": "nonsense"}, "bad_time"),
        ({"at": 5}, "bad_time"),
        ({"at": "nonsense", "amount": "x"}, "bad_time"),
        ({"at": "nonsense", "id": ""}, "bad_id"),
        ({"at": "nonsense", "type": "what"}, "unknown_type"),
        ({"time": "nonsense", "amount": "x"}, "bad_time"),
    ],
)
def test_at_that_cannot_be_read_is_a_bad_time_unless_something_before_it_is_wrong(given: Json, reason: str) -> None:
    event = decode_line(json.dumps({**PAYMENT, **given}).encode()).event
    assert isinstance(event, Refusal)
    assert event.reason.value == reason


def test_line_that_is_no_object_has_no_log_time() -> None:
    assert decode_line(b"[]").at is None


def test_charge_in_its_plain_form_moves_the_clock_to_its_time() -> None:
    line = decode_line(json.dumps({**PAYMENT, "type": "charge"}).encode())
    assert isinstance(line.event, Charge)
    assert line.at == AT


LEG = TransferLeg(
    id="1",
    source="s",
    time=AT,
    client="b",
    transfer=EventName(source="s", id="1"),
    from_="a",
    to="b",
    amount=2_500_000,
    currency="EUR",
    requested_at=AT + 1,
)
OUTCOME = TransferOutcome(
    id="1",
    source="s",
    time=AT,
    client="a",
    transfer=EventName(source="s", id="1"),
    from_="a",
    to="b",
    amount=2_500_000,
    accepted=True,
)


@pytest.mark.parametrize(
    "event",
    [LEG, OUTCOME, msgspec.structs.replace(OUTCOME, accepted=False, reason="unknown_client"), Tick(time=AT)],
    ids=["leg", "accepted", "refused", "tick"],
)
def test_engines_own_records_read_back_to_equal_events(event: TransferLeg | TransferOutcome | Tick) -> None:
    assert decode(encode_engine_event(event), engine=True) == event
    assert decode(encode_engine_event(event), engine=True, unknown_refused=True) == event


def test_every_type_of_event_has_a_sample() -> None:
    assert len(SAMPLES) == len(EVENT_TYPES)


def test_payment_is_read_whole() -> None:
    assert _decoded({**PAYMENT, "kind": "top_up", "reference": "r", "currency": "EUR"}) == Payment(
        id="1", source="s", client="c", time=AT, amount=1_000_000, kind="top_up", reference="r", currency="EUR"
    )


CHARGE: Json = {**PAYMENT, "type": "charge"}
USAGE: Json = {"type": "voice", "quantity": 60, "unit": "second"}


@pytest.mark.parametrize(
    ("event", "reason"),
    [
        ({**CHARGE, "amount_micros": 1}, "bad_amount"),
        ({**_without(CHARGE, "amount"), "amount_micros": -1}, "bad_amount"),
        ({**_without(CHARGE, "amount"), "amount_micros": 2**63}, "bad_amount"),
        ({**CHARGE, "amount": "-1"}, "bad_amount"),
        (_without(CHARGE, "amount"), "bad_amount"),
        ({**CHARGE, "id": "a b"}, "bad_id"),
        ({**CHARGE, "client": "x" * 129}, "bad_id"),
        ({**CHARGE, "currency": "eur"}, "bad_field"),
        ({**CHARGE, "usage": {**USAGE, "type": ""}}, "bad_field"),
        ({**CHARGE, "usage": {**USAGE, "quantity": -1}}, "bad_field"),
        ({**CHARGE, "usage": {**USAGE, "quantity": 2**63}}, "bad_field"),
        ({**CHARGE, "usage": {**USAGE, "unit": "minute"}}, "bad_field"),
        ({**CHARGE, "usage": {**USAGE, "started_at": "soon"}}, "bad_time"),
    ],
)
def test_charge_that_is_nearly_well_formed_is_refused_like_any_event(event: Json, reason: str) -> None:
    assert _reason(event) == reason
    assert _reason({**event, "unknown": 1}) == reason
