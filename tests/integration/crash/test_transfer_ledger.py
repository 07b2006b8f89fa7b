"""The ledger of a transfer run notices what it is there for: it is given stores in which money is not what it was."""

from pathlib import Path

import msgspec
import pytest

from engine.core.records import Balance
from engine.partition import keys
from engine.store.ports import STATE
from engine.store.rocks import RocksStore
from tests.integration.crash.transfer_events import TransferEvents
from tests.integration.crash.transfer_ledger import TransferLedger
from tests.unit.embedded.running import running

PARTITIONS = 3
TRANSFERS = 150


async def _transferred(folder: Path) -> RocksStore:
    """A store in which transfers were made, open again."""
    source = TransferEvents(5, TRANSFERS)
    async with running(folder, partitions=PARTITIONS) as product:
        await product.engine.submit(list(source.setup()))
        await product.engine.submit(list(source.events()))
    return RocksStore(folder)


def _give(store: RocksStore, partition: int, micros: int) -> None:
    """Adds to the live balance of some client of a partition, behind the engine's back."""
    begin = keys.prefix(partition, keys.BALANCE)
    key, value = next(iter(store.scan(STATE, begin, keys.after(begin))))
    balance = msgspec.msgpack.decode(value, type=Balance)
    balance.live += micros
    batch = store.batch()
    batch.use(STATE)
    batch.put(key, msgspec.msgpack.encode(balance))
    store.write(batch)


async def test_it_finds_nothing_where_nothing_is_wrong(tmp_path: Path) -> None:
    store = await _transferred(tmp_path)
    ledger = TransferLedger(store, PARTITIONS)
    store.close()
    ledger.check()
    assert ledger.settled
    assert ledger.crossed


@pytest.mark.parametrize(
    ("given", "told"),
    [({0: 1}, "transfers in and out make it"), ({0: 1, 1: -1}, "transfers in and out make it")],
    ids=["made-from-nothing", "moved-between-clients"],
)
async def test_it_finds_money_that_no_transfer_moved(tmp_path: Path, given: dict[int, int], told: str) -> None:
    store = await _transferred(tmp_path)
    for partition, micros in given.items():
        _give(store, partition, micros)
    ledger = TransferLedger(store, PARTITIONS)
    store.close()
    with pytest.raises(AssertionError, match=told):
        ledger.check()


async def test_it_finds_a_sum_that_is_not_what_was_paid_in(tmp_path: Path) -> None:
    store = await _transferred(tmp_path)
    _give(store, 2, 1)
    ledger = TransferLedger(store, PARTITIONS)
    store.close()
    ledger.found.problems.clear()  # what the audit says of it is another test's
    with pytest.raises(AssertionError, match="money is not constant"):
        ledger.check()
