"""What readers of the embedded runtime see: a client's view, why, and its history (port ``projections.ports.Views``).

Views and reasons come from the state between two commits, on the event loop. What is written and not yet synced is
seen: a power cut can take it back, the end of the process cannot. A history is read from the durable log and folded
in a thread, one at a time, so that the engine keeps its core.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Iterator
from typing import Final

from engine.core.authorization import authorize
from engine.core.state import State
from engine.core.why import why
from engine.embedded.engine import EmbeddedEngine
from engine.history import FOR_OTHERS, EventPlace, HistoryFold, refused_for_others
from engine.log.chunks import chunk_key, decode_chunk, may_hold, unpacked
from engine.log.ports import Unavailable
from engine.store.ports import LOG, Store
from engine.views import client_view, read_through
from schemas.answers import History, Why
from schemas.authorization import Authorization, AuthorizationRequest
from schemas.topics import Topic

HISTORY_RECORDS_MAX: Final = 20_000_000  # of one partition, read for one answer: some seconds of a thread
_HISTORIES_WAITING_MAX: Final = 8
_OTHERS_SENTENCE: Final = "other histories are being read; ask again in a moment"


class EmbeddedViews:
    """``Views`` over an embedded engine and its store."""

    def __init__(self, engine: EmbeddedEngine, store: Store, *, history_records_max: int = HISTORY_RECORDS_MAX) -> None:
        self._engine = engine
        self._store = store
        self._history_records_max = history_records_max
        self._reading = asyncio.Lock()
        self._waiting = 0

    async def client(self, client: str) -> bytes | None:
        """The client's view; ``at`` is the log time of its partition now, ``cause`` is null: nothing caused a look."""
        return client_view(self._state(client), client)

    async def why(self, client: str, rule: str | None) -> Why | None:
        """Why the client was or was not notified."""
        return why(self._state(client), client, rule)

    async def history(self, client: str, limit: int, before: int | None) -> History | None:
        """The latest entries before entry ``before``; None for an unknown client. Raises Unavailable when too many
        are asked for at once."""
        state = self._state(client)
        if state.balances.find(client) is None:
            return None
        if self._waiting >= _HISTORIES_WAITING_MAX:
            raise Unavailable(_OTHERS_SENTENCE)
        number = self._engine.route(client)
        end = self._engine.durable_end(number, Topic.EVENTS)
        if end > self._history_records_max:
            sentence = (
                f"the log of the client's partition has {end} records, and at most {self._history_records_max} are "
                "read for an answer: replay an export of the log instead"
            )
            return History(client, [], cut=True, sentence=sentence)
        rejections_end = self._engine.durable_end(number, Topic.REJECTIONS)
        self._waiting += 1
        try:
            async with self._reading:
                return await asyncio.to_thread(
                    self._read_history, client, number, limit, before, end, rejections_end, state.clock
                )
        finally:
            self._waiting -= 1

    async def authorize(self, request: AuthorizationRequest) -> Authorization:
        """Whether a usage may begin, as things stand between two commits."""
        self._engine.note_reader()
        return authorize(self._state(request.client), request, self._engine.now())

    def ready(self) -> tuple[bool, str]:
        """Whether events are taken now, and a sentence."""
        return self._engine.ready()

    def _state(self, client: str) -> State:
        return read_through(self._engine.partitions[self._engine.route(client)].state)

    def _read_history(
        self, client: str, number: int, limit: int, before: int | None, end: int, rejections_end: int, clock: int
    ) -> History:
        refused = self._refused_for_others(number, rejections_end)
        folded = HistoryFold(client, limit=limit, before=before, refused=refused)
        for value in self._values(number, Topic.EVENTS, end):
            if may_hold(value, client) or may_hold(value, ""):  # configuration and ticks have the empty key
                for record in decode_chunk(value):
                    if record.key == client or not record.key:
                        folded.take(record)
        folded.move_clock(clock)
        return folded.history()

    def _refused_for_others(self, number: int, end: int) -> Counter[EventPlace]:
        """How often configuration was refused because of clients that use it."""
        found: Counter[EventPlace] = Counter()
        for value in self._values(number, Topic.REJECTIONS, end):
            if not any(reason.encode() in value for reason in FOR_OTHERS):
                continue
            for record in decode_chunk(value):
                name = refused_for_others(record.value)
                if name is not None:
                    found[record.at, *name] += 1
        return found

    def _values(self, number: int, topic: Topic, end: int) -> Iterator[bytes]:
        for _, value in self._store.scan(LOG, chunk_key(number, topic, 0), chunk_key(number, topic, end)):
            yield unpacked(value)
            time.sleep(0)  # lets go of the interpreter: the event loop must not wait for a reader
