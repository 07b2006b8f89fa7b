"""What logs may show of an address."""

import pytest

from notifiers.addresses import mask_address, mask_text, phone_digits


@pytest.mark.parametrize(
    ("address", "masked"),
    [
        ("oksana@example.net", "o***@example.net"),
        ("o@example.net", "o***@example.net"),
        ("@example.net", "***@example.net"),
        ("+380441234567", "+380*****67"),
        ("+38 (044) 123-45-67", "+380*****67"),
        ("0441234567", "044*****67"),
        ("12345", "*****"),
        ("", "*****"),
    ],
)
def test_an_address_keeps_its_ends_only(address: str, masked: str) -> None:
    assert mask_address(address) == masked


def test_what_a_peer_says_is_masked_inside_its_sentence() -> None:
    said = "550 5.1.1 <oksana@example.net>: unknown; try +380441234567"
    assert mask_text(said) == "550 5.1.1 <o***@example.net>: unknown; try +380*****67"


def test_a_text_without_addresses_stays_as_it_is() -> None:
    assert mask_text("451 4.3.0 try again in 300 s") == "451 4.3.0 try again in 300 s"


def test_a_phone_number_is_sent_without_punctuation() -> None:
    assert phone_digits("+38 (044) 123-45-67") == "+380441234567"
    assert phone_digits("044 123/45.67") == "0441234567"
