"""Seeds of the simulation, and that the simulation itself can be trusted: it repeats, and it finds planted bugs."""

import logging
from collections.abc import Iterator
from typing import Final, get_args

import pytest

from tests.simulation.run import simulate
from tests.simulation.world import Canary

SEEDS: Final = range(1, 51)
CANARY_SEEDS_MAX: Final = 200  # they end at the first that finds it


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    """Failing peers are what is simulated: their warnings would be most of what a failure prints."""
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


@pytest.mark.parametrize("seed", SEEDS)
def test_nothing_is_lost_doubled_or_stuck(seed: int) -> None:
    result = simulate(seed)
    assert result.violation is None, "\n".join([*result.lines, f"repeat with: make sim SEED={seed}"])


def test_a_seed_gives_the_same_run_again() -> None:
    first, second = simulate(11), simulate(11)
    assert first.digest == second.digest
    assert first.lines == second.lines


def test_seeds_differ() -> None:
    assert simulate(1).digest != simulate(2).digest


@pytest.mark.parametrize("canary", get_args(Canary))
def test_a_planted_bug_is_found(canary: Canary) -> None:
    found = next((seed for seed in range(1, CANARY_SEEDS_MAX + 1) if simulate(seed, canary).violation), None)
    assert found is not None, f"{canary}: {CANARY_SEEDS_MAX} seeds found nothing"
