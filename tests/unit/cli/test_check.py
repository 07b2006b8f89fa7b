"""``plimsoll check``: findings, and 1 where one of them is a problem."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from engine.cli.entry import commands


def run(*arguments: str) -> Result:
    return CliRunner().invoke(commands, ["check", *arguments])


def findings(result: Result) -> dict[str, tuple[str, str]]:
    found = json.loads(result.stdout)["findings"]
    return {finding["what"]: (finding["state"], finding["detail"]) for finding in found}


def test_good_installation(tmp_path: Path) -> None:
    result = run("--data", str(tmp_path / "data"))
    assert result.exit_code == 0
    assert result.stdout.endswith("no problems\n")
    assert "ok       zone data: tzdata 2026.6\n" in result.stdout


def test_dedupe_window_at_the_configured_rate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PLIMSOLL_ENGINE_EVENTS_PER_SECOND", "10")
    state, detail = findings(run("--data", str(tmp_path), "--json"))["disk"]
    assert state == "ok"
    assert detail.startswith("0.2 GB for the dedupe window (32 bytes x 10/s x 7 days)")


def test_rate_that_the_disk_cannot_hold(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PLIMSOLL_ENGINE_EVENTS_PER_SECOND", "10000000")
    result = run("--data", str(tmp_path), "--json")
    assert result.exit_code == 1
    assert findings(result)["disk"][0] == "problem"


def test_every_problem_of_the_configuration(tmp_path: Path) -> None:
    (tmp_path / "p.toml").write_text('[engine]\npartitions = 0\n[mail]\nhost = ""\n')
    result = run("--config", str(tmp_path / "p.toml"))
    assert result.exit_code == 1
    assert (
        f"problem  configuration: {tmp_path}/p.toml: engine.partitions: expected int >= 1, found 0\n" in result.stdout
    )
    assert f"problem  configuration: {tmp_path}/p.toml: mail: host: expected a host name" in result.stdout
    assert result.stdout.endswith("2 problems\n")


def test_data_folder_that_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("")
    state, detail = findings(run("--data", str(tmp_path / "data"), "--json"))["data folder"]
    assert (state, detail.endswith("expected a folder, found a file")) == ("problem", True)


def test_product_that_does_not_answer() -> None:
    result = run("--url", "http://127.0.0.1:1", "--json")
    assert findings(result)["product"] == (
        "problem",
        "nothing answers at http://127.0.0.1:1 (is `plimsoll run` running there?)",
    )
