"""A record at which the engine breaks is isolated; everything around it is folded."""

from pathlib import Path

import pytest

from engine.core.fold import Record
from engine.core.outcome import ACCEPTED, DUPLICATE
from engine.kafka import folding as folding_module
from engine.kafka.folding import Folding
from engine.partition.partition import Bounds, Partition
from engine.partition.seen import SeenFamilies
from engine.store.ports import StoreError
from engine.store.rocks import RocksStore
from schemas.codec import decode
from schemas.events import AnyEvent
from schemas.outputs import encode_output
from schemas.reasons import Refusal

CLIENT = b'{"type":"client","id":"1","source":"t","time":"2026-01-01T00:00:00Z","client":"c","currency":"USD"}'
PAYMENT = b'{"type":"payment","id":"2","source":"t","time":"2026-01-01T00:00:00Z","client":"c","amount":"7"}'
POISON = b'{"type":"poison"}'


class Poison:
    """An event that the engine cannot take in its hands."""

    def __init__(self, error: type[Exception]) -> None:
        self._error = error

    @property
    def client(self) -> str:
        raise self._error


def record(raw: bytes) -> Record:
    event: AnyEvent | Refusal = decode(raw)
    return Record(1_000_000, event, raw)


def poison(error: type[Exception]) -> Record:
    return Record(1_000_000, Poison(error), POISON)  # type: ignore[arg-type]  # what no event should be


def opened(store: RocksStore) -> Partition:
    return Partition(store, 0, SeenFamilies(store), Bounds())


def folded(store: RocksStore, *steps: list[Record]) -> Folding:
    folding = Folding(opened(store), lambda: opened(store))
    for step in steps:
        folding.add(step)
    return folding


@pytest.mark.parametrize("first", range(5))
def test_a_poisonous_record_goes_to_the_rejections_and_the_others_are_applied(tmp_path: Path, first: int) -> None:
    store = RocksStore(tmp_path / "store")
    records = [record(CLIENT), poison(KeyError), record(PAYMENT), poison(ValueError)]
    folding = folded(store, records[:first], records[first:])
    assert folding.partition.state.balances["c"].live == 7_000_000
    assert folding.partition.state.balances["c"].version == 2
    assert len(folding.outcome.answers) == 4
    assert folding.is_poisoned
    assert [encode_output(output) for output in folding.outcome.outputs] == [
        b'{"output":"rejection","reason":"malformed","message":"the engine could not apply this event (%s): report it, '
        b'then send it again","event":"{\\"type\\":\\"poison\\"}"}' % name
        for name in (b"KeyError", b"ValueError")
    ]
    store.close()


def test_what_is_folded_after_a_poisonous_record_is_folded_once(tmp_path: Path) -> None:
    store = RocksStore(tmp_path / "store")
    again = record(PAYMENT.replace(b'"2"', b'"3"'))
    assert not folded(store, [record(CLIENT)], [record(PAYMENT)]).is_poisoned
    folding = folded(store, [record(CLIENT), record(PAYMENT)], [poison(KeyError)], [again, record(PAYMENT)])
    assert folding.partition.state.balances["c"].live == 14_000_000
    assert folding.outcome.answers[3:] == [ACCEPTED, DUPLICATE]
    store.close()


@pytest.mark.parametrize("error", [AssertionError, StoreError, MemoryError])
def test_a_broken_invariant_and_a_store_that_cannot_be_read_are_no_poison(
    tmp_path: Path, error: type[Exception]
) -> None:
    store = RocksStore(tmp_path / "store")
    with pytest.raises(error):
        folded(store, [record(CLIENT), poison(error)])
    store.close()


def test_a_refusal_at_which_the_fold_raises_is_not_to_blame(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise KeyError("defect")

    monkeypatch.setattr(folding_module, "fold_records", broken)
    store = RocksStore(tmp_path / "store")
    with pytest.raises(KeyError, match="defect"):
        folded(store, [record(b"{")])
    store.close()
