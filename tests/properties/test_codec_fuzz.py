"""Whatever is sent: nothing raises, every line is answered, and the next good event is processed."""

import json
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from engine.replay import replay
from schemas.codec import decode, decode_line
from schemas.events import EVENT_TYPES
from schemas.readers import fields_of, tag_of
from schemas.reasons import Refusal
from schemas.times import INSTANT_MAX, INSTANT_MIN
from tests.golden.__main__ import FOLDER

Json = dict[str, Any]  # Any: JSON under test, right and wrong

SAMPLES = [json.loads(line) for line in (FOLDER / "events.ndjson").read_bytes().splitlines()]
GROUND_EVENTS: list[Json] = [
    {"type": "exchange_rate", "base": "EUR", "quote": "USD", "rate": "1.5"},
    {"type": "reseller", "reseller": "r", "max_temporary_credit": {"percent": 50, "days": 30}},
    {"type": "user", "user": "m", "email": "m@operator.example"},
    {"type": "user", "user": "u", "phone": "1"},
    {"type": "customer_class", "customer_class": "k", "transfers": "yes"},
    {
        "type": "profile",
        "profile": "p",
        "max_qty": 3,  # every reminder up to the last instant is decided: without an end there are billions
        "period_seconds": 60,
        "rules": [{"rule": "low", "audience": "user", "threshold": "5", "users": ["u"], "channels": ["sms"]}],
    },
    {"type": "template", "template": "t", "profile": "p", "low_balance": {"threshold": "5", "capacity": 1}},
    {
        "type": "time_balance_plan",
        "plan": "off-net",
        "unit": "second",
        "units": 60,
        "usage_types": ["voice"],
        "window": {"until": "day"},
        "thresholds": [{"percent": 0}],
    },
    {"type": "client", "client": "c-42", "currency": "USD", "model": "postpaid", "template": "t"},
    {"type": "client", "client": "c-43", "currency": "USD", "time_zone": "Pacific/Kiritimati"},
    {"type": "time_balance", "client": "c-43", "action": "grant", "grant": "g", "plan": "off-net"},
]
GROUND = [
    json.dumps({"source": "g", "id": f"g{number}", "time": "2026-01-01T00:00:00Z", **event}).encode()
    for number, event in enumerate(GROUND_EVENTS)
]
# An invoice: whatever was paid before, its own money cannot fail to fit.
LAST = (
    b'{"type":"invoice","source":"last","id":"last","client":"%s","time":"2026-01-01T00:00:00Z",'
    b'"invoice":"last","amount":"1"}'
)

names = st.sampled_from(sorted({field.wire for cls in EVENT_TYPES for field in fields_of(cls)}))
texts = (
    st.sampled_from(
        ["", "0", "-1", "1", "0.000001", "9223372036854.775807", "1e3", "c-42", "c-43", "p", "t", "off-net"]
    )
    | st.sampled_from(["EUR", "USD", "90%", "grant", "renew", "yes", "email", "voice", "second", "postpaid", "x" * 130])
    | st.sampled_from(["2026-01-01T00:00:00Z", "0001-01-01T00:00:00Z", "2026-01-02T00:00:00Z", "2026-01-01"])
    | st.sampled_from(["\0", "\u2028", "😀"])
)
scalars = st.none() | st.booleans() | st.integers() | st.sampled_from([1.5, 1e300, -0.0, 2**63 - 1, 2**64]) | texts
values = st.recursive(
    scalars | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names | texts, inner, max_size=3),
    max_leaves=6,
)
spoiled = st.builds(
    lambda sample, more, without: {key: value for key, value in {**sample, **more}.items() if key not in without},
    st.sampled_from(SAMPLES),
    st.dictionaries(names | st.sampled_from(["at", "amount_micros", "extra"]), values, max_size=3),
    st.sets(names, max_size=1),
)
objects = spoiled | st.dictionaries(names | texts, values, max_size=4)
good = b'{"type":"charge","id":"1","source":"s","client":"c-42","time":"2026-01-01T00:00:00Z","amount":"1","at":null}'
cut = st.builds(
    lambda at, put, taken: good[:at] + put + good[at + taken :],
    st.integers(0, len(good)),
    st.binary(max_size=3),
    st.integers(0, 3),
)
lines = objects.map(lambda event: json.dumps(event).encode()) | cut | st.binary(max_size=60)


