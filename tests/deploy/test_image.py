"""The Dockerfile, read line by line: no engine for containers is needed to see that it can be what it says."""

import re
import shlex
from pathlib import Path
from typing import Final, NamedTuple

from tests.deploy.command_lines import parse

ROOT: Final = Path(__file__).resolve().parents[2]
DEPLOY: Final = ROOT / "deploy"
INSTRUCTIONS: Final = {
    *("FROM", "RUN", "CMD", "LABEL", "EXPOSE", "ENV", "COPY", "ENTRYPOINT", "VOLUME", "USER", "WORKDIR", "STOPSIGNAL"),
}
LOCKED = re.compile(r"^([a-z0-9.-]+)==(\S+)", re.MULTILINE)


class Step(NamedTuple):
    word: str
    rest: str


def steps() -> list[Step]:
    """The instructions of the Dockerfile; continued lines are one."""
    text = (DEPLOY / "Dockerfile").read_text(encoding="utf-8").replace("\\\n", " ")
    lines = [line.strip() for line in text.splitlines() if line.strip() and not line.startswith("#")]
    return [Step(*line.split(maxsplit=1)) for line in lines]


def entries(lock: Path) -> dict[str, set[str]]:
    """Of a lock file: each distribution, with its version, and its hashes."""
    found: dict[str, set[str]] = {}
    name = ""
    for line in lock.read_text(encoding="utf-8").splitlines():
        if line and line[0] not in "# ":
            name = line.split(" ")[0]
            found[name] = set()
        elif line.strip().startswith("--hash="):
            found[name].add(line.strip().rstrip(" \\"))
    return found


def test_instructions_are_those_of_docker() -> None:
    assert {step.word for step in steps()} <= INSTRUCTIONS
    assert steps()[0].word == "FROM"


def test_it_is_built_in_two_stages_from_the_python_that_is_needed() -> None:
    assert [step.rest for step in steps() if step.word == "FROM"] == [
        "python:3.11-slim-bookworm AS build",
        "python:3.11-slim-bookworm",
    ]


def test_it_does_not_run_as_root() -> None:
    last = max(place for place, step in enumerate(steps()) if step.word == "FROM")
    assert [step.rest for step in steps()[last:] if step.word == "USER"] == ["10001:10001"]


def test_what_is_copied_is_there_and_reaches_the_builder() -> None:
    let_in = {
        line.removeprefix("!")
        for line in (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
        if line[:1] == "!"
    }
    for step in steps():
        if step.word == "COPY" and not step.rest.startswith("--from="):
            for source in shlex.split(step.rest)[:-1]:
                assert (ROOT / source).exists(), source
                assert any(Path(source).match(pattern) or source == pattern for pattern in let_in), source


def test_it_names_no_host() -> None:
    assert "://" not in (DEPLOY / "Dockerfile").read_text(encoding="utf-8")


def test_everything_installed_is_locked_by_hash() -> None:
    runs = [part.split() for step in steps() if step.word == "RUN" for part in step.rest.split("&&")]
    installs = [" ".join(words) for words in runs if words[0].endswith("/pip") and "install" in words]
    assert len(installs) == 3
    assert all("--require-hashes" in part or "--no-deps --no-index" in part for part in installs)
    whole = entries(ROOT / "requirements.lock")
    for lock in ("build.lock", "runtime.lock"):
        part = entries(DEPLOY / "docker" / lock)
        assert part
        assert {name: whole.get(name) for name in part} == part, f"{lock}: run `make lock`"


def test_the_runtime_lock_has_what_the_product_needs_and_nothing_for_its_development() -> None:
    names = {name.split("==")[0] for name in entries(DEPLOY / "docker" / "runtime.lock")}
    assert {"msgspec", "rocksdict", "tzdata", "aiokafka", "faust-streaming", "cramjam", "uvicorn"} <= names
    assert names.isdisjoint({"pytest", "mypy", "ruff", "hypothesis", "hatchling"})


def test_it_starts_the_command() -> None:
    (entrypoint,) = [step.rest for step in steps() if step.word == "ENTRYPOINT"]
    assert entrypoint == '["plimsoll"]'
    assert parse(["check"]).command.name == "check"
