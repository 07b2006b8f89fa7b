"""A batch over partitions whose timers are due: no loop runs here, so nothing can tick before the events come."""

from engine.embedded.batch import BatchFold
from engine.embedded.routes import Routes
from engine.log.ports import Answer
from engine.partition.partition import Bounds, Partition
from engine.partition.seen import SeenFamilies
from engine.store.ports import Store
from schemas.codec import decode_all
from schemas.times import HOUR
from schemas.topics import Topic
from tests.simulation.store import Disk, SimulatedStore
from tests.unit.embedded.engines import PARTITIONS, START, client, event


class _Partitions:
    """Partitions over one store, and what the engine does with a batch, without waiting."""

    def __init__(self) -> None:
        self._store: Store = SimulatedStore(Disk())
        families = SeenFamilies(self._store)
        self.all = [Partition(self._store, number, families, Bounds()) for number in range(PARTITIONS)]

    def commit(self, now: int, *raws: bytes) -> list[Answer | None]:
        """Folds and writes one batch at that log time."""
        for partition in self.all:
            partition.begin(now)
        folded = BatchFold(self.all, Routes(PARTITIONS), now)
        folded.add(raws, decode_all(raws))
        folded.finish()
        batch = self._store.batch()
        touched = folded.touched()
        for number in touched:
            self.all[number].append(batch, Topic.EVENTS, folded.entries(number))
            self.all[number].commit(batch, folded.outcomes[number])
            folded.written(number)
        self._store.write(batch)
        for number in touched:
            self.all[number].committed()
        return folded.answers


def _plan(id_: str, unit: str) -> bytes:
    return event(
        "time_balance_plan", id_, plan="p", unit=unit, units=10, usage_types=["call"], validity_seconds=600,
        late_grace_seconds=0,
    )  # fmt: skip


def test_every_partition_takes_configuration_that_a_grant_due_before_it_held_up() -> None:
    partitions = _Partitions()
    grant = event("time_balance", "g", client="c-1", action="grant", plan="p", grant="g-1")
    partitions.commit(START, _plan("p-1", "second"), client("c-1"), grant)
    (answer,) = partitions.commit(START + HOUR, _plan("p-2", "minute"))
    assert answer is not None
    assert answer.status == "accepted"
    assert [partition.state.config.plans["p"].unit for partition in partitions.all] == ["minute"] * PARTITIONS


def test_no_partition_takes_configuration_that_a_living_grant_forbids() -> None:
    partitions = _Partitions()
    grant = event("time_balance", "g", client="c-1", action="grant", plan="p", grant="g-1")
    partitions.commit(START, _plan("p-1", "second"), client("c-1"), grant)
    (answer,) = partitions.commit(START + 1, _plan("p-2", "minute"))
    assert answer is not None
    assert answer.reason == "fixed"
    assert [partition.state.config.plans["p"].unit for partition in partitions.all] == ["second"] * PARTITIONS
