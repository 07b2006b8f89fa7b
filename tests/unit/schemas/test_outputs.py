"""Outputs on the wire, and how a refused event comes back (contract, ``rejection``)."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.codec import decode, parse_object
from schemas.outputs import EVENT_BYTES_MAX, Cause, Delivery, UnitsExpired, UsageRejected, encode_output, rejection_of
from schemas.reasons import Reason, Refusal

Json = dict[str, Any]  # Any: JSON under test, right and wrong


def _came_back(raw: bytes, reason: Reason = Reason.BAD_FIELD) -> Any:  # Any: whatever the event was
    line = encode_output(rejection_of(Refusal(reason, "why"), raw))
    output = json.loads(line)
    assert list(output) == ["output", "reason", "message", "event"]
    assert (output["output"], output["reason"], output["message"]) == ("rejection", reason.value, "why")
    return output["event"]


def test_kind_comes_first_and_defaults_are_left_out() -> None:
    expired = UnitsExpired("c", "off", "g", 2, "expired")
    rejected = UsageRejected("c", "off", 900, "second", Cause("s", "1"))
    sent = Delivery("n", "c", "email", "sent", "2026-01-31T10:00:00Z", 1, "")
    assert encode_output(expired) == (
        b'{"output":"units_expired","client":"c","plan":"off","grant":"g","units":2,"reason":"expired"}'
    )
    assert encode_output(rejected) == (
        b'{"output":"usage_rejected","client":"c","plan":"off","uncovered":900,"unit":"second",'
        b'"cause":{"source":"s","id":"1"}}'
    )
    assert encode_output(sent) == (
        b'{"output":"delivery","notification":"n","client":"c","channel":"email","outcome":"sent",'
        b'"at":"2026-01-31T10:00:00Z","attempts":1,"detail":""}'
    )


@pytest.mark.parametrize(
    ("raw", "event"),
    [
        (b' {"a" : 1.50, "b":[1e400, 12345678901234567890123],"c":"\xc3\xa9"}\r\n', None),
        (b'{"type":"charge","amount":null}', {"type": "charge", "amount": None}),
        (b"{}", {}),
    ],
)
def test_object_comes_back_as_an_object(raw: bytes, event: Json | None) -> None:
    line = encode_output(rejection_of(Refusal(Reason.BAD_FIELD, "why"), raw))
    assert line.endswith(b"}}")
    if event is not None:
        assert json.loads(line)["event"] == event


def test_numbers_come_back_digit_by_digit() -> None:
    line = encode_output(
        rejection_of(Refusal(Reason.BAD_AMOUNT, "why"), b'{"amount": 1.50, "x": 12345678901234567890123}')
    )
    assert line.endswith(b'"event":{"amount":1.50,"x":12345678901234567890123}}')


@pytest.mark.parametrize(
    ("raw", "event"),
    [
        (b"not json", "not json"),
        (b"[1]", "[1]"),
        (b"\xff\xfe\x00\x01", "\ufffd\ufffd\0\x01"),
        (b'{"a":NaN}', '{"a":NaN}'),
        (b'{"a":"\\ud800"}', '{"a":"\\ud800"}'),
    ],
)
def test_what_is_no_object_comes_back_as_text(raw: bytes, event: str) -> None:
    assert _came_back(raw, Reason.MALFORMED) == event
    assert _came_back(raw, Reason.BAD_FIELD) == event


def test_object_that_was_found_malformed_elsewhere_comes_back_as_text() -> None:
    assert _came_back(b'{"a":1}', Reason.MALFORMED) == '{"a":1}'


def _event_of(size: int, **more: object) -> bytes:
    """An event of exactly so many bytes."""
    event = {"type": "charge", "id": "1", "source": "s", "client": "c", **more, "note": ""}
    return json.dumps({**event, "note": "x" * (size - len(json.dumps(event)))}).encode()


def test_event_up_to_64_kib_comes_back_whole_and_above_it_cut() -> None:
    at_most, above = _event_of(EVENT_BYTES_MAX), _event_of(EVENT_BYTES_MAX + 1)
    assert _came_back(at_most) == json.loads(at_most)
    cut = _came_back(above)
    assert cut["note"] == "x" * 8192 + f"... [cut, {len(json.loads(above)['note'])} characters]"
    assert {name: cut[name] for name in ("type", "id", "source", "client")} == {
        "type": "charge",
        "id": "1",
        "source": "s",
        "client": "c",
    }


def test_text_above_64_kib_is_cut_the_same_way() -> None:
    assert _came_back(b"x" * EVENT_BYTES_MAX, Reason.MALFORMED) == "x" * EVENT_BYTES_MAX
    cut = _came_back(b"x" * (EVENT_BYTES_MAX + 1), Reason.MALFORMED)
    assert cut == "x" * 16_384 + "... [cut, 65537 characters]"


def test_many_long_strings_are_cut_shorter_until_they_fit() -> None:
    event = {"id": "1", "notes": ["é" * 2000] * 40, "deep": {"inner": "y" * 5000}}
    cut = _came_back(json.dumps(event).encode())
    assert cut["id"] == "1"
    assert cut["notes"] == ["é" * 512 + "... [cut, 2000 characters]"] * 40
    assert cut["deep"]["inner"] == "y" * 512 + "... [cut, 5000 characters]"


def test_long_names_are_cut_too() -> None:
    assert list(_came_back(json.dumps({"n" * 100_000: 1}).encode())) == ["n" * 8192 + "... [cut, 100000 characters]"]


def test_numbers_of_a_cut_event_stay_and_those_that_no_reader_could_hold_become_text() -> None:
    more = b'"a":1.50,"b":5,"c":' + b"7" * 40 + b","
    cut = _came_back(b"{" + more + _event_of(EVENT_BYTES_MAX)[1:])
    assert (cut["a"], cut["b"], cut["c"]) == ("1.50", 5, "7" * 40)


def test_event_that_is_long_by_count_keeps_what_names_it() -> None:
    event = {"type": "charge", "id": "1", "source": "s", "client": "c", "time": "t", "list": ["ab"] * 20_000}
    raw = json.dumps(event).encode()
    assert _came_back(raw) == {
        "type": "charge",
        "source": "s",
        "id": "1",
        "client": "c",
        "time": "t",
        "cut": f"{len(raw)} bytes; only what names the event was kept",
    }


@pytest.mark.parametrize("name", ["type", "client"])
@pytest.mark.parametrize("value", [["ab"] * 14_000, dict.fromkeys(map(str, range(8000)), 1)], ids=["array", "object"])
def test_event_whose_very_name_is_long_is_cut_all_the_same(name: str, value: object) -> None:
    raw = json.dumps({"type": "charge", "id": "1", name: value}).encode()
    line = encode_output(rejection_of(Refusal(Reason.BAD_ID, "why"), raw))
    assert len(line) <= EVENT_BYTES_MAX + 100
    assert _came_back(raw)["cut"] == f"{len(raw)} bytes; only what names the event was kept"


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
)


@given(st.dictionaries(st.text(), json_values, max_size=5))
def test_any_object_comes_back_by_value(event: Json) -> None:
    raw = json.dumps(event).encode()
    if isinstance(parse_object(raw), Refusal):
        assert _came_back(raw) == raw.decode()
    else:
        assert _came_back(raw) == event


@given(st.binary(max_size=200) | st.text(max_size=50).map(str.encode))
def test_any_bytes_come_back_in_valid_json(raw: bytes) -> None:
    refusal = decode(raw)
    assert isinstance(refusal, Refusal)
    _came_back(raw, refusal.reason)


@given(st.integers(1, 3), st.sampled_from(["x", "é", "😀", "\0", '"']), st.integers(10_000, 90_000))
def test_rejection_is_bounded(count: int, character: str, length: int) -> None:
    """64 KiB, or for text that JSON writes as six bytes a character, that much more."""
    event = {str(number): character * length for number in range(count)}
    raw = json.dumps(event, ensure_ascii=False).encode()
    whole = encode_output(rejection_of(Refusal(Reason.BAD_FIELD, "why"), raw))
    assert len(whole) <= max(EVENT_BYTES_MAX, len(raw) if len(raw) <= EVENT_BYTES_MAX else 0) + 200
    text = encode_output(rejection_of(Refusal(Reason.MALFORMED, "why"), raw))
    assert len(text) <= 6 * EVENT_BYTES_MAX + 200
