"""Which partitions a worker is given, and what is said where that cannot be."""

import pytest

from engine.cli.worker import parse_partitions
from engine.failures import WrongUse


@pytest.mark.parametrize(
    ("given", "found"), [("0", [0]), ("0-2", [0, 1, 2]), ("7, 5-6,5", [5, 6, 7]), ("1023", [1023])]
)
def test_numbers_and_ranges_are_read(given: str, found: list[int]) -> None:
    assert parse_partitions(given) == found


@pytest.mark.parametrize("given", ["", "a", "3-1", "1-", "-1", "1024", "0,,1"])
def test_anything_else_is_one_sentence(given: str) -> None:
    with pytest.raises(WrongUse, match="--partitions: expected numbers and ranges as in 0,3,5-7, found"):
        parse_partitions(given)
