"""What Grafana reads of the Kafka runtime: one set for all tasks of a worker, labelled by partition.

Events, refusals, notifications, fold and store times are the embedded engine's metrics under the same names
(``engine.metrics``). Configuration, which every partition holds, is counted by partition 0 alone, and the engine's own
records are not counted: so a sum over partitions says what the embedded engine says.
"""

from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from engine.metrics import LATENCY_BUCKETS, SIZE_BUCKETS, TABLES, EngineMetrics
from engine.partition.partition import Partition
from engine.store.ports import Store
from schemas.times import SECOND

_PARTITION: Final = ["partition"]


class TaskMetrics:
    """The metrics of the tasks and standbys of one process, in one registry."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.engine = EngineMetrics(registry)
        self.lag_records = Gauge(
            "plimsoll_lag_records", "Offsets of events that are not committed yet", _PARTITION, registry=registry
        )
        self.lag_seconds = Gauge(
            "plimsoll_lag_seconds",
            "Age of the last committed record; 0 where the end of events is reached and nothing comes",
            _PARTITION,
            registry=registry,
        )
        self.caught_up = Gauge(
            "plimsoll_caught_up", "1: restored and near the end of events", _PARTITION, registry=registry
        )
        self.last_commit = Gauge(
            "plimsoll_last_commit_timestamp_seconds", "When a batch was last committed", _PARTITION, registry=registry
        )
        self.transaction_seconds = Histogram(
            "plimsoll_transaction_seconds",
            "One transaction, from its begin to the answer to its commit",
            buckets=LATENCY_BUCKETS,
            registry=registry,
        )
        self.transaction_records = Histogram(
            "plimsoll_transaction_records",
            "Records written in one transaction, changelog and outputs",
            buckets=SIZE_BUCKETS,
            registry=registry,
        )
        self.fences = Counter(
            "plimsoll_fences", "Partitions lost to another worker that took them over", _PARTITION, registry=registry
        )
        self.restarts = Counter(
            "plimsoll_task_restarts",
            "Failures after which a task began again, by kind of error",
            [*_PARTITION, "error"],
            registry=registry,
        )
        self.restore_remaining_records = Gauge(
            "plimsoll_restore_remaining_records",
            "Offsets of the changelog that are still to be restored",
            _PARTITION,
            registry=registry,
        )
        self.restored_records = Counter(
            "plimsoll_restored_records", "Records of the changelog read into stores", _PARTITION, registry=registry
        )
        self.standby_lag_records = Gauge(
            "plimsoll_standby_lag_records",
            "Offsets of the changelog that a standby lacks",
            _PARTITION,
            registry=registry,
        )
        self.stores_set_aside = Counter(
            "plimsoll_stores_set_aside", "Local stores that were not used, by reason", ["reason"], registry=registry
        )
        self._sizes: dict[int, tuple[int, ...]] = {}
        self._late: dict[int, int] = {}

    def observe_lag(self, number: int, records: int, seconds: float, *, caught_up: bool) -> None:
        """How far a task is behind the end of `events`."""
        name = str(number)
        self.lag_records.labels(name).set(records)
        self.lag_seconds.labels(name).set(seconds)
        self.caught_up.labels(name).set(caught_up)

    def observe_store(self, number: int, store: Store, partition: Partition, now: int) -> None:
        """Sizes of a partition's store and memory, of which the metrics say the sums over the partitions of the
        process; and how late its earliest timer is, of which they say the most. ``now``: microseconds."""
        self._sizes[number] = (store.bytes_on_disk(), *(len(table) for table in partition.state.tables))
        self._late[number] = max(0, now - partition.state.dues.earliest)
        self._sum_sizes()

    def _sum_sizes(self) -> None:
        self.engine.timer_lag_seconds.set(max(self._late.values(), default=0) / SECOND)
        gauges = (self.engine.store_bytes, *map(self.engine.cached.labels, TABLES))
        for place, gauge in enumerate(gauges):
            gauge.set(sum(sizes[place] for sizes in self._sizes.values()))

    def left(self, number: int) -> None:
        """A task ended: nothing is known of its partition here any more."""
        for gauge in (
            *(self.lag_records, self.lag_seconds, self.caught_up),
            *(self.last_commit, self.restore_remaining_records),
        ):
            gauge.remove(str(number))
        self._sizes.pop(number, None)
        self._late.pop(number, None)
        self._sum_sizes()

    def standby_left(self, number: int) -> None:
        """A standby ended."""
        for gauge in (self.standby_lag_records, self.restore_remaining_records):
            gauge.remove(str(number))
