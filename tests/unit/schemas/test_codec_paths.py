"""The fast way in for charges gives what the meticulous way gives, or leaves the event to it."""

import json
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from schemas.codec import _decode_any, decode, decode_charges, decode_line
from schemas.events import Charge
from schemas.reasons import Refusal

Json = dict[str, Any]  # Any: JSON under test, right and wrong

CHARGE: Json = {
    "type": "charge",
    "id": "1",
    "source": "sbc-1",
    "client": "c-42",
    "time": "2026-01-31T10:00:00Z",
    "amount": "0.120000",
}
USAGE: Json = {"type": "voice", "quantity": 61, "unit": "second", "started_at": "2026-01-31T09:58:59Z"}

visible = st.text(st.characters(min_codepoint=33, max_codepoint=0x1F600, exclude_categories=["Cs"]), max_size=8)
junk: st.SearchStrategy[Any] = st.sampled_from(
    [
        None,
        True,
        0,
        -1,
        5,
        5.0,
        1.5,
        1e300,
        2**63 - 1,
        2**63,
        10**40,
        "",
        "0",
        "-0",
        "1.0000001",
        "1e3",
        " ",
        "a b",
        "x" * 128,
        "x" * 129,
        "٥",
        "\u2028",
        "é",
        "\0",
        "2026-01-31T10:00:00+02:00",
        "2026-01-31",
        [],
        {},
        ["1"],
    ]
)
decimal = st.from_regex(r"-?[0-9]{1,14}(\.[0-9]{1,7})?", fullmatch=True)
time = st.from_regex(
    r"20[0-9]{2}-[0-1][0-9]-[0-3][0-9][Tt][0-2][0-9]:[0-5][0-9]:[0-6][0-9](\.[0-9]{1,7})?([Zz]|\+02:00)"
)
unit = st.sampled_from(["event", "second", "byte"]) | junk
usage = st.fixed_dictionaries(
    {"type": visible | junk, "quantity": st.integers(-1, 2**64) | junk, "unit": unit},
    optional={"started_at": time | junk, "extra": junk},
)
charges = st.builds(
    lambda *parts: {key: value for part in parts for key, value in part.items()},
    st.just(CHARGE),
    st.fixed_dictionaries(
        {},
        optional={
            "id": visible | junk,
            "source": visible | junk,
            "client": visible | junk,
            "time": time | junk,
            "amount": decimal | junk,
            "amount_micros": st.integers(-1, 2**64) | junk,
            "currency": st.sampled_from(["EUR", "eur", "X1Y2Z3A4", "TOOLONGCODE"]) | junk,
            "usage": usage | st.just(USAGE) | junk,
            "at": time | junk,
            "extra": junk,
            "type": st.sampled_from(["charge", "payment", "Charge"]) | junk,
        },
    ),
)


def _agree(raw: bytes) -> None:
    fast, (slow, _) = decode_charges((raw,))[0], _decode_any(raw, unknown_refused=True, engine=False)
    assert fast is None or fast == slow, (fast, slow)


@given(charges, st.sets(st.sampled_from(sorted(CHARGE))), st.booleans())
@example({**CHARGE, "amount_micros": 5.0, "amount": None}, set(), True)
@example({**CHARGE, "usage": {**USAGE, "quantity": 61.0}}, set(), True)
@settings(max_examples=200)
def test_ways_agree_on_charges_right_and_spoiled(charge: Json, without: set[str], ascii_only: bool) -> None:
    kept = {name: value for name, value in charge.items() if name not in without}
    _agree(json.dumps(kept, ensure_ascii=ascii_only).encode())
    _agree(json.dumps(charge, ensure_ascii=ascii_only).encode())


@given(st.lists(charges, max_size=6))
@settings(max_examples=100)
def test_what_stands_before_a_charge_alters_nothing(found: list[Json]) -> None:
    raws = [json.dumps(charge).encode() for charge in (CHARGE, *found, CHARGE)]
    assert decode_charges(raws) == [decode_charges((raw,))[0] for raw in raws]


GOOD = json.dumps(CHARGE).encode()


@given(st.integers(0, len(GOOD) - 1), st.binary(max_size=3), st.integers(0, 3))
@settings(max_examples=200)
def test_ways_agree_on_bytes_spoiled_anywhere(at: int, put: bytes, taken: int) -> None:
    _agree(GOOD[:at] + put + GOOD[at + taken :])


@pytest.mark.parametrize(
    "more",
    [
        b'"type":"payment"',
        b'"amount":"5"',
        b'"amount":5',
        b'"client":null',
        b'"client":"other"',
        b'"usage":null',
        b'"at":"\\ud800"',
        b'"at":"\x01"',
        b'"at":"\xff"',
        b'"\\u0061t":"2027-01-01T00:00:00Z"',
        b'"id":"\\ud83d\\ude00"',
        b'"id":"\\ud83d"',
        b'"amount_micros":5',
        b'"amount_micros":5e0,"amount":null',
        b'"amount_micros":05,"amount":null',
        b'"amount_micros":-0,"amount":null',
    ],
)
def test_ways_agree_on_a_name_given_twice_or_oddly_written(more: bytes) -> None:
    _agree(GOOD[:-1] + b"," + more + b"}")
    _agree(b"{" + more + b"," + GOOD[1:])


@pytest.mark.parametrize(
    "more",
    [
        {},
        {"currency": "EUR"},
        {"amount": None, "amount_micros": 2**63 - 1},
        {"usage": USAGE},
        {"at": "2026-01-31T10:00:00Z"},
    ],
    ids=["plain", "currency", "micros", "usage", "at"],
)
def test_a_well_formed_charge_goes_the_fast_way(more: Json) -> None:
    """What the figures of the benchmarks stand on: a switch's ordinary record is never read twice."""
    raw = json.dumps({**CHARGE, **more}).encode()
    assert isinstance(decode_charges((raw,))[0], Charge)
    assert decode(raw) == decode(raw, unknown_refused=True) == decode_charges((raw,))[0]


@pytest.mark.parametrize("name", [b'"at"', b'"\\u0061t"'])
def test_log_time_of_a_line_is_its_at_however_the_name_is_written(name: bytes) -> None:
    line = decode_line(GOOD[:-1] + b"," + name + b':"2026-02-01T00:00:00Z"}')
    assert not isinstance(line.event, Refusal)
    assert line.at == 1_769_904_000_000_000
