"""The notation itself: what a scenario file expands to, and what makes it fail."""

import json

import pytest

from tests.scenarios.notation import (
    NotationError,
    differs,
    event,
    expectation,
    instant,
    line,
    parse,
    raw,
)


@pytest.mark.parametrize(
    ("written", "expanded"),
    [
        ("d0 00:00", "2026-01-01T00:00:00Z"),
        ("d0 10:01", "2026-01-01T10:01:00Z"),
        ("d31 23:59:58", "2026-02-01T23:59:58Z"),
        ("d7 09:59:59.999999", "2026-01-08T09:59:59.999999Z"),
        ("d-1 12:00", "2025-12-31T12:00:00Z"),
        ("2026-01-01T10:00:00+01:00", "2026-01-01T10:00:00+01:00"),
        ("d0T10:00", "d0T10:00"),
    ],
)
def test_a_day_and_a_time_of_day_are_counted_from_the_first_of_january_2026(written: str, expanded: str) -> None:
    assert instant(written) == expanded


def test_shorthand_is_one_json_object_with_source_id_and_time() -> None:
    assert json.loads(event("d0 10:00 charge c amount=0.50", 7)) == {
        "type": "charge",
        "source": "t",
        "id": "e7",
        "time": "2026-01-01T10:00:00Z",
        "client": "c",
        "amount": "0.50",
    }


def test_shorthand_keys_nest_by_dots_take_json_after_colon_equals_and_replace_the_defaults() -> None:
    made = json.loads(
        event('d0 10:00 charge c id=x at=d1 09:00 amount=5 usage.quantity:=60 usage.unit=s note:="a b"', 1)
    )
    assert made["id"] == "x"
    assert made["at"] == "2026-01-02T09:00:00Z"
    assert made["usage"] == {"quantity": 60, "unit": "s"}
    assert made["note"] == "a b"


def test_the_word_after_a_configuration_type_is_its_own_key() -> None:
    assert json.loads(event("d0 10:00 time_balance_plan off unit=minute", 1))["plan"] == "off"
    assert json.loads(event("d0 10:00 profile_deleted p", 1))["profile"] == "p"


def test_a_tick_needs_no_key() -> None:
    assert json.loads(event("d0 10:00 tick", 1))["type"] == "tick"


def test_json_goes_in_as_it_stands() -> None:
    assert line(' {"type": "charge" ,"amount":1.50}', 1) == b'{"type": "charge" ,"amount":1.50}'


def test_raw_lines_hold_any_bytes() -> None:
    assert line(r"raw \xEF\xBB\xBF{}\r", 1) == b"\xef\xbb\xbf{}\r"
    assert line("raw", 1) == b""
    assert raw(r"[\{4a}]\t\\n") == b"[aaaa]\t\\n"


@pytest.mark.parametrize(
    "text",
    [
        "< d0 10:00 charge c\n",
        "== x: t\n< charge c\n",
        "== x: t\n< d0 10:00 exchange_rate c\n",
        "== x: t\n< d0 10:00 charge c amount~=5\n",
        "== x: t\n< d0 10:00 charge c usage:={]\n",
        "== x: t\nrul: 1 money\n",
        "== x: t\nuntil: tomorrow\n",
        "== x: t\nuntil: d0 10:00\n< d0 11:00 tick\n",
    ],
)
def test_what_cannot_be_read_is_an_error_with_file_and_line(text: str) -> None:
    with pytest.raises(NotationError, match=r"f:\d"):
        parse(text, "f")


def test_steps_are_what_comes_in_and_then_what_goes_out() -> None:
    (scenario,) = parse(
        "== x: title\nrule: 1 money\nignore: change\n< d0 10:00 tick\n> change c\n# so\n\n"
        "< d0 11:00 tick\n< d0 12:00 tick\nuntil: d1 00:00\n> change c\n",
        "f",
    )
    assert (scenario.id, scenario.title) == ("x", "title")
    assert (scenario.rules, scenario.ignored) == (["1 money"], ["change"])
    assert [(len(step.lines), step.until, len(step.expected)) for step in scenario.steps] == [
        (1, None, 1),
        (2, None, 0),
        (0, "2026-01-02T00:00:00Z", 1),
    ]


GOT = {
    "output": "change",
    "client": "c",
    "version": 2,
    "live": "5",
    "credit": {"permanent": None},
    "to": ["a", "b"],
    "time_balances": [{"grant": "g2", "left": 1}, {"grant": "g1", "left": 0}],
    "message": "above the cap of 50",
}


@pytest.mark.parametrize(
    "text",
    [
        "change",
        "change c version:=2 live=5",
        "change c credit.permanent:=null !rate",
        'change c to:=["a","b"]',
        'change c time_balances:=[{"grant":"g1","left":0},{"grant":"g2"}]',
        "change message~=50",
    ],
)
def test_a_subset_matches(text: str) -> None:
    assert differs(expectation(text, "f:1"), GOT) is None


@pytest.mark.parametrize(
    "text",
    [
        "notification c",
        "change d",
        "change c version=2",
        "change c version:=2.0",
        "change c live:=5",
        "change c credit.permanent=0",
        "change c missing=1",
        'change c to:=["b","a"]',
        'change c to:=["a"]',
        'change c time_balances:=[{"grant":"g1"}]',
        'change c time_balances:=[{"grant":"g1"},{"left":0}]',
        "change c !live",
        "change message~=51",
    ],
)
def test_anything_else_does_not(text: str) -> None:
    assert differs(expectation(text, "f:1"), GOT) is not None
