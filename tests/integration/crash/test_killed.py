"""SIGKILL of real processes under load, in its short form; ``make crash`` is the long one."""

from pathlib import Path

import pytest

from tests.integration.crash.run import CrashRun, Layout

KILLS = 5


@pytest.mark.slow
@pytest.mark.parametrize("layout", ["together", "apart"])
async def test_a_kill_loses_nothing_and_doubles_nothing(layout: Layout, tmp_path: Path) -> None:
    report = await CrashRun(layout, seed=7, kills=KILLS, folder=tmp_path).run()
    assert sum(report.kills.values()) >= KILLS
    assert report.landed_durable >= 1, report
    assert report.landed_absent >= 1, report
    assert report.notifications > 0, report
    assert set(report.deliveries) <= {"sent", "superseded"}, report
