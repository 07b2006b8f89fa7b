"""The torture of workers on a real broker in its short form; ``make torture`` is the long one."""

from pathlib import Path

import pytest

from tests.integration.torture import faults
from tests.integration.torture.entry import STORE_FIRST
from tests.integration.torture.run import TortureRun

pytestmark = [pytest.mark.kafka, pytest.mark.slow]

KILLS = 6
SEED = 1


async def test_kills_frozen_workers_and_lost_disks_lose_nothing_and_double_nothing(broker: str, tmp_path: Path) -> None:
    run = TortureRun(broker, tmp_path, SEED)
    async with run.running():
        await run.kills(KILLS)
        await faults.zombies(run, 1)
        await faults.wiped(run, 1)
        await faults.legs_left_open(run, alone=False)
    run.check_landed()
    assert run.report.kills.total() >= KILLS + 3
    assert run.report.counts["comparisons"] == 4
    assert run.report.counts["accepted"] > 500, run.report.table()
    assert run.report.counts["legs"] > 50, run.report.table()
    assert run.report.counts["seen by a slow consumer"] > 0, run.report.table()


@pytest.mark.parametrize("looking", [True, False], ids=["by-its-stores", "by-its-outputs"])
async def test_a_store_written_before_the_commit_is_found(broker: str, tmp_path: Path, looking: bool) -> None:
    run = TortureRun(broker, tmp_path, SEED, planted=STORE_FIRST, looking=looking)
    with pytest.raises(AssertionError, match="ahead of what was committed" if looking else "restored|replay"):
        async with run.running():
            await run.kills(2, ["sent"])
