"""The text of an SMS: its alphabet, how many parts it takes, and how it is cut (3GPP TS 23.038, 23.040).

A text of the GSM 7-bit alphabet holds 160 septets in one part and 153 in each of several; any other is sent as
UTF-16, 70 units in one part and 67 in each of several.
"""

from typing import Final

_BASIC = frozenset(
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?"
    "¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà"
)
_EXTENDED = frozenset("\f^{}\\[~]|€")  # an escape and a septet each
_ONE: Final = {True: 160, False: 70}
_EACH: Final = {True: 153, False: 67}


def is_gsm(text: str) -> bool:
    """Whether every character is in the GSM 7-bit alphabet or its extension table."""
    return all(character in _BASIC or character in _EXTENDED for character in text)


def segments(text: str) -> int:
    """How many parts the text takes; an empty one takes one."""
    gsm = is_gsm(text)
    if sum(_units(character, gsm) for character in text) <= _ONE[gsm]:
        return 1
    parts, used = 1, 0
    for character in text:  # no character is split between two parts
        units = _units(character, gsm)
        if used + units > _EACH[gsm]:
            parts, used = parts + 1, 0
        used += units
    return parts


def cut(text: str, segments_max: int) -> str:
    """The text with its white space squeezed, shortened with ``...`` until it takes ``segments_max`` parts."""
    text = " ".join(text.split())
    if len(text) > segments_max * _ONE[True]:
        text = text[: segments_max * _ONE[True]] + "..."
    while segments(text) > segments_max:
        text = text.removesuffix("...")[:-1].rstrip() + "..."
    return text


def _units(character: str, gsm: bool) -> int:
    if gsm:
        return 2 if character in _EXTENDED else 1
    return 2 if ord(character) > 0xFFFF else 1
