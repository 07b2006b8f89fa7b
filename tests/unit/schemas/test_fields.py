"""Each kind of field: what it reads, to what value, and what it refuses with which reason (contract, first part)."""

from typing import Any

import pytest

from schemas import fields
from schemas.fields import FieldError, JsonFloat, describe, is_visible
from schemas.readers import reader_of
from schemas.reasons import Reason


def _read(kind: object, value: object) -> object:
    return reader_of(kind)(value)


@pytest.mark.parametrize(
    ("kind", "value", "read"),
    [
        (fields.Identity, "x" * 128, "x" * 128),
        (fields.Identity, "клієнт-1/😀", "клієнт-1/😀"),
        (fields.Id, "a", "a"),
        (fields.Time, "2026-01-31T12:00:00+02:00", 1_769_853_600_000_000),
        (fields.Money, "-9223372036854.775807", -(2**63 - 1)),
        (fields.MoneyUnsigned, "0", 0),
        (fields.MoneyUnsigned, "-0", 0),
        (fields.MoneyPositive, "0.000001", 1),
        (fields.Percent, 90, 90_000_000),
        (fields.Percent, "12.5", 12_500_000),
        (fields.Percent, 0, 0),
        (fields.Count, 0, 0),
        (fields.Count, 2**63 - 1, 2**63 - 1),
        (fields.CountPositive, 1, 1),
        (fields.Duration, 0, 0),
        (fields.Duration, 3_162_240_000, 3_162_240_000),
        (fields.DurationPositive, 1, 1),
        (fields.Days, 36_600, 36_600),
        (fields.CycleDay, 28, 28),
        (fields.SortOrder, -(2**31), -(2**31)),
        (fields.Boolean, True, True),
        (fields.Text, "", ""),
        (fields.Text, "x" * 1024, "x" * 1024),
        (fields.Currency, "EUR", "EUR"),
        (fields.Currency, "X1Y2Z3A4", "X1Y2Z3A4"),
        (fields.Language, "uk", "uk"),
        (fields.Language, "pt-BR", "pt-BR"),
        (fields.Phone, "+380 44 123-45-67", "+380 44 123-45-67"),
        (fields.Phone, "0", "0"),
        (fields.Email, "ops@client.example", "ops@client.example"),
        (fields.Email, "o'neil+tag@localhost", "o'neil+tag@localhost"),
        (fields.TimeZone, "Europe/Kyiv", "Europe/Kyiv"),
        (fields.Rate, "1.084200", "1.0842"),
        (fields.Warning, "5.00", "5"),
        (fields.Warning, "-5", "-5"),
        (fields.Warning, "90.50%", "90.5%"),
    ],
)
def test_value_is_read_to_its_canonical_form(kind: object, value: object, read: object) -> None:
    assert _read(kind, value) == read


NO_TEXT: list[Any] = [5, 5.5, True, [], {}, JsonFloat("1.5")]


