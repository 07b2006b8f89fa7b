"""What Grafana reads: prometheus-client metrics of the engine, base units, bounded labels (never a client id)."""

import platform
from collections import Counter as Counts
from collections.abc import Collection, Iterable, Sequence
from importlib import metadata
from operator import attrgetter
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Info

from engine.core.outcome import ACCEPTED, CLOCK, DUPLICATE, Outcome
from engine.log.ports import Answer
from engine.partition.partition import Partition
from engine.store.ports import Store
from schemas.events import AnyEvent, Charge
from schemas.outputs import Notification
from schemas.readers import tag_of
from schemas.reasons import Refusal

LATENCY_BUCKETS: Final = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
TABLES: Final = ("balances", "accounts", "ledgers", "grants")
_STATUS = attrgetter("status")
_REASON = attrgetter("reason")
_CHARGE: Final = tag_of(Charge)
_STATUSES: Final = {id(verdict): verdict.name for verdict in (ACCEPTED, DUPLICATE, CLOCK)}  # there are no others
SIZE_BUCKETS: Final = (1, 5, 10, 50, 100, 500, 1_000, 2_000, 4_000, 10_000, 25_000, 50_000, 100_000)


class EngineMetrics:
    """One set of metrics in one registry."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.events = Counter(
            "plimsoll_events", "Events by type and what became of them", ["type", "outcome"], registry=registry
        )
        self.rejections = Counter("plimsoll_rejections", "Refused events by reason", ["reason"], registry=registry)
        self.notifications = Counter(
            "plimsoll_notifications", "Notifications decided", ["kind", "channel"], registry=registry
        )
        self.apply_seconds = Histogram(
            "plimsoll_apply_seconds", "Folding one batch", buckets=LATENCY_BUCKETS, registry=registry
        )
        self.write_seconds = Histogram(
            "plimsoll_write_seconds", "Writing one batch to the store", buckets=LATENCY_BUCKETS, registry=registry
        )
        self.sync_seconds = Histogram(
            "plimsoll_sync_seconds", "One fsync of the write-ahead log", buckets=LATENCY_BUCKETS, registry=registry
        )
        self.batch_records = Histogram(
            "plimsoll_batch_records", "Events in one batch", buckets=SIZE_BUCKETS, registry=registry
        )
        self.queued = Gauge("plimsoll_queued_events", "Events taken and not yet folded", registry=registry)
        self.timers = Counter("plimsoll_timers_fired", "Clients whose due instant came", registry=registry)
        self.timer_lag_seconds = Gauge(
            "plimsoll_timer_lag_seconds", "How late the earliest due timer is", registry=registry
        )
        self.no_rate = Counter(
            "plimsoll_rules_without_rate", "Rules not evaluated for want of an exchange rate", registry=registry
        )
        self.store_bytes = Gauge("plimsoll_store_bytes", "The data folder on disk", registry=registry)
        self.cached = Gauge("plimsoll_cached_records", "Records in memory", ["table"], registry=registry)
        build = Info("plimsoll_build", "Versions", registry=registry)
        build.info(
            {
                "version": metadata.version("plimsoll"),
                "python": platform.python_version(),
                "tzdata": metadata.version("tzdata"),
            }
        )

    def observe_batch(
        self,
        kinds: Iterable[type[AnyEvent | Refusal]],
        answers: Sequence[Answer | None],
        outcomes: Iterable[Outcome],
        *,
        plain: bool,
        apply_seconds: float,
        write_seconds: float,
    ) -> None:
        """Counts a committed batch of those ``kinds`` of events. ``plain``: all are charges that were accepted."""
        if plain:
            self.events.labels(_CHARGE, ACCEPTED.name).inc(len(answers))
        else:
            self._observe_answers(kinds, answers)
        for folded in outcomes:
            self._observe_outcome(folded)
        self._observe_work(len(answers), apply_seconds, write_seconds)

    def _observe_answers(
        self, kinds: Iterable[type[AnyEvent | Refusal]], answers: Sequence[Answer | None]
    ) -> None:
        counts: Counts[tuple[type[AnyEvent | Refusal], str]] = Counts(zip(kinds, map(_STATUS, answers), strict=True))
        reasons = Counts(map(_REASON, answers))
        for (cls, outcome), count in counts.items():
            self.events.labels(_name_of(cls), outcome).inc(count)
        for reason, count in reasons.items():
            if reason is not None:
                self.rejections.labels(reason).inc(count)

    def observe_fold(
        self,
        kinds: Sequence[type[AnyEvent | Refusal]],
        outcome: Outcome,
        uncounted: Collection[type],
        *,
        apply_seconds: float,
        write_seconds: float,
    ) -> None:
        """Counts a committed fold by the core's own answers. ``uncounted``: types of events that count elsewhere."""
        answers = outcome.answers
        refused = 0
        if answers.count(ACCEPTED) == len(answers):  # as nearly always: no pair for each event
            counts = {(cls, id(ACCEPTED)): count for cls, count in Counts(kinds).items()}
        else:
            counts = Counts(zip(kinds, map(id, answers), strict=True))
        for (cls, answer_id), count in counts.items():
            status = _STATUSES.get(answer_id)
            if status is None:
                refused += count
            elif cls not in uncounted:
                self.events.labels(_name_of(cls), status).inc(count)
        if refused:
            for cls, answer in zip(kinds, answers, strict=True):
                if isinstance(answer, Refusal) and cls not in uncounted:
                    self.events.labels(_name_of(cls), "refused").inc()
                    self.rejections.labels(answer.reason.value).inc()
        self._observe_outcome(outcome)
        self._observe_work(len(kinds), apply_seconds, write_seconds)

    def _observe_outcome(self, outcome: Outcome) -> None:
        if outcome.timers:
            self.timers.inc(outcome.timers)
        if outcome.no_rate:
            self.no_rate.inc(outcome.no_rate)
        for output in outcome.outputs:
            if isinstance(output, Notification):
                self.notifications.labels(output.kind, output.channel).inc()

    def _observe_work(self, records: int, apply_seconds: float, write_seconds: float) -> None:
        self.apply_seconds.observe(apply_seconds)
        self.write_seconds.observe(write_seconds)
        if records:
            self.batch_records.observe(records)

    def observe_store(self, store: Store, partitions: Sequence[Partition]) -> None:
        """Sizes, now and then."""
        self.store_bytes.set(store.bytes_on_disk())
        for number, table in enumerate(TABLES):
            self.cached.labels(table).set(sum(len(partition.state.tables[number]) for partition in partitions))


def _name_of(kind: type[AnyEvent | Refusal]) -> str:
    """What a type of event is called on a label; what could not be read has none."""
    return "unreadable" if issubclass(kind, Refusal) else tag_of(kind)
