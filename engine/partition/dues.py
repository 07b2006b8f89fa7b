"""The due-time index over a store: the earliest entries in memory, the rest on disk."""

from heapq import heapify, heappop, heappush
from typing import Final

from engine.partition.keys import DUE, after, due_key, parse_due, prefix
from engine.store.ports import STATE, Batch, Store
from schemas.times import NEVER

WINDOW_ENTRIES: Final = 10_000  # entries read from the store at a time
WINDOW_ENTRIES_MAX: Final = 4 * WINDOW_ENTRIES  # past it the window is read anew, so memory stays bounded


class StoredDueIndex:
    """Entries due before ``_horizon`` are in memory, all others in the store only; ``_pending`` is not written yet."""

    def __init__(self, store: Store, partition: int) -> None:
        self._store = store
        self._prefix = prefix(partition, DUE)
        self._pending: dict[tuple[int, str], bool] = {}
        self.earliest: int = NEVER
        self._read()

    def move(self, client: str, old: int, new: int) -> None:
        if old != NEVER:
            self._set(old, client, present=False)
        if new != NEVER:
            self._set(new, client, present=True)
        self._settle()

    def pop(self) -> tuple[int, list[str]]:
        at = self.earliest
        clients: list[str] = []
        while self._heap and self._heap[0][0] == at:
            client = heappop(self._heap)[1]
            if self._due.get(client) == at:
                self._set(at, client, present=False)
                clients.append(client)
        self._settle()
        assert clients
        return at, clients

    def write(self, batch: Batch) -> None:
        """Adds what changed to a batch that uses the state's family."""
        for (due, client), present in self._pending.items():
            key = due_key(self._prefix, due, client)
            if present:
                batch.put(key, b"")
            else:
                batch.delete(key)

    def written(self) -> None:
        """The batch is in the store."""
        self._pending.clear()
        if len(self._heap) > WINDOW_ENTRIES_MAX:
            self._read()

    def _set(self, due: int, client: str, *, present: bool) -> None:
        self._pending[due, client] = present
        if due >= self._horizon:
            return
        if present:
            self._due[client] = due
            heappush(self._heap, (due, client))
        else:
            assert self._due[client] == due
            del self._due[client]

    def _settle(self) -> None:
        heap, due = self._heap, self._due
        while heap and due.get(heap[0][1]) != heap[0][0]:
            heappop(heap)
        if not heap and self._horizon < NEVER:
            self._read()
            return
        self.earliest = heap[0][0] if heap else NEVER

    def _read(self) -> None:
        """Reads the earliest entries, with what is pending laid over them."""
        found: dict[str, int] = {}
        last = -NEVER
        self._horizon: int = NEVER
        for key, _ in self._store.scan(STATE, self._prefix, after(self._prefix)):
            due, client = parse_due(self._prefix, key)
            if len(found) >= WINDOW_ENTRIES and due > last:
                self._horizon = due
                break
            if self._pending.get((due, client), True):
                found[client] = due
            last = due
        for (due, client), present in self._pending.items():
            if present and due < self._horizon:
                found[client] = due
        self._due = found
        self._heap = [(due, client) for client, due in found.items()]
        heapify(self._heap)
        self.earliest = self._heap[0][0] if self._heap else NEVER
