"""A history into a cluster: `events` with its own log times, then what makes it a log of the engine (ADR 20).

1. the topic `moving`, which says that what is beside it is not whole: `topics create` refuses while it is there;
2. `events` with CreateTime and `deliveries`; every step in its order, a transaction for each few thousand;
3. `events` to LogAppendTime;
4. `configuration`, with what the writer of configuration has to know; then all the other topics, without which no
   worker starts;
5. a last transaction proves that no later move has begun; `moving` is deleted.

Killed anywhere, `moving` is there: the next move says so, and begins anew where it is told to.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from contextlib import AsyncExitStack
from typing import Any, Final

import msgspec
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import InvalidProducerEpoch, ProducerFenced, TopicAuthorizationFailedError, for_code

from engine.core.configuration import key_of
from engine.failures import WrongUse
from engine.kafka.clients import TRANSACTION_MS_MAX, Connection, Producer, open_admin, open_producer, visible_topics
from engine.kafka.configuration import revision_headers
from engine.kafka.definitions import Definition, Definitions
from engine.kafka.folding import ENGINE_HEADER, MOVED_HEADER, REFUSED_HEADER, refuse_moved
from engine.kafka.histories import Delivered
from engine.kafka.ledger import CONSUMER_HEADER
from engine.kafka.topics import CONFIGURATION, MOVING, POLICIES, TopicError, create_topics, shell_topics
from engine.kafka.transactions import Place, Sent, tell_failures_once, transact
from engine.moving import History, HistoryError, Step, Steps
from schemas.engine_events import encode_engine_event
from schemas.events import ConfigEvent, Configuration, Deleted, Tick, TransferOutcome
from schemas.outputs import Delivery, Notification, encode_output
from schemas.reasons import Refusal
from schemas.times import DAY, HOUR, format_time, parse_time
from schemas.topics import Topic, partition_of

CONSUMERS: Final = {"email": "mailer", "sms": "sms"}
"""Who reads the notifications of a channel: its deliveries carry the name."""
SENT_AGAIN_MAX: Final = 30 * DAY
"""How old a notification may be that nobody has delivered: deliveries are kept for so long."""
_RECORDS_MAX: Final = 5_000  # of one transaction: a second's work, far below the ten that it may take
_BYTES_MAX: Final = 4 * 1024 * 1024
_AHEAD_MAX: Final = HOUR  # message.timestamp.after.max.ms, by default
_GONE_SECONDS_MAX: Final = 60.0
_REQUEST_MS_MAX: Final = 30_000
_TOPIC_ALREADY_EXISTS: Final = 36


class MoveOptions(msgspec.Struct, frozen=True, kw_only=True):
    """Where a history goes. ``settle``: its notifications count as delivered, all of them."""

    connection: Connection
    app: str
    prefix: str
    partitions: int
    replication: int | None = None
    settle: bool = False
    restart: bool = False


class Totals(msgspec.Struct):
    """What was moved: events by what became of them, and deliveries."""

    events: int = 0
    refused: int = 0
    configuration: int = 0
    transfers: int = 0
    deliveries: int = 0


async def move(
    history: History,
    delivered: AsyncIterator[Delivered],
    options: MoveOptions,
    on_moved: Callable[[Totals], None],
    *,
    now: Callable[[], int] = lambda: time.time_ns() // 1000,
) -> Totals:
    """Moves a history into topics that are not there yet.

    Raises WrongUse where they are, TopicError, HistoryError, KafkaError: then it is as unfinished as after a kill.
    """
    tell_failures_once(asyncio.get_running_loop())
    async with AsyncExitStack() as stack:
        admin = open_admin(options.connection, "plimsoll-move")
        stack.push_async_callback(admin.close)
        await admin.start()
        producer = open_producer(options.connection, f"{options.app}-move")
        stack.push_async_callback(producer.stop)
        await producer.start()  # from here on a mover that was started before writes nothing more
        topics = _Topics(admin, options)
        await topics.begin()
        writer = _Writer(producer, options, now(), on_moved)
        try:
            await writer.write_history(Steps(history))
            await writer.write_deliveries(delivered)
            await topics.close_events()
            await topics.make(CONFIGURATION)
            await writer.write_definitions()
            await topics.make_others()
            await writer.prove()
        except (ProducerFenced, InvalidProducerEpoch) as error:
            raise TopicError(
                "another move into these topics was started, or this one stood still for more than "
                f"{TRANSACTION_MS_MAX // 1000} s: it ends; if no other runs, say --restart to begin it anew"
            ) from error
        await topics.finish()
        return writer.totals


class _Writer:
    """Steps to records, and transactions of them."""

    def __init__(self, producer: Producer, options: MoveOptions, now: int, on_moved: Callable[[Totals], None]) -> None:
        self.totals = Totals()
        self._now = now
        self._producer = producer
        self._options = options
        self._sent_again_from = now - SENT_AGAIN_MAX
        self._on_moved = on_moved
        self._events = options.prefix + Topic.EVENTS.value
        self._deliveries = options.prefix + Topic.DELIVERIES.value
        self._definitions = Definitions(options.prefix)
        self._known: dict[bytes, bytes] = {}
        self._sent: dict[Place, list[Sent]] = {}
        self._records = 0
        self._bytes = 0
        self._last_ms = 0

    async def write_history(self, steps: Steps) -> None:
        async for step in steps.read():
            self._add(step)
            if self._records >= _RECORDS_MAX or self._bytes >= _BYTES_MAX:
                await self._flush()
        clocks = steps.clocks
        for number in range(self._options.partitions):
            clock = clocks[number] if len(clocks) == self._options.partitions else max(clocks)
            if clock > 0:  # what was due at the source by then fires at its own instant, whatever comes next
                self._put(number, clock, None, encode_engine_event(Tick(time=clock)), [])
        await self._flush()

    def _add(self, step: Step) -> None:
        totals, event, count = self.totals, step.event, self._options.partitions
        totals.events += 1
        totals.refused += step.refusal is not None
        if isinstance(event, Configuration | Deleted) and (step.refusal is None or step.refusals):
            totals.configuration += 1
            self._add_configuration(step, event)
        elif step.refusal is not None:
            client: str = getattr(event, "client", "")
            target = partition_of(client, count) if client else step.source % count
            key = client.encode() or None
            self._put(target, step.at, key, step.raw, [(REFUSED_HEADER, refuse_moved(step.refusal))])
        else:
            assert not isinstance(event, Refusal | Tick | ConfigEvent)
            self._put(partition_of(event.client, count), step.at, event.client.encode(), step.raw, [])
            totals.transfers += isinstance(event, TransferOutcome) and event.accepted
        for notification in step.notifications:
            self._settle(notification)

    def _add_configuration(self, step: Step, event: Configuration | Deleted) -> None:
        """With as many partitions as before each gets what was decided in it; else what one refused is refused."""
        count, ats = self._options.partitions, step.ats or []
        revision = self._definitions.last + 1
        headers = revision_headers(revision)[1:]
        for number, refusal in enumerate(step.refusals):
            if refusal is not None:
                refused = [(REFUSED_HEADER, refuse_moved(refusal))]
                self._put(number % count, ats[number], None, step.raw, refused)
        if len(ats) == count:
            for number, at in enumerate(ats):
                if not step.refusals or step.refusals[number] is None:
                    self._put(number, at, None, step.raw, headers)
        elif step.refusal is None:
            for number in range(count):
                self._put(number, max(ats), None, step.raw, headers)
        if step.barrier is not None and step.refusal is None:
            raw = None if isinstance(event, Deleted) else step.raw.decode()
            name, record = self._definitions.put(key_of(event), Definition(revision, raw))
            self._known[name] = record
        self._definitions.put_last(revision)

    def _settle(self, notification: Notification) -> None:
        """Nobody is written to about what is long past, nor twice where the deliveries are not known."""
        if not self._options.settle and parse_time(notification.at) >= self._sent_again_from:
            return
        delivery = Delivery(
            notification=notification.notification,
            client=notification.client,
            channel=notification.channel,
            outcome="superseded",
            at=notification.at,
            attempts=0,
            detail="from before the history was moved",
        )
        self._put_delivery(delivery.client, encode_output(delivery), CONSUMERS[delivery.channel], delivery.notification)

    async def write_deliveries(self, delivered: AsyncIterator[Delivered]) -> None:
        async for client, record, consumer in delivered:
            name = msgspec.json.decode(record, type=_Named).notification
            self._put_delivery(client, record, consumer, name)
            if self._records >= _RECORDS_MAX or self._bytes >= _BYTES_MAX:
                await self._flush()
        await self._flush()

    async def write_definitions(self) -> None:
        """What the writer of configuration finds when it starts."""
        known = [*self._known.items(), self._definitions.put_last(self._definitions.last)]
        now = time.time_ns() // 1_000_000
        for begin in range(0, len(known), _RECORDS_MAX):
            records: list[Sent] = [(now, *record, []) for record in known[begin : begin + _RECORDS_MAX]]
            await transact(self._producer, {self._definitions.place: records})

    async def prove(self) -> None:
        """A record that is there already, once more. Raises ProducerFenced where a later move has begun: then what is
        beside the marker is that one's, and the marker too."""
        record: Sent = (time.time_ns() // 1_000_000, *self._definitions.put_last(self._definitions.last), [])
        await transact(self._producer, {self._definitions.place: [record]})

    def _put_delivery(self, client: str, record: bytes, consumer: str, notification: str) -> None:
        self.totals.deliveries += 1
        place = (self._deliveries, partition_of(client, self._options.partitions))
        now = time.time_ns() // 1_000_000  # deliveries are kept for a time that begins now
        self._append(place, (now, notification.encode(), record, [(CONSUMER_HEADER, consumer.encode())]))

    def _put(
        self, number: int, at: int | None, key: bytes | None, raw: bytes, headers: list[tuple[str, bytes]]
    ) -> None:
        if at is not None:
            if at > self._now + _AHEAD_MAX:
                raise HistoryError(
                    f"the history goes on to {format_time(at)}, which is still to come: the cluster takes no outputs "
                    "of that time; begin again when it is past"
                )
            self._last_ms = at // 1000
        moved = b"" if at is None else str(at).encode()
        marks = [(ENGINE_HEADER, b"1"), (MOVED_HEADER, moved), *headers]
        self._append((self._events, number), (max(self._last_ms, 0), key, raw, marks))

    def _append(self, place: Place, record: Sent) -> None:
        self._sent.setdefault(place, []).append(record)
        self._records += 1
        self._bytes += len(record[2] or b"")

    async def _flush(self) -> None:
        if self._records:
            await transact(self._producer, self._sent)
            self._sent, self._records, self._bytes = {}, 0, 0
            self._on_moved(self.totals)


class _Named(msgspec.Struct):
    notification: str


class _Topics:
    """The topics of a move, in its order."""

    def __init__(self, admin: AIOKafkaAdminClient, options: MoveOptions) -> None:
        self._admin = admin
        self._options = options
        self._marker = options.prefix + MOVING

    async def begin(self) -> None:
        """Steps 1 and 2: topics that were there before are deleted only where a move left them."""
        options = self._options
        names = [options.prefix + name for name in POLICIES]
        names += shell_topics(options.prefix, options.app, options.partitions)
        found = await self._existing([*names, self._marker])
        if self._marker in found:
            if not options.restart:
                raise WrongUse(
                    "a move into these topics was begun and has not finished: let it finish, or, if it runs no more, "
                    "say --restart to delete what it wrote and begin anew"
                )
            await self._delete([name for name in names if name in found])
        elif found:
            raise WrongUse(f"expected no topic {min(found)}, found one: a history is moved into topics that it makes")
        else:
            await self._create(self._marker, 1, {})
        events = dict(POLICIES[Topic.EVENTS.value]) | {"message.timestamp.type": "CreateTime"}
        await self._create(self._options.prefix + Topic.EVENTS.value, self._options.partitions, events)
        await self.make(Topic.DELIVERIES.value)

    async def make(self, name: str) -> None:
        """One topic with its policy."""
        await self._create(self._options.prefix + name, self._options.partitions, POLICIES[name])

    async def close_events(self) -> None:
        """Step 3."""
        settings = dict(POLICIES[Topic.EVENTS.value])
        topic = self._options.prefix + Topic.EVENTS.value
        answers: list[Any] = list(  # Any: an answer's fields are made at run time
            await self._admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, topic, settings)])
        )
        for answer in answers:
            for code, message, *_ in answer.resources:
                if code == TopicAuthorizationFailedError.errno:
                    raise TopicAuthorizationFailedError(topic, "AlterConfigs")
                if code:
                    raise TopicError(f"the topic {topic} could not be altered: {message or for_code(code).__name__}")

    async def make_others(self) -> None:
        """Step 4, but for what is in `configuration`."""
        options = self._options
        findings = await create_topics(
            self._admin, options.prefix, options.partitions, options.replication, app=options.app, moving=True
        )
        for finding in findings:
            if finding.state == "differs":
                raise TopicError(f"the topic {finding.topic} is not as it should be: {finding.detail}")

    async def finish(self) -> None:
        """Step 5."""
        await self._delete([self._marker])

    async def _create(self, name: str, partitions: int, settings: Mapping[str, str]) -> None:
        replication = self._options.replication
        copies, assignment = (-1, dict[int, list[int]]()) if replication is None else (replication, None)
        topic = NewTopic(name, partitions, copies, assignment, dict(settings))
        answer: Any = await self._admin.create_topics([topic], timeout_ms=_REQUEST_MS_MAX)
        for _, code, *message in answer.topic_errors:
            if code == _TOPIC_ALREADY_EXISTS:
                raise TopicError(f"another move into these topics was started: the topic {name} is there")
            if code == TopicAuthorizationFailedError.errno:
                raise TopicAuthorizationFailedError(name, "Create")
            if code:
                told = message[0] if message and message[0] else for_code(code).__name__
                raise TopicError(f"the topic {name} could not be made: {told}")
        await _until(lambda: self._are_there([name]), f"the topic {name} did not come to be")

    async def _delete(self, names: list[str]) -> None:
        if names:
            answer: Any = await self._admin.delete_topics(names)
            denied = [name for name, code in answer.topic_error_codes if code == TopicAuthorizationFailedError.errno]
            if denied:
                raise TopicAuthorizationFailedError(denied, "Delete")
            await _until(lambda: self._are_gone(names), f"the topics {', '.join(names)} could not be deleted")

    async def _are_there(self, names: list[str]) -> bool:
        return len(await self._existing(names)) == len(names)

    async def _are_gone(self, names: list[str]) -> bool:
        return not await self._existing(names)

    async def _existing(self, names: Iterable[str]) -> set[str]:
        return {*await visible_topics(self._admin, list(names))}


async def _until(holds: Callable[[], Awaitable[bool]], otherwise: str) -> None:
    end = time.monotonic() + _GONE_SECONDS_MAX
    while not await holds():
        if time.monotonic() > end:
            raise TopicError(otherwise)
        await asyncio.sleep(0.1)
