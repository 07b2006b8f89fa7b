"""The writer of configuration: one at a time, every partition in one transaction, each event with a revision (ADR 19).

For a group of events, whose keys differ:

1. what the writer itself would refuse, and what a partition may have a reason of its own to refuse (a deletion, the
   unit of a plan), is asked first: the event goes to every partition with a question mark, and they answer;
2. one transaction: the event to every partition with its revision, and to `configuration` what is now to be seen
   through: the definition, the former one, and where the partitions' answers will be;
3. the answers are awaited; where a partition refused what others took, 2 again with the former definition;
4. `configuration`: seen through.

Lost between 2 and 4, the next holder of the transactional id goes on with 3. Every wait is bounded, and what was not
answered in time is said to be so.
"""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack
from typing import Final, Literal, Self, cast

import msgspec
from aiokafka.errors import InvalidProducerEpoch, ProducerFenced

from engine.core.configuration import Config, Key, key_of
from engine.core.configured import DELETED, check_configuration
from engine.core.state import State
from engine.failures import OperationalError
from engine.kafka.clients import Connection, Producer, open_consumer, open_producer
from engine.kafka.definitions import Definition, Definitions
from engine.kafka.folding import ASK_HEADER, ENGINE_HEADER, REVISION_HEADER
from engine.kafka.transactions import Place, Sent, transact
from engine.kafka.verdicts import Answers, Verdicts
from engine.partition.revisions import Decided
from schemas.codec import decode
from schemas.events import ConfigEvent, Configuration, Deleted, TimeBalancePlan
from schemas.reasons import Reason, Refusal
from schemas.topics import Topic

GROUP_EVENTS_MAX: Final = 100
"""Events of one transaction: it holds up every partition for as long as it is open."""
ANSWER_SECONDS: Final = 10.0
"""A partition whose worker runs answers with its next commit; a worker that starts needs a moment more."""
OWN_SOURCE: Final = "plimsoll"
"""The source of what the writer itself puts right: its identities are its own."""

Status = Literal["accepted", "duplicate", "refused", "written", "unanswered"]


class WriterOptions(msgspec.Struct, frozen=True, kw_only=True):
    """Where configuration is written. ``app`` names the transactional id, as it does for the tasks."""

    connection: Connection
    app: str
    prefix: str
    partitions: int
    answer_seconds: float = ANSWER_SECONDS


class Written(msgspec.Struct, frozen=True):
    """What became of a configuration event.

    ``accepted``: every partition applied it. ``duplicate``: it had been applied. ``refused``: by ``reason``; what held
    before holds. ``written``: in the log of every partition, and some of them have not answered in time.
    ``unanswered``: some partitions were asked and have not answered in time; nothing was written.
    """

    status: Status
    revision: int | None = None
    reason: str | None = None
    message: str | None = None


class WriterFenced(OperationalError):  # noqa: N818  # it names a state
    """Another process writes configuration now. What this one had not committed is not in the log."""

    retriable = True


class _Item(msgspec.Struct):
    """One event on its way. ``known``: what held before."""

    key: Key
    raw: bytes
    event: Configuration | Deleted
    known: Definition
    refusal: Refusal | None
    revision: int = 0
    written: Written | None = None


