"""The loop both channels share: reads notifications, sends each until it has an outcome, records that, moves on.

The order of effects, which the guarantees in the README rest on:
1. read ahead, leaving out what already has an outcome (``settled``) and what is of the other channel;
2. send, several at once, those for one reader in order;
3. record outcomes and move positions in one durable step, never past a notification without an outcome.
A crash between 2 and 3 sends again, with the same Message-ID or webhook-id; nothing is ever skipped.
"""

import asyncio
import heapq
import itertools
import logging
import math
import time
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final, assert_never

import msgspec

from engine.log.ports import LogRecord, NotificationLog
from notifiers.addresses import mask_text
from notifiers.attempts import Attempt, FailureKind, Sender, back_off, shorten_detail, unsendable
from notifiers.config import DeliveryOptions
from notifiers.lane import Lane, Parcel
from notifiers.metrics import NotifierMetrics
from notifiers.peer import PeerState
from notifiers.supersession import ReadAhead
from notifiers.verdict import Again, Settled, judge
from schemas.events import Channel
from schemas.outputs import Delivery, DeliveryOutcome, Notification
from schemas.times import SECOND, TimeError, format_time, parse_time

_log: Final = logging.getLogger(__name__)
_WAIT_SECONDS: Final = 1.0
"""The log is looked at this often even where its wait tells of nothing new."""
_RECORD_SECONDS_MIN: Final = 1.0
"""What was sent gets at least this long to be recorded, however late the stop is."""
_decode: Final = msgspec.json.Decoder(Notification).decode


def wall_clock() -> int:
    """Now, in microseconds since the epoch."""
    return time.time_ns() // 1000


