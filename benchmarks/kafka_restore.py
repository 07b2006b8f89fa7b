"""How fast is a worker's state made anew from the changelog, and how long does opening what is there take?"""

import shutil
import time
from pathlib import Path
from typing import NamedTuple

from benchmarks.kafka_cluster import PARTITIONS
from benchmarks.kafka_throughput import Ours
from engine.store.ports import STATE
from engine.store.rocks import RocksStore

_ALL = f"0-{PARTITIONS - 1}"


class Restored(NamedTuple):
    """What was read, and how long it took beside a start with nothing to read."""

    records: int
    seconds: float
    cpu: float
    opened_seconds: float
    keys: int
    scanned_seconds: float


def restore(ours: Ours, data: Path) -> Restored:
    """Starts a worker on an intact folder, then on none. Both starts count from the process's start."""
    opened, opened_cpu, _ = _start(ours)
    keys, scanned = _scan(data)
    shutil.rmtree(data)
    whole, whole_cpu, records = _start(ours)
    return Restored(records, whole - opened, whole_cpu - opened_cpu, opened, keys, scanned)


def _start(ours: Ours) -> tuple[float, float, int]:
    worker = ours.worker(_ALL)
    try:
        seconds = worker.wait_until_works(PARTITIONS)
        return seconds, worker.cpu(), worker.restored()
    finally:
        worker.stop()


def _scan(data: Path) -> tuple[int, float]:
    """Every key of the state's family of every partition, read through the store's own scan."""
    keys, seconds = 0, 0.0
    for folder in sorted(data.iterdir()):
        store = RocksStore(folder)
        started = time.perf_counter()
        keys += sum(1 for _ in store.scan(STATE, b"", b"\xff" * 16))
        seconds += time.perf_counter() - started
        store.close()
    return keys, seconds
