"""Transfers under SIGKILL, in their short form; ``make transfers`` is the long one."""

from pathlib import Path

import pytest

from tests.integration.crash.transfers import TransferRun

KILLS = 4
TRANSFERS = 600


@pytest.mark.slow
async def test_transfers_keep_the_sum_of_money_whatever_is_killed(tmp_path: Path) -> None:
    report = await TransferRun(seed=11, transfers=TRANSFERS, kills=KILLS, folder=tmp_path).run()
    assert report.money == {"EUR": "8000.00056", "USD": "2000.00014"}
    assert report.audits == KILLS + 1
    assert report.between_partitions > 0, report
    assert report.converted > 0, report
    refusals = {"insufficient", "unknown_client", "transfers_off", "same_client", "currency_mismatch", "no_rate"}
    assert refusals <= report.refused.keys(), report
