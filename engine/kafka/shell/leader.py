"""What one worker of the group does for all: ask each how it is, and say which partitions nobody works on."""

import asyncio
from collections.abc import Callable, Iterable
from typing import Final

import msgspec

from engine.kafka.shell.door import STATUS_PATH
from engine.kafka.shell.hooks import LOOK_SECONDS
from engine.kafka.shell.metrics import ShellMetrics
from engine.kafka.shell.routing import Others
from engine.kafka.shell.status import GroupStatus, WorkerStatus, group_of
from engine.log.ports import Unavailable

_LOOKS_BEFORE_TOLD: Final = 3  # a hand-over takes less than that: what lasts longer is told

_decode = msgspec.json.Decoder(WorkerStatus).decode


class Leader:
    """Looks at the group now and then. ``urls``: of all workers, as the group knows them."""

    def __init__(
        self,
        partitions: int,
        others: Others,
        metrics: ShellMetrics,
        tell: Callable[[str], None],
        urls: Callable[[], Iterable[str]],
        status: Callable[[], WorkerStatus],
    ) -> None:
        self._partitions = partitions
        self._others = others
        self._metrics = metrics
        self._tell = tell
        self._urls = urls
        self._status = status
        self._looks: dict[int, int] = {}

    async def look(self) -> None:
        """One look at the group. Only the leader's is called."""
        own = self._status()
        others = sorted({*self._urls()} - {own.url})
        answers = await asyncio.gather(*(self._ask(url) for url in others))
        self._say(group_of({own.url: own} | {each.url: each for each in answers if each is not None}, self._partitions))

    def _say(self, group: GroupStatus) -> None:
        self._metrics.workers.set(group.workers)
        self._metrics.unworked.set(len(group.unworked))
        self._metrics.behind.set(len(group.behind))
        self._metrics.unwatched.set(len(group.unwatched))
        self._looks = {number: self._looks.get(number, 0) + 1 for number in group.unworked}
        lasting = [number for number, looks in sorted(self._looks.items()) if looks == _LOOKS_BEFORE_TOLD]
        if lasting:
            named = ",".join(map(str, lasting))
            self._tell(f"nobody has worked on partition {named} for {LOOK_SECONDS * _LOOKS_BEFORE_TOLD:g} s")

    async def _ask(self, url: str) -> WorkerStatus | None:
        try:
            response = await self._others.ask(url, STATUS_PATH)
            return _decode(response.content) if response.status_code == 200 else None
        except (Unavailable, msgspec.MsgspecError):
            return None
