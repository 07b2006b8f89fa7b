"""One real broker for the session: ``PLIMSOLL_TEST_KAFKA`` names it, else ``deploy/kafka/run.sh`` starts one."""

import os
import secrets
import shutil
import signal
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import pytest

from tests.conftest import NO_BROKER

_RUN: Final = Path(__file__).parents[3] / "deploy" / "kafka" / "run.sh"
_STOP_SECONDS_MAX: Final = 90.0


@pytest.fixture(scope="session")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """``HOST:PORT`` of a broker that takes requests. None to be had: skipped, and under CI=true failed."""
    named = os.environ.get("PLIMSOLL_TEST_KAFKA")
    if named:
        yield named
        return
    with broker_of(tmp_path_factory.mktemp("kafka") / "errors", os.environ) as started:
        yield started


@contextmanager
def broker_of(errors: Path, environment: Mapping[str, str]) -> Iterator[str]:
    """``HOST:PORT`` of a broker that ``run.sh`` starts with that environment; what it tells goes to ``errors``.

    It is killed at the end: in order it would close thousands of partitions, which nobody opens again.
    """
    data = errors.with_name("data")
    with (
        errors.open("wb") as told,
        subprocess.Popen(
            [_RUN], stdout=subprocess.PIPE, stderr=told, text=True, env={**environment, "KAFKA_DATA": str(data)}
        ) as run,
    ):
        assert run.stdout is not None
        found = run.stdout.readline().split()
        if len(found) != 2 or found[0] != "bootstrap":
            run.wait(_STOP_SECONDS_MAX)
            _do_without(errors.read_text(encoding="utf-8", errors="replace").strip())
        try:
            yield found[1]
        finally:
            os.kill(int((data / "node-1" / "pid").read_text(encoding="ascii")), signal.SIGKILL)
            run.wait(_STOP_SECONDS_MAX)  # it ends with its node
            shutil.rmtree(data)


@pytest.fixture
def prefix() -> str:
    """What the names of a test's topics start with: tests share the broker and nothing on it."""
    return f"t{secrets.token_hex(4)}-"


def _do_without(told: str) -> None:
    reason = f"{NO_BROKER}: {told.splitlines()[-1] if told else 'run.sh said nothing'}"
    if os.environ.get("CI", "").lower() == "true":
        pytest.fail(reason, pytrace=False)
    pytest.skip(reason)
