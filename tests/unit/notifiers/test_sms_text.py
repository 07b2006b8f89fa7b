"""Alphabet, parts and length of a short message (3GPP TS 23.038)."""

import pytest

from notifiers.sms_text import cut, is_gsm, segments


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("", 1),
        ("a" * 160, 1),
        ("a" * 161, 2),
        ("a" * 306, 2),
        ("a" * 307, 3),
        ("€" * 80, 1),
        ("€" * 81, 2),
        ("a" * 152 + "€" + "a" * 152, 3),
        ("я" * 70, 1),
        ("я" * 71, 2),
        ("я" * 134, 2),
        ("я" * 135, 3),
        ("😀" * 35, 1),
        ("😀" * 36, 2),
    ],
)
def test_parts_of_a_text(text: str, parts: int) -> None:
    assert segments(text) == parts


def test_the_alphabet_is_the_gsm_one_until_a_character_is_outside() -> None:
    assert is_gsm("Balance 5.00 € [@] ÄÖÜ")
    assert not is_gsm("Balance 5.00 ₴")


@pytest.mark.parametrize("character", ["a", "я", "€", "😀"])
@pytest.mark.parametrize("parts", [1, 2, 3])
def test_a_long_text_is_cut_to_exactly_what_fits(character: str, parts: int) -> None:
    short = cut(character * 2000, parts)
    assert segments(short) == parts
    assert short.endswith("...")


def test_a_text_that_fits_is_left_whole_on_one_line() -> None:
    assert cut("  one\n two ", 1) == "one two"
