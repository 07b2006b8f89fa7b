"""Which partitions a worker is given, and what is said where that cannot be."""

import pytest
from click.testing import CliRunner

from engine.cli.entry import commands
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


BOOTSTRAP = ("--bootstrap", "127.0.0.1:9")


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("--instance", "w", "--port", "0"), "expected a --port that stays the same"),
        (("--instance", "a b", "--port", "1"), "--instance: expected 1 to 128 of"),
        (("--host", "0.0.0.0"), "--advertise: expected the URL"),
        (("--advertise", "ftp://x"), "--advertise: expected http://HOST:PORT or https://HOST:PORT"),
        (("--session-seconds", "1"), "--session-seconds: expected 6 to 60, found 1"),
        (("--standbys", "9"), "--standbys: expected 0 to 3, found 9"),
        (("--partitions", "3-1"), "--partitions: expected numbers and ranges"),
    ],
)
def test_what_cannot_be_a_member_is_said_before_anything_is_asked(arguments: tuple[str, ...], sentence: str) -> None:
    result = CliRunner().invoke(commands, ["worker", *BOOTSTRAP, *arguments])
    assert result.exit_code == 2
    assert sentence in result.stderr


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("log-level",), "expected one of debug, info, warning, error, found none"),
        (("pause", "info"), "expected no level, found info"),
        (("pause", "--partitions", "x"), "--partitions: expected numbers and ranges"),
        (("dance",), "is not one of 'pause', 'resume', 'checkpoint', 'log-level'"),
    ],
)
def test_what_is_no_command_is_not_sent(arguments: tuple[str, ...], sentence: str) -> None:
    result = CliRunner().invoke(commands, ["control", *BOOTSTRAP, *arguments])
    assert result.exit_code == 2
    assert sentence in result.stderr
