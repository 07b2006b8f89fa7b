"""Prices a call by a table of prefixes: exact integers, longest prefix first, whole increments, one rounding.

The file is CSV with a header: ``prefix, rate_per_minute, connect_fee, initial_increment, increment`` and, if
wanted, ``usage_type``. Money is in units of the table's one currency; increments are seconds. An empty prefix
prices every destination that no other prefix fits.
"""

import csv
import re
from collections.abc import Iterable
from typing import Final

import msgspec

from engine.failures import WrongUse
from engine.lines import open_input, read_lines
from schemas.money import MICROS_MAX, MoneyError, divide_half_even, parse_money

RATES_MAX: Final = 1_000_000
"""Rows of a table, which is held in memory: the largest published ones have a few hundred thousand."""
INCREMENT_SECONDS_MAX: Final = 86_400
PREFIX_DIGITS_MAX: Final = 32

_RATE_SCALE: Final = 10**12  # a rate a minute often has more digits than money itself may have
_SCALED_PER_MICRO: Final = _RATE_SCALE // 1_000_000
_RATE = re.compile(r"([0-9]{1,9})(?:\.([0-9]{1,12}))?", re.ASCII)
_REQUIRED: Final = ("prefix", "rate_per_minute", "connect_fee", "initial_increment", "increment")
_OPTIONAL: Final = ("usage_type",)


class Rate(msgspec.Struct, frozen=True, gc=False):
    """What calls to a prefix cost: ``rate_scaled`` is 10^-12 of a unit a minute, the fee is in micro-units."""

    prefix: str
    rate_scaled: int
    connect_fee_micros: int
    initial_increment_seconds: int
    increment_seconds: int
    usage_type: str | None = None

    def price_micros(self, seconds: int) -> int:
        """The price of an answered call: the fee, and the rounded-up seconds, half-even to the micro-unit."""
        scaled = self.rate_scaled * self.billed_seconds(seconds)
        return self.connect_fee_micros + divide_half_even(scaled, 60 * _SCALED_PER_MICRO)

    def billed_seconds(self, seconds: int) -> int:
        """The seconds that are paid for: the initial increment, then whole further ones."""
        further = seconds - self.initial_increment_seconds
        if further <= 0:
            return self.initial_increment_seconds
        return self.initial_increment_seconds + -(-further // self.increment_seconds) * self.increment_seconds


class RateTable:
    """Rates by prefix. ``rate_of`` finds the longest prefix of a destination."""

    def __init__(self, rates: Iterable[Rate]) -> None:
        self._rates = {rate.prefix: rate for rate in rates}
        self._lengths = sorted({len(prefix) for prefix in self._rates}, reverse=True)

    def __len__(self) -> int:
        return len(self._rates)

    def rate_of(self, destination: str) -> Rate | None:
        """The rate of the longest prefix that the destination begins with; a leading ``+`` does not count."""
        digits = destination.removeprefix("+")
        for length in self._lengths:
            rate = self._rates.get(digits[:length])
            if rate is not None and len(digits) >= length:
                return rate
        return None


def load_rates(path: str) -> RateTable:
    """The table in a CSV file. Raises WrongUse, with file and line, for the first row that is not in order."""
    rates: dict[str, Rate] = {}
    header: list[str] | None = None
    with open_input(path) as stream:
        for line in read_lines(stream, path):
            if not line.data.strip():
                continue
            place = f"{path}:{line.number}"
            cells = _cells(line.data, place)
            if header is None:
                header = _header(cells, place)
                continue
            rate = _rate(dict(zip(header, cells, strict=False)), len(cells) == len(header), place)
            if rate.prefix in rates:
                raise WrongUse(f"{place}: the prefix {rate.prefix!r} is in the table twice")
            if len(rates) >= RATES_MAX:
                raise WrongUse(f"{place}: expected at most {RATES_MAX} prefixes")
            rates[rate.prefix] = rate
    if not rates:
        raise WrongUse(f"{path}: expected a header with {', '.join(_REQUIRED)} and at least one row")
    return RateTable(rates.values())


def _cells(data: bytes, place: str) -> list[str]:
    try:
        return [cell.strip() for cell in next(csv.reader([data.decode()], strict=True))]
    except UnicodeDecodeError:
        raise WrongUse(f"{place}: expected text in UTF-8") from None
    except csv.Error as error:
        raise WrongUse(f"{place}: expected CSV: {error}") from None


def _header(cells: list[str], place: str) -> list[str]:
    missing = [name for name in _REQUIRED if name not in cells]
    unknown = [name for name in cells if name not in _REQUIRED + _OPTIONAL]
    if missing or unknown or len(set(cells)) != len(cells):
        found = f"found {', '.join(cells)[:200]}"
        raise WrongUse(f"{place}: expected the columns {', '.join(_REQUIRED)} and optionally {_OPTIONAL[0]}; {found}")
    return cells


def _rate(row: dict[str, str], whole: bool, place: str) -> Rate:
    if not whole:
        raise WrongUse(f"{place}: expected as many cells as the header has")
    prefix = row["prefix"].removeprefix("+")
    if not (prefix.isascii() and (prefix.isdigit() or not prefix)) or len(prefix) > PREFIX_DIGITS_MAX:
        raise WrongUse(f"{place}: prefix: expected at most {PREFIX_DIGITS_MAX} digits, found {prefix[:40]!r}")
    match = _RATE.fullmatch(row["rate_per_minute"])
    if match is None:
        raise WrongUse(
            f"{place}: rate_per_minute: expected a decimal with at most 12 fractional digits, "
            f"found {row['rate_per_minute'][:40]!r}"
        )
    try:
        fee = parse_money(row["connect_fee"])
    except MoneyError as error:
        raise WrongUse(f"{place}: connect_fee: {error}") from None
    if not 0 <= fee <= MICROS_MAX // 2:
        raise WrongUse(f"{place}: connect_fee: expected 0 or more, found {row['connect_fee'][:40]}")
    return Rate(
        prefix=prefix,
        rate_scaled=int(match[1] + (match[2] or "").ljust(12, "0")),
        connect_fee_micros=fee,
        initial_increment_seconds=_seconds(row, "initial_increment", place),
        increment_seconds=_seconds(row, "increment", place),
        usage_type=row.get("usage_type") or None,
    )


def _seconds(row: dict[str, str], name: str, place: str) -> int:
    text = row[name]
    if not (text.isascii() and text.isdigit() and 1 <= int(text[:9]) <= INCREMENT_SECONDS_MAX and len(text) < 9):
        raise WrongUse(f"{place}: {name}: expected seconds from 1 to {INCREMENT_SECONDS_MAX}, found {text[:40]!r}")
    return int(text)
