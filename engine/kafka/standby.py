"""A standby: the changelog of a partition that another worker owns, read into a local store as it is written.

When this worker gets the partition, the standby is stopped first; the task on the same folder then only catches up.
"""

import asyncio
import time
from collections.abc import Callable
from typing import Final

from prometheus_client import CollectorRegistry

from engine.kafka.failing import BackOff, paused, until_stopped
from engine.kafka.local import LocalStores
from engine.kafka.metrics import TaskMetrics
from engine.kafka.options import TaskOptions, wall_clock
from engine.kafka.refusals import why_denied
from engine.kafka.restore import Changelog, catch_up, changelog_of
from engine.kafka.spans import drop_spans_of
from engine.store.ports import StoreDamaged, StoreError

_RENEW_SECONDS: Final = 60.0  # between two notes of the time, and two looks at which spans are over


class StandbyTask:
    """Keeps the store of one partition near the end of its changelog, until it is stopped."""

    def __init__(
        self,
        options: TaskOptions,
        number: int,
        tell: Callable[[str], None],
        *,
        clock: Callable[[], int] = wall_clock,
        metrics: TaskMetrics | None = None,
    ) -> None:
        self.number = number
        self._options = options
        self._tell = tell
        self._clock = clock
        self._metrics = TaskMetrics(CollectorRegistry()) if metrics is None else metrics
        self._stores = LocalStores(options, number, tell, self._metrics)
        self._back_off = BackOff()
        self._lag: int | None = None
        self._position: int | None = None

    @property
    def position(self) -> int | None:
        """The offset of the changelog up to which the store has everything; None: not known."""
        return self._position

    @property
    def lag_records(self) -> int | None:
        """Offsets of the changelog that the store lacks, as last seen; None: not known."""
        return self._lag

    async def run(self, stop: asyncio.Event) -> None:
        """Reads until ``stop``, then closes the store. Raises StoreError where the store cannot be had or written."""
        try:
            while not stop.is_set():
                try:
                    await until_stopped(self._stand_by(), stop, lambda: 0.0)
                except StoreDamaged as error:
                    self._stores.mark_damaged(error)  # nobody works from it: it is set aside and restored
                    await self._failed(error, stop)
                except (AssertionError, StoreError):
                    raise
                except Exception as error:
                    await self._failed(error, stop)
        finally:
            self._metrics.standby_left(self.number)

    async def _failed(self, error: Exception, stop: asyncio.Event) -> None:
        kind = type(error).__name__
        self._metrics.restarts.labels(str(self.number), kind).inc()
        pause = self._back_off.after_failure()
        told = why_denied(error, self._options.connection) or f"{kind}: {error}"
        self._tell(f"standby {self.number}: {told}; again in {pause:.1f} s")
        await paused(stop, pause)

    async def _stand_by(self) -> None:
        async with changelog_of(self._options, self.number, self._stores, self._clock) as changelog:
            try:
                permits = self._options.standby_restores
                await catch_up(changelog, self.number, permits, self._tell, self._metrics, self._clock)
                self._tell(f"standby {self.number}: stands by from {changelog.position}")
                await self._follow(changelog)
            finally:
                self._lag = self._position = None
                changelog.store.close()

    async def _follow(self, changelog: Changelog) -> None:
        gauge = self._metrics.standby_lag_records.labels(str(self.number))
        restored = self._metrics.restored_records.labels(str(self.number))
        renewed = time.monotonic()
        while True:
            read = await changelog.read(self._clock)
            self._position = changelog.position
            self._lag = max(0, changelog.end - changelog.position)
            gauge.set(self._lag)
            if read:
                restored.inc(read)
                self._back_off.worked()
            moment = time.monotonic()
            if moment - renewed >= _RENEW_SECONDS and self._lag == 0:
                renewed = moment
                changelog.write([], changelog.position, self._clock())
                drop_spans_of(changelog.store, self.number)
