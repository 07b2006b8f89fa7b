"""The runbook: every command in it is one that the product, the Makefile or the units have."""

import re
import shlex
from pathlib import Path
from typing import Final

import pytest

from tests.deploy.command_lines import parse
from tests.docs.fences import broken_links

DEPLOY: Final = Path(__file__).resolve().parents[2] / "deploy"
RUNBOOK: Final = DEPLOY / "runbook.md"
TEXT: Final = RUNBOOK.read_text(encoding="utf-8")
LINES: Final = re.findall(r"^ *\$ (.+)$", TEXT, re.MULTILINE)
PATHS: Final = ("/readyz", "/v1/worker")
PROCEDURES: Final = (
    "Scaling",
    "Failover",
    "Upgrade",
    "Restore",
    "Backup",
    "Changing the number of partitions",
    "Alerts",
)


@pytest.mark.parametrize("line", LINES)
def test_a_command_is_one_that_there_is(line: str) -> None:
    program, *arguments = shlex.split(line)
    match program:
        case "plimsoll":
            assert parse(arguments).command.name
        case "systemctl":
            unit = re.sub(r"@\d+$", "@", arguments[-1])
            assert (DEPLOY / "systemd" / f"{unit}.service").exists()
        case "curl":
            assert arguments[-1].endswith(PATHS), line
        case _:
            assert program == "rm", line


@pytest.mark.parametrize("line", LINES)
def test_a_cluster_is_named_wherever_one_is_asked(line: str) -> None:
    arguments = shlex.split(line)
    if arguments[:2] == ["plimsoll", "control"] or "kafka" in arguments[1:3]:
        assert "--bootstrap" in arguments


@pytest.mark.parametrize("procedure", PROCEDURES)
def test_a_procedure_has_a_section_of_its_own(procedure: str) -> None:
    assert f"\n## {procedure}\n" in TEXT


def test_targets_of_make_that_are_named_exist() -> None:
    targets = re.findall(r"^([a-z]+):", (DEPLOY.parent / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    assert set(re.findall(r"`make ([a-z]+)", TEXT)) <= set(targets)


def test_every_command_named_in_passing_exists() -> None:
    for text in re.findall(r"`plimsoll ([a-z-]+)`", TEXT):
        assert parse([text, "c-42"] if text in ("balance", "why", "history") else [text]).command.name == text


def test_links_lead_somewhere() -> None:
    assert broken_links(RUNBOOK) == []