class Delivering:
    """One channel of one consumer. ``run`` may be called once."""

    def __init__(
        self,
        log: NotificationLog,
        consumer: str,
        channel: Channel,
        sender: Sender,
        options: DeliveryOptions,
        metrics: NotifierMetrics,
        now: Callable[[], int] = wall_clock,
    ) -> None:
        self._log = log
        self._consumer = consumer
        self._channel: Channel = channel
        self._sender = sender
        self._options = options
        self._metrics = metrics
        self._now = now
        self._peer = PeerState(channel, options)
        self._lanes: list[Lane] = []
        self._read_ahead = ReadAhead()
        self._readers: dict[tuple[str, tuple[str, ...]], deque[Parcel]] = {}
        self._fresh: deque[Parcel] = deque()  # first of their reader, never tried
        self._later: list[tuple[float, int, Parcel]] = []  # a heap: first of their reader, to be tried again
        self._counter = itertools.count()
        self._under_way: dict[asyncio.Task[Attempt], Parcel] = {}
        self._outcomes: list[Delivery] = []  # decided, not yet durable
        self._positions_at = 0.0
        self._log_tries = 0
        self._log_resume_at = 0.0

    async def run(self, stop: asyncio.Event) -> None:
        """Delivers until ``stop`` is set; finishes within ``stop_seconds`` of it.

        Raises what the log raises, unless that is marked ``retriable``: then it waits and tries again.
        """
        self._metrics.start(self._channel)
        stopping: asyncio.Task[object] = asyncio.create_task(stop.wait(), name=f"{self._consumer}-stop")
        news: asyncio.Task[None] | None = None
        try:
            while not stop.is_set():
                if news is None and self._has_room():
                    # Made before the read, so that what is appended meanwhile ends it.
                    news = asyncio.create_task(self._log.wait(_WAIT_SECONDS), name=f"{self._consumer}-news")
                self._start()
                await self._patiently(self._record)
                more = await self._patiently(self._read)
                self._start()
                self._measure()
                if not more:
                    await self._pause(stopping, news)
                if news is not None and news.done():
                    self._heed(news)
                    news = None
                self._collect()
            await self._finish()
        finally:
            await _cancel(stopping, *([] if news is None else [news]), *self._under_way)
            await self._sender.close()

    # Reading

    async def _read(self) -> bool:
        """Reads ahead as far as there is room, within bounds; whether there may be more at once.

        What is not superseded is only known once the later reminders have been read: so reading goes before sending.
        """
        if not self._lanes:
            positions = await self._log.positions(self._consumer)
            self._lanes = [Lane(number, positions.get(number, 0)) for number in range(self._log.partitions)]
        options = self._options
        for _ in range(1 + options.window_notifications_max // options.read_records_max):
            open_lanes = [lane for lane in self._lanes if not lane.drained and self._room(lane) > 0]
            if not open_lanes:
                return False
            for lane in open_lanes:
                room = min(self._room(lane), options.read_records_max)
                records = await self._log.read(lane.partition, lane.next_offset, room)
                if records:
                    await self._take(lane, records)
                else:
                    lane.drained = True
        return True

    def _room(self, lane: Lane) -> int:
        return self._options.window_notifications_max - len(lane.parcels)

    def _has_room(self) -> bool:
        return not self._lanes or any(self._room(lane) > 0 for lane in self._lanes)

    def _heed(self, news: asyncio.Task[None]) -> None:
        """The wait for news has ended: every partition may have some."""
        error = news.exception()
        if error is not None:
            self._log_failed(error)
        for lane in self._lanes:
            lane.drained = False

    async def _take(self, lane: Lane, records: Sequence[LogRecord]) -> None:
        found: list[tuple[LogRecord, Notification]] = []
        unreadable: list[Delivery] = []
        for record in records:
            try:
                notification = _decode(record.value)
                parse_time(notification.at)
                if notification.next_at is not None:
                    parse_time(notification.next_at)
            except (msgspec.MsgspecError, TimeError, UnicodeDecodeError) as error:
                unreadable.append(self._unreadable(record, error))
                continue
            if notification.channel == self._channel:
                found.append((record, notification))
        named = [notification.notification for _, notification in found]
        named += [delivery.notification for delivery in unreadable]
        settled = await self._log.settled(self._consumer, named) if named else frozenset()
        for record, notification in found:
            if notification.notification in settled or notification.notification in lane:
                self._metrics.repeats.labels(self._channel).inc()
                continue
            parcel = Parcel(notification, lane.partition, record.offset, record.at, notification.to)
            lane.add(parcel)
            self._read_ahead.add(notification)
            queue = self._readers.setdefault(parcel.reader, deque())
            queue.append(parcel)
            if len(queue) == 1:
                self._fresh.append(parcel)
        self._outcomes += [delivery for delivery in unreadable if delivery.notification not in settled]
        lane.next_offset = records[-1].offset + 1

    def _unreadable(self, record: LogRecord, error: Exception) -> Delivery:
        place = f"{record.topic.value}/{record.partition}/{record.offset}"
        _log.error("%s: %s is no notification: %s", self._channel, place, mask_text(str(error)))
        return Delivery(
            notification=place,
            client=record.key,
            channel=self._channel,
            outcome="failed",
            at=format_time(self._now()),
            attempts=0,
            detail=shorten_detail(f"the record is no notification: {error}; it stays in the log at this place"),
        )

    # Sending

    def _start(self) -> None:
        """Starts what may be sent now; what is superseded gets its outcome instead."""
        now = asyncio.get_running_loop().time()
        if now < self._log_resume_at:  # nothing more is sent while nothing can be recorded
            return
        while self._peer.slots(len(self._under_way), now) > 0:
            parcel = self._next(now)
            if parcel is None:
                return
            if not parcel.accepted and self._read_ahead.supersedes(parcel.notification, self._now()):
                latest = self._read_ahead.latest(parcel.notification)
                self._settle(parcel, "superseded", f"reminder {latest} of the same episode is at hand")
                continue
            if not parcel.notification.to:
                self._settle(parcel, "failed", "the notification names no recipient")
                continue
            if parcel.attempts == 0:
                parcel.acceptances_seen = self._peer.acceptances
            sending = self._sender.send(parcel.notification, parcel.owed)
            task = asyncio.create_task(sending, name=f"{self._consumer}-send")
            self._under_way[task] = parcel

    def _next(self, now: float) -> Parcel | None:
        if self._later and self._later[0][0] <= now:
            return heapq.heappop(self._later)[2]
        return self._fresh.popleft() if self._fresh else None

    def _collect(self) -> None:
        """Judges the attempts that have ended."""
        now = asyncio.get_running_loop().time()
        for task in [task for task in self._under_way if task.done()]:
            parcel = self._under_way.pop(task)
            error = task.exception()
            if error is not None:
                _log.error(
                    "%s: a defect while sending %s", self._channel, parcel.notification.notification, exc_info=error
                )
                attempt = unsendable(parcel.owed, f"a defect of ours: {type(error).__name__}: {error}")
            else:
                attempt = task.result()
            self._judge(parcel, attempt, now)

    def _judge(self, parcel: Parcel, attempt: Attempt, now: float) -> None:
        verdict = judge(parcel, attempt, self._peer.acceptances, now, self._options)
        self._peer.heard(attempt, now)
        match verdict:
            case Settled(outcome=outcome, detail=detail):
                self._settle(parcel, outcome, detail)
            case Again(kind=kind, detail=detail, wait_seconds=wait):
                self._metrics.retries.labels(self._channel, kind.value).inc()
                if kind is FailureKind.DEFERRED:
                    _log.info("%s: deferred, next attempt in %.1f s: %s", self._channel, wait, mask_text(detail))
                heapq.heappush(self._later, (now + wait, next(self._counter), parcel))
            case _:
                assert_never(verdict)

    def _settle(self, parcel: Parcel, outcome: DeliveryOutcome, detail: str) -> None:
        """Gives the parcel, the first of its reader, its outcome, and lets the reader's next one go."""
        notification = parcel.notification
        now = self._now()
        delivery = Delivery(
            notification=notification.notification,
            client=notification.client,
            channel=self._channel,
            outcome=outcome,
            at=format_time(now),
            attempts=parcel.attempts,
            detail=detail,
            to=parcel.accepted,
            event=notification if outcome == "failed" else None,
        )
        if outcome == "failed":
            _log.warning("%s: dead letter: %s", self._channel, mask_text(detail))
        elif outcome == "sent":
            self._metrics.latency.labels(self._channel).observe(max(0, now - parse_time(notification.at)) / SECOND)
        self._outcomes.append(delivery)
        self._read_ahead.remove(notification)
        parcel.done = True
        queue = self._readers[parcel.reader]
        assert queue[0] is parcel
        queue.popleft()
        if queue:
            self._fresh.append(queue[0])
        else:
            del self._readers[parcel.reader]

    # Recording

    async def _record(self) -> bool:
        """Makes outcomes and positions durable together, where there is something worth it."""
        now = asyncio.get_running_loop().time()
        moved = {lane.partition: lane.position for lane in self._lanes if lane.position > lane.committed}
        if not self._outcomes and (not moved or now - self._positions_at < self._options.positions_seconds):
            return False
        deliveries = tuple(self._outcomes)
        await self._log.commit(self._consumer, moved, deliveries)
        del self._outcomes[: len(deliveries)]
        for lane in self._lanes:
            lane.commit(moved.get(lane.partition, lane.committed))
        for delivery in deliveries:
            self._metrics.deliveries.labels(self._channel, delivery.outcome).inc()
        self._positions_at = now
        return True

    async def _patiently(self, step: Callable[[], Awaitable[bool | None]]) -> bool:
        """One step against the log; after a failure that is marked ``retriable``, no step until a back-off passed."""
        if asyncio.get_running_loop().time() < self._log_resume_at:
            return False
        try:
            result = await step()
        except Exception as error:
            self._log_failed(error)
            return False
        self._log_tries = 0
        return bool(result)

    def _log_failed(self, error: BaseException) -> None:
        if not getattr(error, "retriable", False):
            raise error
        self._log_tries += 1
        wait = back_off(self._log_tries, self._options.down_first_seconds, self._options.down_max_seconds)
        self._log_resume_at = asyncio.get_running_loop().time() + wait
        _log.warning("%s: the log: %s; next try in %.1f s", self._channel, error, wait)

    # Waiting and ending

    async def _pause(self, stopping: asyncio.Task[object], news: asyncio.Task[None] | None) -> None:
        """Until a send ends, the log has news, something is due, or the stop is asked for."""
        now = asyncio.get_running_loop().time()
        due = [now + _WAIT_SECONDS, self._log_resume_at, self._peer.resume_at or 0.0]
        due += [self._later[0][0]] if self._later else []
        # What is due already and was not started waits for a send to end, which ends the pause too.
        timeout = min(instant for instant in due if instant > now) - now
        ends: set[asyncio.Task[Any]] = {stopping, *self._under_way}  # Any: their results differ and are not read
        if news is not None and self._has_room() and now >= self._log_resume_at:
            ends.add(news)
        await asyncio.wait(ends, timeout=timeout, return_when=asyncio.FIRST_COMPLETED)

    async def _finish(self) -> None:
        """What is under way may end, what has an outcome is recorded; the rest is sent after the next start."""
        deadline = asyncio.get_running_loop().time() + self._options.stop_seconds
        if self._under_way:
            await asyncio.wait(self._under_way, timeout=self._options.stop_seconds)
        self._collect()
        self._positions_at = -math.inf
        try:
            async with asyncio.timeout_at(max(deadline, asyncio.get_running_loop().time() + _RECORD_SECONDS_MIN)):
                while True:
                    await self._patiently(self._record)
                    if self._log_tries == 0:
                        break
                    await asyncio.sleep(max(0.0, self._log_resume_at - asyncio.get_running_loop().time()))
        except TimeoutError:
            _log.error(
                "%s: %d outcomes could not be recorded: those are sent again", self._channel, len(self._outcomes)
            )

    def _measure(self) -> None:
        heads = [parcel.at for lane in self._lanes for parcel in itertools.islice(lane.parcels, 1)]
        self._metrics.lag.labels(self._channel).set(max(0, self._now() - min(heads)) / SECOND if heads else 0)
        self._metrics.pending.labels(self._channel).set(sum(len(lane.parcels) for lane in self._lanes))
        self._metrics.peer_up.labels(self._channel).set(self._peer.is_up)


async def _cancel(*tasks: asyncio.Task[Any]) -> None:  # Any: see _pause
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
