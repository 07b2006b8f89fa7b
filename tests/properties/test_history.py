"""Histories sum up: what a client's entries add is its view, and folding it alone is folding it with all others."""

import asyncio
import json
from pathlib import Path

import msgspec
import pytest

from engine.core.outcome import ChangeNote
from engine.core.view import view
from schemas.codec import decode_line
from schemas.money import parse_money
from tests.properties.histories import history as written
from tests.unit.embedded.running import Running, running

SEEDS = 12


def _timed(lines: list[bytes]) -> list[tuple[int | None, bytes]]:
    """Each line with its log time, as a door would get it: without ``at``, which is the log's own to give."""
    timed = []
    for line in lines:
        try:
            event = json.loads(line)
            bare = json.dumps({name: value for name, value in event.items() if name != "at"}).encode()
        except (ValueError, AttributeError):
            bare = line
        timed.append((decode_line(line).at, bare))
    return timed


async def _feed(product: Running, lines: list[bytes], batch: int) -> None:
    pending: list[bytes] = []
    for at, line in _timed(lines):
        if at is not None and at > product.clock.now:
            await product.engine.submit(pending)
            pending, product.clock.now = [], at
        pending.append(line)
        if len(pending) >= batch:
            await product.engine.submit(pending)
            pending = []
    await product.engine.submit(pending)
    while any(partition.state.dues.earliest <= product.clock.now for partition in product.engine.partitions):  # noqa: ASYNC110  # ticks tell nobody
        await asyncio.sleep(0)


@pytest.mark.parametrize("seed", range(SEEDS))
async def test_a_history_sums_up_to_the_view(tmp_path: Path, seed: int) -> None:
    async with running(tmp_path, partitions=2) as product:
        product.clock.now = 0
        await _feed(product, written(seed), batch=1 + seed % 7)
        clients = 0
        for partition in product.engine.partitions:
            for client, balance in list(partition.state.balances.items()):
                history = await product.views.history(client, 1000, None)
                assert history is not None
                entries = history.entries[::-1]
                shown = view(partition.state, balance, ChangeNote(partition.state.clock, None))
                assert sum(parse_money(entry.amount) for entry in entries) == balance.live, (seed, client)
                units: dict[str, int] = {}
                for entry in entries:
                    for moved in entry.units:
                        units[moved.grant] = units.get(moved.grant, 0) + moved.moved
                left = {grant.grant: grant.left for grant in shown.time_balances}
                moved_in_all = {grant: sum_ for grant, sum_ in units.items() if sum_}
                assert moved_in_all == {grant: there for grant, there in left.items() if there}, (seed, client)
                last = msgspec.structs.asdict(entries[-1])
                assert [last[name] for name in ("version", "live", "available", "capacity")] == [
                    shown.version, shown.live, shown.available, shown.capacity,
                ], (seed, client)  # fmt: skip
                clients += 1
        assert clients