class ConfigurationWriter:
    """Used by ``async with``; entering fences whoever held it, and sees through what was left."""

    def __init__(self, options: WriterOptions, *, clock: Callable[[], int] = time.time_ns) -> None:
        self._options = options
        self._clock = clock
        self._events = options.prefix + Topic.EVENTS.value
        self._stack = AsyncExitStack()
        self._definitions = Definitions(options.prefix)
        consumer = open_consumer(options.connection, f"{options.app}-config")
        self._consumer = consumer
        self._producer: Producer = open_producer(options.connection, f"{options.app}-config")
        self._verdicts = Verdicts(consumer, options.prefix, options.partitions)
        self._answering = True  # else nobody waits long a second time

    async def __aenter__(self) -> Self:
        """Raises KafkaError where the cluster does not do what is asked."""
        async with AsyncExitStack() as stack:
            stack.push_async_callback(self._consumer.stop)
            stack.push_async_callback(self._producer.stop)
            await self._producer.start()
            await self._consumer.start()
            await self._definitions.read(self._consumer)
            await self._resume()
            self._stack = stack.pop_all()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    @property
    def definitions(self) -> Definitions:
        """What is defined, as far as it is known here."""
        return self._definitions

    async def submit(self, raws: Sequence[bytes]) -> list[Written]:
        """One answer for each event, in order; each is configuration as a door takes it, unknown fields refused.

        Raises WriterFenced, or KafkaError: then what was not committed is not in the log, and all may be sent again.
        """
        written: list[Written] = []
        for group in self._groups(raws):
            if isinstance(group, Written):
                written.append(group)
                continue
            await self._ask(group)
            await self._write(group)
            written += [cast(Written, item.written) for item in group]
        return written

    async def append(self, raws: Sequence[bytes], *, at_ms: int | None = None) -> list[int]:
        """Writes events without a question and waits for no answer: for a history that brings its own decisions.

        The revisions. Raises as ``submit``.
        """
        revisions: list[int] = []
        for begin in range(0, len(raws), GROUP_EVENTS_MAX):
            records: list[tuple[bytes, int]] = []
            known: list[tuple[bytes, bytes]] = []
            for raw in raws[begin : begin + GROUP_EVENTS_MAX]:
                event = _configuration(raw, unknown_refused=False)  # as the log takes it
                assert not isinstance(event, Refusal), event
                revision = self._definitions.last + 1
                records.append((raw, revision))
                known.append(self._definitions.put(key_of(event), _settled(event, raw, revision)))
            known.append(self._definitions.put_last(self._definitions.last))
            await self._transact(records, known, at_ms=at_ms)
            revisions += [revision for _, revision in records]
        return revisions

    def _groups(self, raws: Sequence[bytes]) -> "Iterator[list[_Item] | Written]":
        """Events that can go together, checked against what those before them define; or what is refused at once."""
        group: dict[Key, _Item] = {}
        config = self._definitions.config()
        for raw in raws:
            event = _configuration(raw)
            if isinstance(event, Refusal):
                if group:
                    yield list(group.values())
                    group, config = {}, self._definitions.config()
                yield Written("refused", None, event.reason.value, event.message)
                continue
            key = key_of(event)
            refusal = check_configuration(State(config=config), event)
            alone = refusal is not None or _may_be_refused(config, event)
            if group and (alone or key in group or len(group) == GROUP_EVENTS_MAX):
                yield list(group.values())
                group, config = {}, self._definitions.config()
                refusal = check_configuration(State(config=config), event)
            group[key] = _Item(key, raw, event, self._definitions.get(key), refusal)
            if alone:  # it is asked first, in the state in which it would be decided
                yield list(group.values())
                group, config = {}, self._definitions.config()
            elif isinstance(event, Configuration):
                config.define(event)
        if group:
            yield list(group.values())

    async def _ask(self, group: Sequence[_Item]) -> None:
        """Step 1: those that are refused, repeats, or not answered get their answer."""
        config = self._definitions.config()
        asked: list[_Item] = []
        for item in group:
            if item.known.settled and item.known.raw is not None and item.known.raw.encode() == item.raw:
                item.written = Written("duplicate", item.known.revision)
            elif item.refusal is not None or _may_be_refused(config, item.event):
                asked.append(item)
        if not asked:
            return
        records = self._number(asked)
        positions = await self._verdicts.mark()
        await self._transact(records, [self._definitions.put_last(self._definitions.last)], asks=True)
        answers = await self._answers(asked, positions)
        for item in asked:
            found = answers[item.key]
            refused = found.refused
            if refused is not None:
                item.written = Written("refused", None, refused.reason, refused.message)
            elif found.missing and item.refusal is not None:
                item.written = Written("refused", None, item.refusal.reason.value, item.refusal.message)
            elif found.missing:
                item.written = Written("unanswered", None, None, _unanswered(found, "nothing was written"))
            elif all(each.verdict == "duplicate" for each in found.decided.values()):
                item.written = Written("duplicate", item.known.revision)

    async def _write(self, group: Sequence[_Item]) -> None:
        """Steps 2 to 4 for those without an answer."""
        left = [item for item in group if item.written is None]
        if not left:
            return
        positions = await self._verdicts.mark()
        records = self._number(left)
        known = []
        for item in left:
            former = item.known.raw if item.known.settled else item.known.former
            raw = None if isinstance(item.event, DELETED) else item.raw.decode()
            definition = Definition(item.revision, raw, settled=False, former=former, positions=positions)
            known.append(self._definitions.put(item.key, definition))
        known.append(self._definitions.put_last(self._definitions.last))
        await self._transact(records, known)
        answers = await self._answers(left, positions)
        outcomes = await self._see_through({item.key: answers[item.key] for item in left})
        for item in left:
            item.written = outcomes[item.key]

    def _number(self, items: Sequence[_Item]) -> list[tuple[bytes, int]]:
        for place, item in enumerate(items, start=1):
            item.revision = self._definitions.last + place
        self._definitions.last += len(items)
        return [(item.raw, item.revision) for item in items]

    async def _answers(self, items: Sequence[_Item], positions: Sequence[int]) -> dict[Key, Answers]:
        wanted = {item.key: item.revision for item in items}
        seconds = self._options.answer_seconds if self._answering else min(1.0, self._options.answer_seconds)
        answers = await self._verdicts.wait(wanted, positions, seconds)
        self._answering = not any(found.missing for found in answers.values())
        return answers

    async def _see_through(self, answers: Mapping[Key, Answers]) -> dict[Key, Written]:
        """Steps 3 and 4 for what is unsettled and was answered; what was not answered stays as it is."""
        outcomes: dict[Key, Written] = {}
        settled: list[tuple[bytes, bytes]] = []
        repairs: dict[Key, tuple[bytes, Decided | None]] = {}
        for key, found in answers.items():
            known = self._definitions.get(key)
            if found.refused is None and found.missing:
                outcomes[key] = Written("written", known.revision, None, _unanswered(found, "it is in their logs"))
            elif found.refused is None and found.is_one:
                verdict = next(iter(found.decided.values())).verdict
                outcomes[key] = Written("duplicate" if verdict == "duplicate" else "accepted", known.revision)
                settled.append(self._definitions.put(key, Definition(known.revision, known.raw)))
            elif found.refused is not None and found.is_one:  # nobody took it: what held before holds everywhere
                outcomes[key] = Written("refused", known.revision, found.refused.reason, found.refused.message)
                settled.append(self._definitions.put(key, Definition(known.revision, known.former)))
            else:
                holds = known.raw if found.refused is None else known.former
                repairs[key] = (_own(key, holds, self._definitions.last + 1 + len(repairs)), found.refused)
        if settled:
            await self._transact([], settled)
        if repairs:
            outcomes |= await self._repair(repairs)
        return outcomes

    async def _repair(self, repairs: Mapping[Key, tuple[bytes, Decided | None]]) -> dict[Key, Written]:
        """What should hold, once more to every partition: some have taken what others refused."""
        positions = await self._verdicts.mark()
        records: list[tuple[bytes, int]] = []
        known = []
        wanted: dict[Key, int] = {}
        for key, (raw, _) in repairs.items():
            wanted[key] = revision = self._definitions.last + 1
            records.append((raw, revision))
            event = _configuration(raw)
            holds = None if isinstance(event, DELETED) else raw.decode()
            unsettled = Definition(revision, holds, settled=False, former=holds, positions=positions)
            known.append(self._definitions.put(key, unsettled))
        await self._transact(records, [*known, self._definitions.put_last(self._definitions.last)])
        answers = await self._verdicts.wait(wanted, positions, self._options.answer_seconds)
        settled = []
        outcomes: dict[Key, Written] = {}
        for key, found in answers.items():
            refused, restored = repairs[key][1], found.is_one and found.refused is None
            if restored:
                holds = self._definitions.get(key).raw
                settled.append(self._definitions.put(key, Definition(wanted[key], holds)))
            left = "" if restored else "; not every partition has taken back yet what the others refused"
            if refused is None:
                outcomes[key] = Written("accepted" if restored else "written", wanted[key], None, left[2:] or None)
            else:
                outcomes[key] = Written("refused", wanted[key], refused.reason, f"{refused.message}{left}")
        if settled:
            await self._transact([], settled)
        return outcomes

    async def _resume(self) -> None:
        """Sees through what the former holder could not."""
        left = self._definitions.unsettled()
        if not left:
            return
        positions = [min(starts) for starts in zip(*(known.positions for known in left.values()), strict=True)]
        wanted = {key: known.revision for key, known in left.items()}
        await self._see_through(await self._verdicts.wait(wanted, positions, self._options.answer_seconds))

    async def _transact(
        self,
        records: Sequence[tuple[bytes, int]],
        known: Sequence[tuple[bytes, bytes]],
        *,
        asks: bool = False,
        at_ms: int | None = None,
    ) -> None:
        now = self._clock() // 1_000_000
        sent: dict[Place, list[Sent]] = {self._definitions.place: [(now, *record, []) for record in known]}
        to_all = [
            (now if at_ms is None else at_ms, None, raw, revision_headers(revision, asks=asks))
            for raw, revision in records
        ]
        if to_all:
            for number in range(self._options.partitions):
                sent[self._events, number] = list(to_all)
        try:
            await transact(self._producer, sent)
        except (ProducerFenced, InvalidProducerEpoch) as error:
            raise WriterFenced("another process writes configuration now: run the same command again") from error