@pytest.mark.parametrize(
    ("kind", "reason", "refused"),
    [
        (fields.Identity, Reason.BAD_ID, [*NO_TEXT, "", " ", "a b", "a\tb", "a\0", "\u00a0", "\u200b", "x" * 129]),
        (fields.Id, Reason.BAD_FIELD, [*NO_TEXT, "", "a b", "x" * 129]),
        (fields.Time, Reason.BAD_TIME, [*NO_TEXT, "", "2026-01-31", "2026-02-30T00:00:00Z"]),
        (fields.Money, Reason.BAD_AMOUNT, [*NO_TEXT, "", "1e3", "9223372036854.775808"]),
        (fields.MoneyUnsigned, Reason.BAD_AMOUNT, [*NO_TEXT, "-0.000001", "-1"]),
        (fields.MoneyPositive, Reason.BAD_AMOUNT, [*NO_TEXT, "0", "-0", "0.000000", "-1"]),
        (fields.Percent, Reason.BAD_FIELD, [1.5, True, [], {}, JsonFloat("1.5"), -1, "-1", "1%", "0.0000001", ""]),
        (fields.Count, Reason.BAD_FIELD, [-1, 2**63, "1", True, 1.0, JsonFloat("1.0"), [], {}]),
        (fields.CountPositive, Reason.BAD_FIELD, [0, -1, 2**63]),
        (fields.Duration, Reason.BAD_FIELD, [-1, 3_162_240_001]),
        (fields.DurationPositive, Reason.BAD_FIELD, [0]),
        (fields.Days, Reason.BAD_FIELD, [-1, 36_601]),
        (fields.CycleDay, Reason.BAD_FIELD, [0, 29]),
        (fields.SortOrder, Reason.BAD_FIELD, [2**31 + 1, -(2**31) - 1]),
        (fields.Boolean, Reason.BAD_FIELD, [0, 1, "true", [], {}]),
        (fields.Text, Reason.BAD_FIELD, [*NO_TEXT, "x" * 1025]),
        (fields.Currency, Reason.BAD_FIELD, [*NO_TEXT, "", "EU", "eur", "1EU", "EURO56789", "EUR\n", "ЄВР"]),
        (fields.Language, Reason.BAD_FIELD, [*NO_TEXT, "", "u", "ukrainian", "uk-", "uk--UA", "uk\n"]),
        (fields.Phone, Reason.BAD_FIELD, [*NO_TEXT, "", "+", "12a", "++1", "1" * 34, "٣", "1\n"]),
        (
            fields.Email,
            Reason.BAD_FIELD,
            [*NO_TEXT, "", "a", "a@", "@b", "a b@c", "a@b@c", "a@b\n", "<a@b>", "a@b,c@d"],
        ),
        (fields.Email, Reason.BAD_FIELD, ["a@" + "b" * 253, "a@b\r\nBcc: c@d", "a@b\u202e"]),
        (fields.TimeZone, Reason.BAD_FIELD, [*NO_TEXT, "", "Mars/Base", "/etc/passwd"]),
        (fields.Rate, Reason.BAD_RATE, [*NO_TEXT, "", "0", "-1", "1.0000000000001"]),
        (fields.Warning, Reason.BAD_AMOUNT, [*NO_TEXT, "", "%", "5%%", "-5%", "x", "1e3"]),
    ],
)
def test_anything_else_is_refused_with_the_reason_of_its_kind(
    kind: object, reason: Reason, refused: list[object]
) -> None:
    for value in refused:
        with pytest.raises(FieldError) as error:
            _read(kind, value)
        assert error.value.reason is reason, value
        assert error.value.message == str(error.value)


@pytest.mark.parametrize(
    ("kind", "value", "message"),
    [
        (fields.MoneyPositive, "0", "an amount above 0 is needed, found 0 micro-units"),
        (fields.MoneyUnsigned, "-0.5", "an amount of 0 or more is needed, found -500000 micro-units"),
        (fields.CycleDay, 29, "expected a whole number from 1 to 28, found the number 29"),
        (fields.Boolean, "yes", "expected true or false, found 'yes'"),
    ],
)
def test_refusal_says_what_was_expected_and_found(kind: object, value: object, message: str) -> None:
    with pytest.raises(FieldError) as error:
        _read(kind, value)
    assert error.value.message == message


@pytest.mark.parametrize(
    ("annotated", "least"), [(fields.Money, -(2**63) + 1), (fields.MoneyUnsigned, 0), (fields.MoneyPositive, 1)]
)
def test_micros_have_the_bounds_of_their_amount(annotated: Any, least: int) -> None:
    (kind,) = annotated.__metadata__
    read = fields.MICROS_KINDS[id(kind)].read
    assert read(least) == least
    assert read(2**63 - 1) == 2**63 - 1
    for refused in (least - 1, 2**63, "1", 1.0, True, None):
        with pytest.raises(FieldError) as error:
            read(refused)
        assert error.value.reason is Reason.BAD_AMOUNT


@pytest.mark.parametrize(
    ("value", "named"),
    [
        (None, "null"),
        (True, "true"),
        (False, "false"),
        ("a", "'a'"),
        ("x" * 61, repr("x" * 60 + "... (61 characters)")),
        (JsonFloat("1.50"), "the number 1.50"),
        (JsonFloat("1" * 70), "the number " + "1" * 60 + "... (70 characters)"),
        (-5, "the number -5"),
        (10**30 - 1, "the number 999999999999999999999999999999"),
        (10**30, "a number that is too large"),
        (-(10**30), "a number that is too large"),
        ([1], "an array"),
        ({}, "an object"),
    ],
)
def test_found_value_is_named_in_a_few_words(value: object, named: str) -> None:
    assert describe(value) == named


@pytest.mark.parametrize(
    ("text", "visible"),
    [("a", True), ("x" * 128, True), ("é", True), ("", False), ("x" * 129, False), ("a b", False), ("a\n", False)],
)
def test_an_id_is_1_to_128_visible_characters(text: str, visible: bool) -> None:
    assert is_visible(text) is visible
