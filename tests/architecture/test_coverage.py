"""What travels and the decision are covered whole, every branch, by unit tests and scenarios alone."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
COVERED = ("schemas", "engine.core")
BY = ("tests/unit/schemas", "tests/unit/core", "tests/scenarios")


def test_every_branch_of_the_schemas_and_the_core_is_covered(tmp_path: Path) -> None:
    """In a process of its own: the rest of the suite is not slowed by a tracer, nor its last line changed.

    Without random examples, which cover one branch today and another tomorrow.
    """
    measured = subprocess.run(
        [
            *(sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *BY),
            *(
                "-k",
                "not model-",
                "-m",
                "not hypothesis",
                "--cov-branch",
                "--cov-report=term-missing",
                "--cov-fail-under=100",
            ),
            *(f"--cov={package}" for package in COVERED),
        ],
        cwd=ROOT,
        env={**os.environ, "COVERAGE_FILE": str(tmp_path / "coverage"), "COVERAGE_CORE": "ctrace"},
        check=False,
        capture_output=True,
        text=True,
    )
    assert measured.returncode == 0, measured.stdout[-8000:] + measured.stderr[-2000:]
