"""What a worker answers to readers: of its own partitions from their committed state, of the others by asking."""

from collections.abc import Callable, Mapping
from typing import Final
from urllib.parse import quote

import msgspec
from aiokafka.errors import KafkaError

from engine.core.authorization import authorize
from engine.core.state import State
from engine.core.why import why
from engine.kafka.client_history import SECONDS_MAX, LogHistories
from engine.kafka.shell.holdings import Holdings
from engine.kafka.shell.routing import Others
from engine.kafka.task import PartitionTask, wall_clock
from engine.log.ports import Unavailable
from engine.partition.partition import Partition
from engine.views import client_view, read_through
from schemas.answers import History, Why
from schemas.authorization import Authorization, AuthorizationRequest
from schemas.money import MoneyError
from schemas.topics import partition_of

_HISTORY_SECONDS_MAX: Final = SECONDS_MAX + 5.0

_decode_history = msgspec.json.Decoder(History).decode
_decode_why = msgspec.json.Decoder(Why).decode
_decode_authorization = msgspec.json.Decoder(Authorization).decode


class WorkerViews:
    """Port ``projections.ports.Views`` over the tasks of a worker and, for what they have not, over other workers."""

    def __init__(
        self,
        partitions: int,
        url: str,
        holdings: Holdings,
        others: Others,
        histories: LogHistories,
        owners: Callable[[], Mapping[int, str]],
        readiness: Callable[[], tuple[bool, str]],
    ) -> None:
        self._partitions = partitions
        self._url = url
        self._holdings = holdings
        self._others = others
        self._histories = histories
        self._owners = owners
        self._readiness = readiness

    async def client(self, client: str) -> bytes | None:
        """The client's view, of here or of its owner. Raises Unavailable while nobody has it."""
        state = self._state(client)
        if state is not None:
            return client_view(state, client)
        response = await self._others.ask(self._owner(client), _path(client))
        return response.content if response.status_code == 200 else None

    async def why(self, client: str, rule: str | None) -> Why | None:
        """Why the client was or was not notified. Raises Unavailable while nobody has it."""
        state = self._state(client)
        if state is not None:
            return why(state, client, rule)
        params = None if rule is None else {"rule": rule}
        response = await self._others.ask(self._owner(client), _path(client) + "/why", params)
        return _decode_why(response.content) if response.status_code == 200 else None

    async def history(self, client: str, limit: int, before: int | None) -> History | None:
        """The client's history, out of the log as far as its owner is. Raises Unavailable while nobody has it, or too
        many are being read."""
        partition = self._partition(client)
        if partition is None:
            params = {"limit": str(limit)} | ({} if before is None else {"before": str(before)})
            owner = self._owner(client)
            response = await self._others.ask(owner, _path(client) + "/history", params, seconds=_HISTORY_SECONDS_MAX)
            return _decode_history(response.content) if response.status_code == 200 else None
        state = read_through(partition.state)
        if state.balances.find(client) is None:
            return None
        number, end, clock = partition_of(client, self._partitions), partition.next_offset_of_events, state.clock
        try:
            return await self._histories.read(client, number, end, clock, limit=limit, before=before)
        except KafkaError as error:
            raise Unavailable(f"the log of the cluster cannot be read: {type(error).__name__}: {error}") from error

    async def authorize(self, request: AuthorizationRequest) -> Authorization:
        """Whether a usage may begin. Raises MoneyError, and Unavailable while nobody has the client."""
        state = self._state(request.client)
        if state is not None:
            return authorize(state, request, max(state.clock, wall_clock()))
        response = await self._others.post(self._owner(request.client), "/v1/authorize", msgspec.json.encode(request))
        if response.status_code != 200:
            raise MoneyError("expected money as the contract has it, found something else")
        return _decode_authorization(response.content)

    def ready(self) -> tuple[bool, str]:
        """Whether all partitions that this worker owns are caught up, and a sentence."""
        return self._readiness()

    def _state(self, client: str) -> State | None:
        """Committed state of the client's partition, to be read before the next ``await``; None: not here."""
        partition = self._partition(client)
        return None if partition is None else read_through(partition.state)

    def _partition(self, client: str) -> Partition | None:
        holding = self._holdings.find(partition_of(client, self._partitions))
        if holding is None or not isinstance(holding.work, PartitionTask):
            return None
        return holding.work.state

    def _owner(self, client: str) -> str:
        number = partition_of(client, self._partitions)
        url = self._owners().get(number)
        if url is None or url == self._url:
            raise Unavailable(f"nobody works on partition {number} now, which has this client; ask again in a moment")
        return url


def _path(client: str) -> str:
    return f"/v1/clients/{quote(client, safe='')}"
