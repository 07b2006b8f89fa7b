"""The units: read as systemd reads them, with their command lines as the product takes them."""

import shlex
from pathlib import Path
from typing import Final

import pytest

from engine.kafka.ledger import TakenOver
from tests.deploy.command_lines import parse

UNITS: Final = sorted((Path(__file__).resolve().parents[2] / "deploy" / "systemd").glob("*.service"))
COMMANDS: Final = {
    "plimsoll.service": "run",
    "plimsoll-worker@.service": "worker",
    "plimsoll-mailer.service": "mailer",
    "plimsoll-sms.service": "sms",
}


def _settings(unit: Path) -> dict[str, dict[str, str]]:
    """Settings by section; a key that is there twice would be read as a list, which none of these is meant to be."""
    sections: dict[str, dict[str, str]] = {}
    section: dict[str, str] = {}
    for line in unit.read_text(encoding="utf-8").splitlines():
        if line.startswith("["):
            section = sections.setdefault(line.strip("[]"), {})
        elif line and not line.startswith("#"):
            name, equals, value = line.partition("=")
            assert equals, line
            assert name not in section, line
            section[name] = value
    return sections


def test_there_is_a_unit_for_each_process() -> None:
    assert {unit.name for unit in UNITS} == COMMANDS.keys()


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)
def test_its_command_line_is_accepted(unit: Path) -> None:
    command = _settings(unit)["Service"]["ExecStart"].replace("%i", "8081").replace("%H", "host-1")
    program, *arguments = shlex.split(command)
    assert program == "/opt/plimsoll/bin/plimsoll"
    assert parse(arguments).command.name == COMMANDS[unit.name]


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)
def test_it_is_stopped_gently_restarted_and_not_root(unit: Path) -> None:
    settings = _settings(unit)
    assert settings.keys() == {"Unit", "Service", "Install"}
    service = settings["Service"]
    assert (service["User"], service["KillSignal"], service["Restart"]) == ("plimsoll", "SIGTERM", "always")
    assert int(service["TimeoutStopSec"]) > 5  # a handover takes up to five seconds
    assert service["ProtectSystem"] == "strict"


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)
def test_a_notifier_that_was_taken_over_from_stays_down(unit: Path) -> None:
    taken = _settings(unit)["Service"].get("RestartPreventExitStatus")
    assert taken == (str(TakenOver.exit_code) if COMMANDS[unit.name] in ("mailer", "sms") else None)


@pytest.mark.parametrize("unit", [unit for unit in UNITS if "--data" in unit.read_text()], ids=lambda unit: unit.name)
def test_its_data_is_where_it_may_write(unit: Path) -> None:
    service = _settings(unit)["Service"]
    words = shlex.split(service["ExecStart"])
    assert words[words.index("--data") + 1].startswith(f"/var/lib/{service['StateDirectory']}/")
