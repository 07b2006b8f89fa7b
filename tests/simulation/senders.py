"""Senders: each writes the events of its own clients in order, and repeats what was not answered until it is."""

import asyncio
from typing import Final

from engine.log.ports import Answer, Ingest, Overloaded, Unavailable
from schemas.codec import decode
from schemas.events import Client
from tests.simulation.workload import Author
from tests.simulation.world import World

SUBMISSION_EVENTS_MAX: Final = 6
_GLANCES_MAX: Final = 100
SENT_MAX: Final = 10  # submissions remembered, to be sent again


class Sender:
    """Outlives processes. ``waiting`` counts its submissions that have neither an answer nor an error."""

    def __init__(self, world: World, name: str, clients: tuple[str, ...]) -> None:
        self.name = name
        self.waiting = 0
        self.pending: list[bytes] | None = None
        self._world = world
        self._author = Author(world.random, name, clients)
        self._answered: list[list[bytes]] = []
        self._is_operator = not clients
        if self._is_operator:
            self.pending = self._author.set_up(world.clock())

    async def run(self, ingest: Ingest) -> None:
        """Sends until the world wants no more; ends with the process, and goes on in the next."""
        world = self._world
        chance = world.random.random
        while self.pending is not None or world.events_left > 0:
            await self._pause()
            if not (self._is_operator or world.configured):
                continue
            if self.pending is None:
                self.pending = self._write()
            raws = self.pending
            world.sent.update(raws)
            answers = await self._submit(ingest, raws)
            if answers is None:
                continue
            if world.faults.lost_answers and not world.calm and chance() < 0.1:
                world.trace(f"{self.name}: the answers are lost")
                continue
            self._take(raws, answers)
            if world.faults.repeats and not world.calm and chance() < 0.15:
                again = world.random.choice(self._answered)
                repeated = await self._submit(ingest, again)
                world.answers += zip(again, repeated or [], strict=False)

    async def _pause(self) -> None:
        """Now and then until the clock jumps: then what is sent comes before the engine's own tick."""
        world = self._world
        seconds = world.random.random() ** 3 * (8.0 if self._is_operator and world.configured else 2.0)
        if world.calm or world.random.random() < 0.7:
            await asyncio.sleep(seconds)
            return
        skew = world.skew
        for _ in range(_GLANCES_MAX):
            await asyncio.sleep(0.03)
            if world.skew != skew:
                break

    def _write(self) -> list[bytes]:
        world = self._world
        count = min(world.events_left, 1 + world.random.randrange(SUBMISSION_EVENTS_MAX))
        world.events_left -= count
        return [self._author.write(world.clock()) for _ in range(count)]

    def _take(self, raws: list[bytes], answers: list[Answer]) -> None:
        world = self._world
        world.trace(f"{self.name}: {len(raws)} answered: {' '.join(answer.status for answer in answers)}")
        world.answers += zip(raws, answers, strict=True)
        for raw, answer in zip(raws, answers, strict=True):
            event = decode(raw)
            if answer.status != "refused" and isinstance(event, Client):
                self._author.knows(event.client)
        world.configured |= self._is_operator
        self._answered.append(raws)
        del self._answered[:-SENT_MAX]
        self.pending = None
        world.passes("answered")

    async def _submit(self, ingest: Ingest, raws: list[bytes]) -> list[Answer] | None:
        """The answers, or None where there were none; now and then twice at once, or with little patience."""
        world = self._world
        faults = None if world.calm else world.faults
        self.waiting += 1
        try:
            if faults is not None and faults.repeats and world.random.random() < 0.05:
                world.trace(f"{self.name}: sends {len(raws)} twice at once")
                twice = await asyncio.gather(self._once(ingest, raws), self._once(ingest, raws))
                world.answers += zip(raws, twice[1], strict=True)
                return twice[0]
            if faults is not None and faults.impatience and world.random.random() < 0.1:
                return await asyncio.wait_for(self._once(ingest, raws), world.random.random() * 0.01)
            return await self._once(ingest, raws)
        except TimeoutError:
            world.trace(f"{self.name}: waits no longer")
        except (Overloaded, Unavailable) as error:
            world.trace(f"{self.name}: {error}")
            await asyncio.sleep(world.random.random())
        finally:
            self.waiting -= 1
        return None

    async def _once(self, ingest: Ingest, raws: list[bytes]) -> list[Answer]:
        return await ingest.submit(raws)