def revision_headers(revision: int, *, asks: bool = False) -> list[tuple[str, bytes]]:
    """The headers of a configuration event from its writer."""
    headers = [(ENGINE_HEADER, b"1"), (REVISION_HEADER, str(revision).encode())]
    return [*headers, (ASK_HEADER, b"1")] if asks else headers


def is_configuration(event: object) -> bool:
    """Whether an event goes through the writer."""
    return isinstance(event, ConfigEvent)


def _configuration(raw: bytes, *, unknown_refused: bool = True) -> Configuration | Deleted | Refusal:
    event = decode(raw, unknown_refused=unknown_refused)
    if isinstance(event, Configuration | Deleted | Refusal):
        return event
    return Refusal(Reason.UNKNOWN_TYPE, "type: expected configuration, found an event of a client or the clock")


def _settled(event: Configuration | Deleted, raw: bytes, revision: int) -> Definition:
    return Definition(revision, None if isinstance(event, DELETED) else raw.decode())


def _may_be_refused(config: Config, event: Configuration | Deleted) -> bool:
    """Whether a partition may have a reason of its own: who uses the piece is known to the partitions only."""
    if isinstance(event, TimeBalancePlan):
        known = config.plans.get(event.plan)
        return known is not None and known.unit != event.unit
    return isinstance(event, DELETED)


def _own(key: Key, holds: str | None, revision: int) -> bytes:
    """The event by which every partition has that definition again, under an identity that nobody else's can be."""
    if holds is not None:
        values = msgspec.json.decode(holds, type=dict[str, object])
    else:
        kind, name = key
        fields = dict(zip(("base", "quote"), name.split("/"), strict=True)) if kind == "exchange_rate" else {}
        field = "plan" if kind == "time_balance_plan" else kind
        values = {"type": f"{kind}_deleted", "time": "1970-01-01T00:00:00Z", **(fields or {field: name})}
    return msgspec.json.encode(values | {"source": OWN_SOURCE, "id": f"configuration-{revision}"})


def _unanswered(found: Answers, what: str) -> str:
    numbers = ", ".join(str(number) for number in found.missing[:10])
    more = f" and {len(found.missing) - 10} more" if len(found.missing) > 10 else ""
    return f"no answer from partition {numbers}{more} in time (does a worker run?): {what}"