def _is_blank(line: bytes) -> bool:
    return not line.strip(b"\r\n \t")


@given(lines, st.booleans(), st.booleans())
@settings(max_examples=300)
@example(
    b'{"type":"charge","id":"1","source":"s","client":"c","time":"2026-01-01T00:00:00Z","usage":{"usage":{}}}',
    True,
    True,
)
@example(b'{"a":' * 5000, True, True)
@example(b"[" * 200_000, False, False)
@example(b'{"' + b"x" * 100_000, False, True)
@example(b"1" * 10_000, False, True)
def test_decoding_gives_an_event_or_a_refusal(line: bytes, unknown_refused: bool, engine: bool) -> None:
    decoded = decode(line, unknown_refused=unknown_refused, engine=engine)
    assert isinstance(decoded, (*EVENT_TYPES, Refusal))
    if isinstance(decoded, Refusal):
        assert decoded.message
        assert len(decoded.message) < 1000
    elif decoded is not None:
        assert INSTANT_MIN <= decoded.time <= INSTANT_MAX


@given(lines)
@settings(max_examples=300)
def test_decoding_a_line_is_decoding_with_a_log_time(line: bytes) -> None:
    read = decode_line(line)
    if isinstance(read.event, Refusal):
        assert read.at is None or INSTANT_MIN <= read.at <= INSTANT_MAX
    else:
        assert read.event == decode(line)
        assert read.at is not None


def _outputs(written: list[bytes]) -> list[Json]:
    return [json.loads(line) for line in replay(written)]


@given(st.lists(lines, max_size=4))
@settings(max_examples=300)
def test_every_line_is_answered_and_the_next_good_event_is_processed(noise: list[bytes]) -> None:
    """A line of noise gives a rejection or outputs, unless it is blank, a repeat, a tick or moves no view."""
    noise = [line.replace(b"\n", b" ") for line in noise]
    outputs = _outputs([*GROUND, *noise, LAST % b"c-42", LAST % b"c-43"])
    ends = [output for output in outputs if output.get("cause") == {"source": "last", "id": "last"}]
    assert {output["client"] for output in ends if output["output"] == "change"} == {"c-42", "c-43"}
    rejected = [output["reason"] for output in outputs if output["output"] == "rejection"]
    refused = [line for line in noise if not _is_blank(line) and isinstance(decode_line(line.strip()).event, Refusal)]
    assert len(rejected) >= len(refused)


@given(st.binary(max_size=300))
@settings(max_examples=200)
def test_a_file_of_any_bytes_is_read_to_its_end(content: bytes) -> None:
    outputs = _outputs([*GROUND, *content.split(b"\n"), LAST % b"c-42"])
    assert outputs[-1]["cause"] == {"source": "last", "id": "last"}


@pytest.mark.parametrize("sample", SAMPLES, ids=[tag_of(cls) for cls in EVENT_TYPES])
@pytest.mark.parametrize("instant", ["0001-01-01T00:00:00Z", "9999-12-31T23:59:59.999999Z"])
def test_times_at_the_ends_of_the_calendar_stop_nothing(sample: Json, instant: str) -> None:
    """Every time of an event at an end of the calendar, alone and on ground that exists."""
    event = {**sample, "client": "c-43"} if "client" in sample else sample
    usage = {"type": "voice", "quantity": 2**63 - 1, "unit": "second", "started_at": instant}
    more: Json = {name: instant for name in ("time", "valid_until", "due_at") if name in sample}
    grant = {"type": "time_balance", "client": "c-43", "action": "grant", "grant": "h", "plan": "off-net"}
    charge = {"type": "charge", "client": "c-43", "amount": "1", "usage": usage}
    written: list[Json] = [
        {**event, **more, "id": "x1"},
        {**event, "id": "x2", "at": instant},
        {**grant, "source": "s", "id": "x3", "time": instant},
        {**charge, "source": "s", "id": "x4", "time": instant},
    ]
    outputs = _outputs([*GROUND, *(json.dumps(line).encode() for line in written), LAST % b"c-43"])
    changes = [output for output in outputs if output["output"] == "change" and output["client"] == "c-43"]
    assert changes[-1]["cause"] == {"source": "last", "id": "last"}
