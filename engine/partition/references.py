"""Which clients name which configuration, over a store."""

from engine.partition.keys import REFERENCE, after, prefix, reference_prefix
from engine.store.ports import STATE, Batch, Store


class StoredReferences:
    """One empty value for each client and key; what is not written yet is laid over the store."""

    def __init__(self, store: Store, partition: int) -> None:
        self._store = store
        self._prefix = prefix(partition, REFERENCE)
        self._pending: dict[tuple[str, str], dict[str, bool]] = {}

    def move(self, kind: str, client: str, old: str | None, new: str | None) -> None:
        if old == new:
            return
        if old is not None:
            self._pending.setdefault((kind, old), {})[client] = False
        if new is not None:
            self._pending.setdefault((kind, new), {})[client] = True

    def clients(self, kind: str, key: str) -> list[str]:
        begin = reference_prefix(self._prefix, kind, key)
        pending = self._pending.get((kind, key), {})
        stored = [name[len(begin) :].decode() for name, _ in self._store.scan(STATE, begin, after(begin))]
        found = dict.fromkeys(client for client in stored if pending.get(client, True))
        found.update(dict.fromkeys(client for client, present in pending.items() if present))
        return sorted(found)

    def write(self, batch: Batch) -> None:
        """Adds what changed to a batch that uses the state's family."""
        for (kind, key), clients in self._pending.items():
            begin = reference_prefix(self._prefix, kind, key)
            for client, present in clients.items():
                if present:
                    batch.put(begin + client.encode(), b"")
                else:
                    batch.delete(begin + client.encode())

    def written(self) -> None:
        """The batch is in the store."""
        self._pending.clear()
