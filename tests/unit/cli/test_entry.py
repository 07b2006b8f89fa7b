"""The group: help everywhere, exit codes, sentences in the place of tracebacks."""

from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result

from engine.cli.entry import COMMANDS, commands
from engine.failures import OperationalError, WrongUse
from engine.log.ports import Overloaded


def run(*arguments: str) -> Result:
    return CliRunner().invoke(commands, list(arguments))


def test_help_lists_every_command() -> None:
    result = run("--help")
    assert result.exit_code == 0
    assert all(f"  {name} " in result.stdout for name in COMMANDS)


def leaves() -> list[str]:
    """Every command by its words: one that has commands of its own stands for those."""
    found = []
    for name in sorted(COMMANDS):
        command = commands.get_command(click.Context(commands), name)
        inner = sorted(command.commands) if isinstance(command, click.Group) else []
        found += [f"{name} {each}" for each in inner] or [name]
    return found


@pytest.mark.parametrize("name", leaves())
def test_every_command_has_help_with_an_example(name: str) -> None:
    result = run(*name.split(), "--help")
    assert result.exit_code == 0
    assert f"  plimsoll {name}" in result.stdout
    assert "  --json " in result.stdout


@pytest.mark.parametrize("arguments", [("nosuch",), ("replay",), ("replay", "f", "--no-such"), ("import", "pcap", "f")])
def test_wrong_use_is_2_with_a_sentence(arguments: tuple[str, ...]) -> None:
    result = run(*arguments)
    assert result.exit_code == 2
    assert "Error:" in result.stderr
    assert "Traceback" not in result.output


@pytest.mark.parametrize(
    ("error", "code", "sentence"),
    [
        (OperationalError("the disk broke; replace it"), 1, "plimsoll: the disk broke; replace it\n"),
        (WrongUse("no such option"), 2, "plimsoll: no such option\n"),
        (Overloaded(3), 1, "plimsoll: the ingest queue is full; send again in 3 s\n"),
        (OSError(28, "No space left on device", "/x"), 1, "plimsoll: /x: the disk is full: free some space"),
        (OSError(98, "Address already in use"), 1, "plimsoll: the port is in use: stop the other process"),
        (PermissionError(13, "Permission denied", "/x"), 1, "plimsoll: /x: Permission denied\n"),
        (KeyboardInterrupt(), 1, "plimsoll: interrupted\n"),
        (
            ZeroDivisionError("by 0"),
            1,
            "plimsoll: an unexpected failure: ZeroDivisionError: by 0\nplimsoll: run it again",
        ),
    ],
)
def test_failure_is_a_sentence_and_a_code(
    monkeypatch: pytest.MonkeyPatch, error: BaseException, code: int, sentence: str
) -> None:
    @click.command()
    def failing() -> None:
        raise error

    monkeypatch.setattr(type(commands), "get_command", lambda *_: failing)
    result = run("failing")
    assert result.exit_code == code
    assert sentence in result.stderr
    assert "Traceback" not in result.output


def test_debug_shows_the_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    @click.command()
    def failing() -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(type(commands), "get_command", lambda *_: failing)
    assert "Traceback" in run("--debug", "failing").stderr


def test_missing_files_are_2(tmp_path: Path) -> None:
    missing = str(tmp_path / "none")
    for arguments in (
        ("replay", missing),
        ("publish", missing),
        ("import", "freeswitch", missing),
        ("run", "--config", missing),
    ):
        result = run(*arguments)
        assert (result.exit_code, result.stderr) == (2, f"plimsoll: {missing}: there is no such file\n"), arguments
