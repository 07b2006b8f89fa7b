"""Exact money: integer micro-units inside, decimal strings on the wire (semantics 1, "Money").

One unit of currency is 1,000,000 micro-units. An amount fits 63 bits and a sign; what does not fit is refused
by the parser or by the core, never wrapped and never rounded. No float is accepted or produced anywhere.
"""

import re
from typing import Final, NewType

Micros = NewType("Micros", int)
"""An amount of money in micro-units of its currency."""

MICROS_PER_UNIT: Final = 1_000_000
MICROS_MAX: Final = 2**63 - 1
RATE_SCALE: Final = 10**12
PERCENT_SCALE: Final = 10**6

_MONEY = re.compile(r"-?[0-9]+(?:\.[0-9]{1,6})?", re.ASCII)
_RATE = re.compile(r"([0-9]{1,18})(?:\.([0-9]{1,12}))?", re.ASCII)
_PERCENT = re.compile(r"([0-9]{1,12})(?:\.([0-9]{1,6}))?", re.ASCII)
_PLAIN_DIGITS_MAX: Final = 12
_FRACTION_SCALE: Final = (1_000_000, 100_000, 10_000, 1_000, 100, 10, 1)
MONEY_CHARACTERS_MAX: Final = 40  # longer text cannot be a value that fits, and big integers cost quadratic time


class MoneyError(ValueError):
    """Text or number that is not exact money; the message says what was expected and found."""


def parse_money(text: str) -> Micros:
    """Micro-units of a decimal string such as ``"-0.012345"``.

    Raises MoneyError for anything but ``-?[0-9]+(\\.[0-9]{1,6})?`` in ASCII, and for what exceeds 63 bits.
    """
    whole, _, fraction = text.partition(".")
    if len(whole) <= _PLAIN_DIGITS_MAX and whole.isdigit() and text.isascii():  # a price: no sign, far from the bounds
        if fraction.isdigit() and len(fraction) <= 6:
            return Micros(int(whole) * MICROS_PER_UNIT + int(fraction) * _FRACTION_SCALE[len(fraction)])
        if len(whole) == len(text):
            return Micros(int(whole) * MICROS_PER_UNIT)
    if len(text) > MONEY_CHARACTERS_MAX or _MONEY.fullmatch(text) is None:
        raise MoneyError(f"expected a decimal string with at most 6 fractional digits, found {shorten(text)!r}")
    micros = int(whole + fraction.ljust(6, "0"))
    if not -MICROS_MAX <= micros <= MICROS_MAX:
        raise MoneyError(f"expected an amount of at most {format_money(Micros(MICROS_MAX))}, found {text}")
    return Micros(micros)


def format_money(micros: int) -> str:
    """The shortest decimal string of an amount in micro-units: no exponent, no trailing zeros, no ``-0``."""
    if micros < 0:
        return "-" + format_money(-micros)
    digits = str(micros)
    if micros < MICROS_PER_UNIT:
        return ("0." + digits.zfill(6)).rstrip("0") if micros else digits
    whole, fraction = digits[:-6], digits[-6:]
    return whole if fraction == "000000" else f"{whole}.{fraction}".rstrip("0")


def parse_rate(text: str) -> int:
    """An exchange rate as an integer scaled by 10^12; raises MoneyError unless it is > 0 with <= 12 digits."""
    match = _RATE.fullmatch(text)
    scaled = 0 if match is None else int(match[1] + (match[2] or "").ljust(12, "0"))
    if scaled <= 0:
        raise MoneyError(f"expected a rate above 0 with at most 12 fractional digits, found {shorten(text)!r}")
    return scaled


def format_rate(scaled: int) -> str:
    """The shortest decimal string of a rate scaled by 10^12."""
    whole, fraction = divmod(scaled, RATE_SCALE)
    return f"{whole}.{fraction:012d}".rstrip("0") if fraction else str(whole)


def parse_percent(value: str | int) -> int:
    """A percentage scaled by 10^6, from a whole number or a decimal string; raises MoneyError otherwise."""
    match = _PERCENT.fullmatch(str(value)) if not isinstance(value, bool) else None
    if match is None:
        raise MoneyError(f"expected a percentage such as 90 or \"12.5\", found {shorten(str(value))!r}")
    return int(match[1] + (match[2] or "").ljust(6, "0"))


def format_percent(scaled: int) -> str:
    """The shortest decimal string of a percentage scaled by 10^6."""
    return format_money(scaled)


def divide_half_even(numerator: int, denominator: int) -> int:
    """``numerator / denominator`` rounded to the nearest integer, ties to even; the denominator is > 0."""
    quotient, remainder = divmod(numerator, denominator)
    twice = 2 * remainder
    if twice > denominator or (twice == denominator and quotient & 1):
        quotient += 1
    return quotient


def percent_of(percent_scaled: int, micros: int) -> Micros:
    """``percent`` of an amount, rounded half-even to the micro-unit."""
    return Micros(divide_half_even(percent_scaled * micros, 100 * PERCENT_SCALE))


def shorten(text: str, characters_max: int = 60) -> str:
    """``text`` cut for a message, with its length where it was cut."""
    if len(text) <= characters_max:
        return text
    return f"{text[:characters_max]}... ({len(text)} characters)"
