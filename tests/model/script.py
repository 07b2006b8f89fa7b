"""A small notation for tests of the model: events in, chosen fields of the outputs out."""

from __future__ import annotations

import json
from typing import Any

from .replay import replay

Fields = dict[str, Any]  # JSON as a test writes it, or as it comes out


class Script:
    """Collects events, each with an id of its own, and replays them."""

    def __init__(self) -> None:
        self.lines: list[bytes] = []

    def raw(self, line: bytes) -> Script:
        self.lines.append(line)
        return self

    def add(self, kind: str, time: str, /, **fields: object) -> Script:
        """An event; `time` may leave out the date's `2026-03-` and the seconds: `02T10:00`."""
        event = {"type": kind, "source": "s", "id": f"e{len(self.lines)}", "time": full(time), **fields}
        if "at" in fields:
            event["at"] = full(str(fields["at"]))
        return self.raw(json.dumps(event).encode())

    def client(self, client: str = "c", time: str = "01T00:00", **fields: Any) -> Script:
        return self.add("client", time, client=client, **{"currency": "EUR", **fields})

    def on(self, kind: str, time: str, /, client: str = "c", **fields: Any) -> Script:
        """An event of a client."""
        return self.add(kind, time, client=client, **fields)

    def run(self, until: str | None = None, final: bool = False) -> list[Fields]:
        return replay(self.lines, None if until is None else full(until), final)

    def last(self, until: str | None = None) -> Fields:
        """The last change."""
        return [one for one in self.run(until) if one["output"] == "change"][-1]

    def only(self, output: str, until: str | None = None) -> list[Fields]:
        return [one for one in self.run(until) if one["output"] == output]

    def sent(self, until: str | None = None) -> list[str]:
        """Every notification as `time kind rule sequence`, the time without month and seconds."""
        return [
            f"{str(one['at'])[8:16]} {one['kind']} {one['rule']} {one['sequence']}"
            for one in self.only("notification", until)
        ]

    def reasons(self) -> list[str]:
        return [one["reason"] for one in self.only("rejection")]


def full(time: str) -> str:
    if time.count("-") < 2:
        time = f"2026-03-{time}"
    if time.count(":") == 1:
        time = f"{time}:00"
    return time if time.endswith("Z") or "+" in time else f"{time}Z"
