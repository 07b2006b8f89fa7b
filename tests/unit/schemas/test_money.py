"""Exact money, rates and percentages (semantics 1, "Money" and "One currency a client")."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.money import (
    MICROS_MAX,
    MONEY_CHARACTERS_MAX,
    Micros,
    MoneyError,
    divide_half_even,
    format_money,
    format_percent,
    format_rate,
    parse_money,
    parse_percent,
    parse_rate,
    percent_of,
    shorten,
)


@pytest.mark.parametrize(
    ("text", "micros"),
    [
        ("0", 0),
        ("-0", 0),
        ("-0.000000", 0),
        ("1", 1_000_000),
        ("008.887655", 8_887_655),
        ("0.1", 100_000),
        ("0.012345", 12_345),
        ("-0.012345", -12_345),
        ("0.000001", 1),
        ("-5", -5_000_000),
        ("257.900000", 257_900_000),
        ("9223372036854.775807", 2**63 - 1),
        ("-9223372036854.775807", -(2**63 - 1)),
        ("0" * 33 + "1.5", 1_500_000),
    ],
)
def test_money_is_read_exactly(text: str, micros: int) -> None:
    assert parse_money(text) == micros


@pytest.mark.parametrize(
    "text",
    [
        "",
        "-",
        "+1",
        " 1",
        "1 ",
        "1\n",
        ".5",
        "5.",
        "1,5",
        "1e3",
        "1E3",
        "NaN",
        "Infinity",
        "0x10",
        "1_000",
        "--1",
        "1.2.3",
        "0.0000001",
        "0.1234567",
        "٥",
        "１",
        "²",
        "9223372036854.775808",
        "-9223372036854.775808",
        "10000000000000",
        "0" * MONEY_CHARACTERS_MAX + "1",
        "9" * 5000,
    ],
)
def test_what_is_not_exact_money_in_63_bits_is_refused(text: str) -> None:
    with pytest.raises(MoneyError):
        parse_money(text)


def test_refusals_say_what_was_found_and_what_was_expected() -> None:
    with pytest.raises(MoneyError, match="at most 6 fractional digits, found '1e3'"):
        parse_money("1e3")
    with pytest.raises(MoneyError, match=r"at most 9223372036854\.775807, found 9223372036854\.775808"):
        parse_money("9223372036854.775808")


@pytest.mark.parametrize(
    ("micros", "text"),
    [
        (0, "0"),
        (1, "0.000001"),
        (-1, "-0.000001"),
        (100_000, "0.1"),
        (257_900_000, "257.9"),
        (10_000_000, "10"),
        (-5_000_000, "-5"),
        (MICROS_MAX, "9223372036854.775807"),
        (-MICROS_MAX, "-9223372036854.775807"),
    ],
)
def test_money_is_written_in_its_shortest_form(micros: int, text: str) -> None:
    assert format_money(micros) == text


@given(st.integers(-MICROS_MAX, MICROS_MAX))
def test_money_written_and_read_is_the_same(micros: int) -> None:
    text = format_money(micros)
    assert parse_money(text) == micros
    assert Fraction(text) == Fraction(micros, 1_000_000)


@pytest.mark.parametrize(
    ("text", "scaled", "shortest"),
    [
        ("1", 10**12, "1"),
        ("1.0842", 1_084_200_000_000, "1.0842"),
        ("0.000000000001", 1, "0.000000000001"),
        ("0001.500", 1_500_000_000_000, "1.5"),
        ("999999999999999999.999999999999", 10**30 - 1, "999999999999999999.999999999999"),
    ],
)
def test_rate_is_read_exactly_and_written_in_its_shortest_form(text: str, scaled: int, shortest: str) -> None:
    assert parse_rate(text) == scaled
    assert format_rate(scaled) == shortest


@pytest.mark.parametrize(
    "text",
    ["0", "0.000", "-1", "", "1.", ".1", "1e2", "1.0000000000001", "1000000000000000000", " 1", "١", "NaN"],
)
def test_what_is_no_positive_rate_is_refused(text: str) -> None:
    with pytest.raises(MoneyError, match="expected a rate above 0 with at most 12 fractional digits, found "):
        parse_rate(text)


@pytest.mark.parametrize(
    ("value", "scaled", "shortest"),
    [
        (90, 90_000_000, "90"),
        (0, 0, "0"),
        ("12.5", 12_500_000, "12.5"),
        ("12.500000", 12_500_000, "12.5"),
        ("0.000001", 1, "0.000001"),
        ("999999999999.999999", 10**18 - 1, "999999999999.999999"),
    ],
)
def test_percentage_is_a_whole_number_or_a_decimal_string(value: str | int, scaled: int, shortest: str) -> None:
    assert parse_percent(value) == scaled
    assert format_percent(scaled) == shortest


@pytest.mark.parametrize("value", [-1, True, False, "", "-1", "1%", "1.0000001", "1.", "1000000000000", 10**12])
def test_what_is_no_percentage_is_refused(value: str | int) -> None:
    with pytest.raises(MoneyError, match="expected a percentage"):
        parse_percent(value)


@pytest.mark.parametrize(
    ("numerator", "denominator", "rounded"),
    [
        (0, 2, 0),
        (1, 2, 0),
        (3, 2, 2),
        (5, 2, 2),
        (7, 2, 4),
        (-1, 2, 0),
        (-3, 2, -2),
        (-5, 2, -2),
        (1, 3, 0),
        (2, 3, 1),
        (-2, 3, -1),
        (49, 100, 0),
        (51, 100, 1),
        (10**30, 10**12, 10**18),
    ],
)
def test_division_rounds_to_the_nearest_and_ties_to_even(numerator: int, denominator: int, rounded: int) -> None:
    assert divide_half_even(numerator, denominator) == rounded


@given(st.integers(-(10**40), 10**40), st.integers(1, 10**20))
def test_division_is_the_half_even_rounding_of_the_exact_quotient(numerator: int, denominator: int) -> None:
    assert divide_half_even(numerator, denominator) == round(Fraction(numerator, denominator))


@pytest.mark.parametrize(
    ("percent", "micros", "part"),
    [
        (50_000_000, 100_000_000, 50_000_000),
        (12_500_000, 100_000_000, 12_500_000),
        (1_000_000, 50, 0),
        (1_000_000, 150, 2),
        (100_000_000, MICROS_MAX, MICROS_MAX),
    ],
)
def test_percentage_of_an_amount_is_rounded_to_the_micro_unit(percent: int, micros: int, part: int) -> None:
    assert percent_of(percent, Micros(micros)) == part


def test_long_text_is_cut_in_messages_and_its_length_told() -> None:
    assert shorten("x" * 60) == "x" * 60
    assert shorten("x" * 61) == "x" * 60 + "... (61 characters)"
    assert shorten("abcdef", 3) == "abc... (6 characters)"
