"""Which partitions a worker is given, and what is said where that cannot be."""

from pathlib import Path

import msgspec
import pytest
from click.testing import CliRunner

from engine.cli.entry import commands
from engine.cli.worker import NOT_OF_TASKS, parse_partitions, task_settings
from engine.config import WorkerOptions, load_config
from engine.failures import WrongUse
from engine.kafka.options import TaskOptions


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
        (("--instance", "a b", "--port", "1"), "--instance: expected str matching regex"),
        (("--host", "0.0.0.0"), "--advertise: expected the URL"),
        (("--advertise", "ftp://x"), "--advertise: expected http://HOST:PORT or https://HOST:PORT"),
        (("--session-seconds", "1"), "--session-seconds: expected float >= 6.0, found 1"),
        (("--standbys", "9"), "--standbys: expected int <= 3, found 9"),
        (("--app", "a b"), "--app: expected str matching regex"),
        (("--partitions", "3-1"), "--partitions: expected numbers and ranges"),
    ],
)
def test_what_cannot_be_a_member_is_said_before_anything_is_asked(arguments: tuple[str, ...], sentence: str) -> None:
    result = CliRunner().invoke(commands, ["worker", *BOOTSTRAP, *arguments])
    assert result.exit_code == 2
    assert sentence in result.stderr


def test_what_a_task_needs_is_what_a_worker_is_set_to() -> None:
    """Every setting reaches the tasks or the membership, and the defaults are the same in both places: whoever gives
    ``TaskOptions`` another gives it to ``WorkerOptions`` of ``engine.config`` and to deploy/kafka/README.md too."""
    needed = msgspec.structs.fields(TaskOptions)
    defaults = {field.name: field.default for field in needed if field.default is not msgspec.NODEFAULT}
    settings = task_settings(WorkerOptions())
    assert settings == defaults | {"data": Path("plimsoll-worker")}
    assert {*settings, *NOT_OF_TASKS} == {*WorkerOptions.__struct_fields__}


def test_settings_come_from_file_and_environment(tmp_path: Path) -> None:
    file = tmp_path / "p.toml"
    file.write_text(
        '[kafka]\nbootstrap = "k:1"\nprefix = "b-"\napp = "x"\n[worker]\nrestores_max = 2\nasides_max = 1\n'
    )
    config = load_config(str(file), {"PLIMSOLL_WORKER_ASIDES_MAX": "5", "PLIMSOLL_WORKER_SESSION_SECONDS": "6"})
    assert config.kafka is not None
    assert config.kafka.app_id() == "b-x"
    assert (config.worker.restores_max, config.worker.asides_max, config.worker.session_seconds) == (2, 5, 6.0)


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
