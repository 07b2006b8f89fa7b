"""One partition in memory, fed with events as JSON objects: what comes out, and what the state then is."""

import json
from typing import Any, Literal

from engine.core.fold import Record, fold, new_outcome
from engine.core.outcome import Answer, Outcome
from engine.core.records import Account, Balance, Grants
from engine.core.state import State
from schemas.codec import decode
from schemas.events import EngineEvent
from schemas.outputs import encode_output
from schemas.times import parse_time

Json = dict[str, Any]  # Any: outputs and events as a user sees them


class World:
    """``at`` is log time, ``hh:mm`` on the first of January 2026 or RFC 3339; ids are given out in order."""

    def __init__(self) -> None:
        self.state = State()
        self.out: Outcome = new_outcome(every_change=True)
        self._ids = 0

    def take(self, tag: str, at: str, /, **fields: Any) -> list[Json]:
        """Folds one event and gives its outputs; ``from`` is written ``from_``."""
        self._ids += 1
        time = at if "T" in at else f"2026-01-01T{at}:00Z"
        known = {name.removesuffix("_"): value for name, value in fields.items()}
        return self.take_raw({"type": tag, "source": "t", "id": f"e{self._ids}", "time": time, **known}, time)

    def take_raw(self, event: Json, at: str) -> list[Json]:
        """Folds one event as it stands."""
        raw = json.dumps(event).encode()
        return self.fold(Record(parse_time(at), decode(raw, engine=True), raw))

    def take_leg(self, leg: EngineEvent) -> list[Json]:
        """Folds a record that the engine wrote, at the present."""
        return self.fold(Record(self.state.clock, leg, b""))

    def fold(self, record: Record) -> list[Json]:
        """Folds one record; ``out`` is its outcome."""
        self.out = new_outcome(every_change=True)
        fold(self.state, [record], self.out)
        return [json.loads(encode_output(output)) for output in self.out.outputs]

    @property
    def answer(self) -> Answer:
        """What became of the last record."""
        return self.out.answers[-1]

    def balance(self, client: str = "c") -> Balance:
        """The client's record; it must exist."""
        balance = self.state.balances.find(client)
        assert balance is not None
        return balance

    def account(self, client: str = "c") -> Account:
        """The client's other record; it must exist."""
        account = self.state.accounts.find(client)
        assert account is not None
        return account

    def grants(self, client: str = "c") -> Grants:
        """The client's free units; it must have had some."""
        grants = self.state.grants.find(client)
        assert grants is not None
        return grants


def reason_of(outputs: list[Json]) -> str:
    """The reason of the one rejection that came out."""
    (output,) = outputs
    assert output["output"] == "rejection", output
    reason = output["reason"]
    assert isinstance(reason, str)
    return reason


def client_world(model: Literal["prepaid", "postpaid"] = "prepaid", **settings: Any) -> World:  # Any: JSON
    """A world with client ``c`` in USD."""
    world = World()
    (change,) = world.take("client", "09:00", client="c", currency="USD", model=model, **settings)
    assert change["version"] == 1
    return world
