"""The reading of command lines that the other tests rely on: what it takes, and what it does not."""

import click
import pytest

from engine.failures import WrongUse
from tests.deploy.command_lines import parse


@pytest.mark.parametrize(
    "line", ["run --data d --port 8080", "topics create --bootstrap k:9092", "worker --instance w-1", "why c-1 low"]
)
def test_accepted(line: str) -> None:
    assert parse(line.split()).params


@pytest.mark.parametrize(
    "line",
    ["walk", "run --colour red", "topics make", "worker --standbys some", "balance", "mailer --bootstrap kafka"],
)
def test_not_accepted(line: str) -> None:
    with pytest.raises((click.UsageError, WrongUse)):
        parse(line.split())
