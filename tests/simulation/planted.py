"""Bugs that are planted to show that the checks would find one: each is a mistake that somebody could make."""

from collections.abc import Callable

from engine.embedded.engine import EmbeddedEngine
from engine.partition.keys import META
from engine.store.ports import STATE, Batch
from schemas.topics import Topic
from tests.simulation.store import SimulatedBatch, SimulatedStore
from tests.simulation.world import World


class PlantedStore(SimulatedStore):
    """A store with the world's bug in it."""

    def __init__(self, world: World) -> None:
        super().__init__(world.disk, world.on_store_step)
        self._world = world
        if world.canary == "forgets_identities":
            for name, number in world.disk.families.items():
                if name.startswith("seen-"):
                    self._by_number[number].keys.clear()
                    self._by_number[number].values.clear()

    def write(self, batch: Batch) -> None:
        assert isinstance(batch, SimulatedBatch)
        if self._world.canary != "meta_apart":
            super().write(batch)
            return
        state = self._disk.families[STATE]
        meta = [item for item in batch.operations if item[1] == state and item[2][2:3] == META and len(item[2]) == 3]
        self._step("write")
        self._put_down([item for item in batch.operations if item not in meta])
        self._step("write done")
        self._step("write")
        self._put_down(meta)
        self._step("write done")


class PlantedEngine(EmbeddedEngine):
    """Shows consumers what was written and not yet synced, and tells them at once."""

    def durable_end(self, partition: int, topic: Topic) -> int:
        return self.partitions[partition].next_offset(topic)

    def _after_write(self, touched: list[int], settle: Callable[[], None]) -> None:
        super()._after_write(touched, settle)
        self.notifications.announce()
