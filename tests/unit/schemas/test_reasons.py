"""Reason codes: their order is their precedence, their numbers never change."""

from schemas.reasons import Reason

NUMBERED = {
    "malformed": 1,
    "unknown_type": 2,
    "missing_field": 3,
    "bad_id": 4,
    "bad_time": 5,
    "bad_amount": 6,
    "bad_field": 7,
    "bad_rate": 8,
    "unknown_client": 9,
    "unknown_reference": 10,
    "unknown_grant": 11,
    "no_rate": 12,
    "conflict": 13,
    "fixed": 14,
    "in_use": 15,
    "not_postpaid": 16,
    "no_limit": 17,
    "above_cap": 18,
    "nothing_to_remove": 19,
    "duplicate_invoice": 20,
    "duplicate_grant": 21,
    "same_client": 22,
    "currency_mismatch": 23,
    "transfers_off": 24,
    "insufficient": 25,
}


def test_codes_have_their_numbers_for_ever() -> None:
    assert {reason.value: reason.number for reason in Reason} == NUMBERED
