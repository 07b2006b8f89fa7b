"""Engine and independent model say the same of every history, output by output."""

from pathlib import Path

import pytest

from tests.properties.differential import failing, regressions, shrink
from tests.properties.histories import history
from tests.properties.runs import HISTORIES

GROUPS = 20


@pytest.mark.parametrize("path", list(regressions()), ids=lambda path: path.stem)
def test_what_differed_once_differs_no_more(path: Path) -> None:
    assert failing(path.read_bytes().splitlines()) is None


@pytest.mark.parametrize("group", range(GROUPS))
def test_engine_and_model_agree(group: int) -> None:
    for seed in range(group, 4 * HISTORIES, GROUPS):
        lines = history(seed)
        if failing(lines) is not None:
            shortest = shrink(lines)
            shown = "\n".join(line.decode(errors="replace") for line in shortest)
            pytest.fail(f"seed {seed}: {failing(shortest)}\n{shown}", pytrace=False)
