"""The shape of the repository: its root, its import roots, its layers, and the purity of the core."""

import importlib.util
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.architecture.purity import impurities

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("engine", "projections", "notifiers", "schemas")
ROOT_ALLOWED = {
    *PACKAGES,
    "deploy",
    "tests",
    "benchmarks",
    "pyproject.toml",
    "requirements.lock",
    "Makefile",
    "README.md",
    "CHANGELOG.md",
    "LICENSE",
    ".ci",
    ".dockerignore",
    ".editorconfig",
    ".gitattributes",
    ".gitignore",
}


def _tracked() -> list[str]:
    git = shutil.which("git")
    if git is None or not (ROOT / ".git").exists():
        pytest.skip("not a git work tree")
    listed = subprocess.run([git, "ls-files", "-z"], cwd=ROOT, check=True, capture_output=True, text=True)
    return [path for path in listed.stdout.split("\0") if path]


def _project() -> dict[str, Any]:  # Any: TOML has no schema here
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def _locked() -> dict[str, str]:
    text = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    return dict(re.findall(r"^([a-z0-9.-]+)==(\S+)", text, re.MULTILINE))


def test_root_holds_only_what_is_allowed() -> None:
    assert {path.partition("/")[0] for path in _tracked()} - ROOT_ALLOWED == set()


def test_import_roots_are_the_packages_the_tests_and_the_benchmarks() -> None:
    roots = {
        path.removesuffix("/__init__.py") for path in _tracked() if re.fullmatch(r"[^/]+/__init__\.py", path)
    }
    assert roots - {"benchmarks"} == {*PACKAGES, "tests"}


def test_no_module_lies_in_the_root() -> None:
    assert [path for path in _tracked() if "/" not in path and path.endswith(".py")] == []


def test_wheel_holds_the_four_packages() -> None:
    assert _project()["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"] == list(PACKAGES)


@pytest.mark.parametrize("package", PACKAGES)
def test_package_is_ours_and_not_one_of_the_same_name(package: str) -> None:
    spec = importlib.util.find_spec(package)
    assert spec is not None
    assert spec.origin == str(ROOT / package / "__init__.py")


def test_lock_names_no_host_and_hashes_everything() -> None:
    text = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    assert "://" not in text
    assert len(re.findall(r"^\S+==.*\\\n    --hash=sha256:", text, re.MULTILINE)) == len(_locked())


def test_lock_leaves_out_the_other_notifiers() -> None:
    assert "notifiers" not in _locked()


def test_lock_satisfies_the_project() -> None:
    project = _project()
    wanted = [
        *project["project"]["dependencies"],
        *(line for extra in project["project"]["optional-dependencies"].values() for line in extra),
        *project["dependency-groups"]["dev"],
        *project["build-system"]["requires"],
    ]
    locked = _locked()
    unmet = [
        line
        for line in wanted
        for requirement in [Requirement(line)]
        if not requirement.specifier.contains(locked.get(canonicalize_name(requirement.name), "0.dev0"))
    ]
    assert unmet == [], "run `make lock`"


CORE_FILES = sorted((ROOT / "engine" / "core").rglob("*.py"))


@pytest.mark.parametrize("path", CORE_FILES, ids=[path.relative_to(ROOT).as_posix() for path in CORE_FILES])
def test_core_is_pure(path: Path) -> None:
    assert impurities(path.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("import time", "1: import time"),
        ("from random import choice", "1: from random import"),
        ("import asyncio.events", "1: import asyncio.events"),
        ("x = datetime.now(UTC)", "1: datetime.now()"),
        ("x = datetime.datetime.utcnow()", "1: datetime.datetime.utcnow()"),
        ("x = date.today()", "1: date.today()"),
        ("x = float(y)", "1: float()"),
        ("x = hash(y)", "1: hash()"),
        ("for x in {1, 2}: pass", "1: iteration over a set"),
        ("y = [x for x in set(z)]", "1: iteration over a set"),
        ("y = list({x for x in z})", "1: list() of a set"),
        ("async def f(): pass", "1: async def f"),
    ],
)
def test_purity_check_finds(source: str, found: str) -> None:
    assert impurities(source) == [found]


@pytest.mark.parametrize(
    "source",
    ["for x in sorted({1, 2}): pass", "y = x in {1, 2}", "from datetime import datetime", "y = x.time"],
)
def test_purity_check_allows(source: str) -> None:
    assert impurities(source) == []


def test_decisions_are_numbered_and_no_number_is_used_twice() -> None:
    decisions = (ROOT / "engine" / "decisions").glob("*.md")
    names = sorted(path.name for path in decisions if path.name != "README.md")
    numbers = [match[1] for name in names if (match := re.fullmatch(r"(\d{4})-[a-z0-9-]+\.md", name))]
    assert len(numbers) == len(names), names
    assert len(set(numbers)) == len(numbers), names


def test_import_contracts_hold() -> None:
    linted = subprocess.run(
        [Path(sys.executable).with_name("lint-imports"), "--no-cache"],
        cwd=ROOT,
        check=False,
        capture_output=True,
        text=True,
    )
    assert linted.returncode == 0, linted.stdout + linted.stderr
