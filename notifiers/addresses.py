"""Addresses as logs may show them: enough to recognise one's own, too little to write or call somebody."""

import re
from typing import Final

_MASK: Final = "***"
_STARS: Final = "*****"
_DIGITS_SHOWN_MIN: Final = 8
"""A number with fewer digits (a short code) would be nearly whole once its ends are shown."""
_EMAIL = re.compile(r"[^\s<>@,;:\"'()\[\]]+@[^\s<>@,;:\"'()\[\]]+")
_PHONE = re.compile(r"\+?[0-9]{7,}")


def mask_address(address: str) -> str:
    """``oksana@example.net`` as ``o***@example.net``; ``+380441234567`` as ``+380*****67``; anything else hidden."""
    local, at, domain = address.rpartition("@")
    if at:
        return f"{local[:1]}{_MASK}@{domain}"
    digits = phone_digits(address)
    if len(digits.lstrip("+")) < _DIGITS_SHOWN_MIN:
        return _STARS
    shown = 4 if digits.startswith("+") else 3
    return f"{digits[:shown]}{_STARS}{digits[-2:]}"


def mask_text(text: str) -> str:
    """``text`` with every address in it masked: what a peer answered often repeats them."""
    text = _EMAIL.sub(lambda found: mask_address(found[0]), text)
    return _PHONE.sub(lambda found: mask_address(found[0]), text)


def phone_digits(phone: str) -> str:
    """A phone number without its punctuation, as gateways take it: ``+38 (044) 123-45-67`` is ``+380441234567``."""
    digits = "".join(character for character in phone if character.isascii() and character.isdigit())
    return f"+{digits}" if phone.lstrip().startswith("+") else digits
