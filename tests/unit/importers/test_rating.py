"""Prices by prefix: longest first, whole increments, exact integers, one half-even rounding."""

from pathlib import Path

import pytest

from engine.failures import WrongUse
from engine.importers.rating import Rate, RateTable, load_rates

HEADER = "prefix,rate_per_minute,connect_fee,initial_increment,increment\n"


def rate(
    per_minute_scaled: int = 60 * 10**10, fee: int = 0, initial: int = 1, increment: int = 1, prefix: str = ""
) -> Rate:
    return Rate(prefix, per_minute_scaled, fee, initial, increment)


@pytest.mark.parametrize(
    ("initial", "increment", "seconds", "billed"),
    [
        (1, 1, 59, 59),
        (60, 60, 1, 60),
        (60, 60, 60, 60),
        (60, 60, 61, 120),
        (30, 6, 29, 30),
        (30, 6, 31, 36),
        (30, 6, 36, 36),
        (30, 6, 37, 42),
        (6, 6, 6, 6),
    ],
)
def test_seconds_round_up_to_increments(initial: int, increment: int, seconds: int, billed: int) -> None:
    assert rate(initial=initial, increment=increment).billed_seconds(seconds) == billed


@pytest.mark.parametrize(
    ("scaled", "seconds", "micros"),
    [
        (120_000_000_000, 60, 120_000),  # 0.12 a minute for a minute
        (120_000_000_000, 1, 2_000),
        (30_000_000, 1, 0),  # 0.5 of a micro-unit: the tie goes to the even 0
        (90_000_000, 1, 2),  # 1.5: to the even 2
        (150_000_000, 1, 2),  # 2.5: to the even 2
        (90_000_001, 1, 2),
        (0, 3600, 0),
    ],
)
def test_price_is_rounded_half_even_to_the_micro_unit(scaled: int, seconds: int, micros: int) -> None:
    assert rate(scaled).price_micros(seconds) == micros


def test_connect_fee_is_added_once() -> None:
    assert rate(120_000_000_000, fee=50_000).price_micros(120) == 290_000


@pytest.mark.parametrize(
    ("destination", "prefix"),
    [
        ("380445551234", "38044"),
        ("+380445551234", "38044"),
        ("380671112233", "380"),
        ("38044", "38044"),
        ("3804", "380"),
        ("12125550100", ""),
        ("", ""),
    ],
)
def test_longest_prefix_wins(destination: str, prefix: str) -> None:
    table = RateTable([rate(prefix="380"), rate(prefix="38044"), rate()])
    found = table.rate_of(destination)
    assert found is not None
    assert found.prefix == prefix


def test_destination_that_nothing_covers_has_no_rate() -> None:
    assert RateTable([rate(prefix="380")]).rate_of("44") is None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "expected a header"),
        (HEADER, "at least one row"),
        ("prefix,rate\n1,2\n", ":1: expected the columns prefix, rate_per_minute"),
        (HEADER + "44,0.1,0,60\n", ":2: expected as many cells"),
        (HEADER + "44x,0.1,0,60,60\n", ":2: prefix: expected at most 32 digits, found '44x'"),
        (HEADER + "44,-0.1,0,60,60\n", ":2: rate_per_minute: expected a decimal"),
        (HEADER + "44,1e-3,0,60,60\n", ":2: rate_per_minute: expected a decimal"),
        (HEADER + "44,0.1,0.0000001,60,60\n", ":2: connect_fee: expected a decimal string"),
        (HEADER + "44,0.1,-1,60,60\n", ":2: connect_fee: expected 0 or more"),
        (HEADER + "44,0.1,0,0,60\n", ":2: initial_increment: expected seconds from 1"),
        (HEADER + "44,0.1,0,60,six\n", ":2: increment: expected seconds from 1"),
        (HEADER + "44,0.1,0,1,1\n\n44,0.2,0,1,1\n", ":4: the prefix '44' is in the table twice"),
        (HEADER + '44,"0.1,0,1,1\n', ":2: expected CSV"),
    ],
)
def test_wrong_table_is_refused_with_file_and_line(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "rates.csv"
    path.write_text(text)
    with pytest.raises(WrongUse) as caught:
        load_rates(str(path))
    assert message in str(caught.value)
    assert str(caught.value).startswith(str(path))


def test_missing_table_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(WrongUse, match="there is no such file"):
        load_rates(str(tmp_path / "none.csv"))
