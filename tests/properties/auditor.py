"""Independent arithmetic over what goes in and what comes out: money, units, counters, versions, credit history.

It knows no rule of the engine, only what must add up whatever the rules are. Money is in micro-units, exact.
"""

from collections import Counter
from datetime import UTC, datetime
from fractions import Fraction

from tests.properties.drafts import Json

Rows = dict[str, Json]
UP = {"payment": 1, "charge": -1, "transfer": -1}
ADJUSTMENT = {"refund": 1, "manual_charge": -1, "reversal": -1}


def micros(text: object) -> int:
    """Micro-units of a decimal string."""
    value = Fraction(str(text)) * 1_000_000
    assert value.denominator == 1, text
    return value.numerator


class Books:
    """What the auditor keeps of one client, from its changes alone."""

    def __init__(self) -> None:
        self.version = 0
        self.at = datetime.min.replace(tzinfo=UTC)
        self.live = 0
        self.credit: dict[str, object] = {"permanent": "0", "temporary": "0"}
        self.rows: Rows = {}


class Auditor:
    """Takes each event with its outputs; every finding is an AssertionError that names the output."""

    def __init__(self) -> None:
        self.books: dict[str, Books] = {}
        self.paid_in = 0
        self.paid_out = 0
        self._sent = 0
        self.units: Counter[str] = Counter()
        self._ids: set[str] = set()
        self._sequences: dict[tuple[str, str], tuple[int, int]] = {}
        self._plan_units: dict[str, int] = {}

    def look(self, event: Json | None, outputs: list[Json]) -> None:
        """One event and all that came out for it, the clock's outputs before it included."""
        refused = any(output["output"] == "rejection" for output in outputs)
        if event is not None and event.get("type") == "time_balance_plan" and not refused:
            units = event["units"]
            assert isinstance(units, int)
            self._plan_units[str(event["plan"])] = units
        for number, output in enumerate(outputs):
            match output["output"]:
                case "change":
                    self._change(event, output, outputs[number:])
                case "credit_history":
                    self._credit(output)
                case "notification":
                    self._notification(output, outputs[number + 1 :])
                case _:
                    pass

    def close(self) -> None:
        """At the end: what is held is what came in less what went out; every unit given is somewhere."""
        held = sum(books.live for books in self.books.values())
        assert held == self.paid_in - self.paid_out, (held, self.paid_in, self.paid_out)
        left = sum(_left(books.rows) for books in self.books.values())
        assert self.units["given"] == left + self.units["spent"] + self.units["expired"], (left, self.units)

    # Changes

    def _change(self, event: Json | None, change: Json, following: list[Json]) -> None:
        client = str(change["client"])
        books = self.books.setdefault(client, Books())
        assert change["version"] == books.version + 1, change
        at = datetime.fromisoformat(str(change["at"]))
        assert at >= books.at, change
        books.version, books.at = books.version + 1, at
        caused = event if change["cause"] is not None else None
        self._view(change)
        self._money(books, client, caused, change)
        self._units(books, caused, change, following)

    def _view(self, change: Json) -> None:
        credit = change["credit"]
        assert isinstance(credit, dict)
        live = micros(change["live"])
        if credit["permanent"] is None:
            assert change["available"] is None, change
            assert change["status"] == "active", change
        else:
            available = live + micros(credit["permanent"]) + micros(credit["temporary"])
            assert micros(change["available"]) == available, change
            assert change["status"] == ("active" if available > 0 else "exhausted"), change
        assert micros(credit["temporary"]) >= 0, change
        assert micros(change["unallocated"]) >= 0, change

    def _money(self, books: Books, client: str, event: Json | None, change: Json) -> None:
        moved = micros(change["live"]) - books.live
        books.live += moved
        if moved > 0:
            self.paid_in += moved
        else:
            self.paid_out -= moved
        sign, amount = _due(event, change)
        if event is not None and event["type"] == "transfer" and client != event["client"]:
            assert moved == self._sent > 0, change
        elif event is not None and event["type"] == "charge" and event.get("usage") is not None:
            assert -amount <= moved <= 0, change
        else:
            assert moved == sign * amount, (moved, sign * amount, change)
        self._sent = -moved

    # Units

    def _units(self, books: Books, event: Json | None, change: Json, following: list[Json]) -> None:
        listed = change["time_balances"]
        assert isinstance(listed, list)
        rows: Rows = {str(row["grant"]): row for row in listed}
        assert len(rows) == len(listed), change
        for row in rows.values():
            assert _count(row, "granted") == _count(row, "used") + _count(row, "left"), change
            assert min(_count(row, "used"), _count(row, "left")) >= 0, change
        kind = None if event is None else str(event["type"])
        action = str(event["action"]) if event is not None and kind == "time_balance" else None
        before, books.rows = books.rows, rows
        for grant in () if action == "renew" else before.keys() & rows.keys():
            used = _count(rows[grant], "used") - _count(before[grant], "used")
            assert used == 0 or (kind == "charge" if used > 0 else kind == "adjustment"), change
            assert action == "top_up" or rows[grant]["granted"] == before[grant]["granted"], change
        given = 0 if event is None or action in (None, "cancel") else self._given(event, before)
        expired = _expired(following, str(change["client"]))
        left = {True: _left(before), False: _left(rows)}
        spent = left[True] + given - left[False] - expired
        match kind, action:
            case "charge", _:
                assert spent >= 0, change
            case ("adjustment", _) | (_, "renew"):  # given back, or raised to the least that rolls over
                assert spent <= 0, change
            case _:
                assert spent == 0, change
        self.units["given"] += given
        self.units["expired"] += expired
        self.units["spent"] += spent

    def _given(self, event: Json, before: Rows) -> int:
        """Units that an accepted grant, renewal or top-up adds: its own, else the plan's."""
        units = event.get("units")
        if isinstance(units, int):
            return units
        plan = event.get("plan") or before[str(event["grant"])]["plan"]
        return self._plan_units[str(plan)]

    # Credit history and notifications

    def _credit(self, line: Json) -> None:
        books, part = self.books[str(line["client"])], str(line["part"])
        assert books.credit[part] == line["from"], line
        books.credit[part] = line["to"]

    def _notification(self, note: Json, following: list[Json]) -> None:
        name = str(note["notification"])
        assert name not in self._ids, note
        self._ids.add(name)
        client, rule, sequence = str(note["client"]), str(note["rule"]), note["sequence"]
        episode = note["episode"]
        assert isinstance(sequence, int)
        assert isinstance(episode, int)
        parts = (client, note["kind"], rule, episode, sequence, note["channel"])
        assert name == "/".join(str(part) for part in parts), note
        assert note["to"], note
        if note["kind"] not in ("low_balance", "recovered"):
            assert sequence == 1, note
            return
        same_money = note["currency"] == note["threshold_currency"]
        if note["kind"] == "recovered":
            assert sequence == 0, note
            assert note["available"] is None or not same_money or micros(note["available"]) >= micros(note["threshold"])
            return
        foreseen = "runway_seconds" in note  # such a rule may tell of what is only expected
        assert foreseen or not same_money or micros(note["available"]) < micros(note["threshold"]), note
        assert note["max"] is None or sequence <= int(str(note["max"])), note
        last, last_episode = self._sequences.get((client, rule), (0, 0))
        second_channel = (sequence, episode) == (last, last_episode)
        assert sequence in (1, last + 1) or second_channel, (note, last)
        assert episode >= last_episode, (note, last_episode)
        self._sequences[client, rule] = sequence, episode


def _count(row: Json, name: str) -> int:
    value = row[name]
    assert isinstance(value, int)
    return value


def _left(rows: Rows) -> int:
    return sum(_count(row, "left") for row in rows.values())


def _due(event: Json | None, change: Json) -> tuple[int, int]:
    """The sign and the amount, in the client's currency, that an event moves; of a transfer, at its sender."""
    kind = None if event is None else str(event["type"])
    if event is None or kind not in ("payment", "charge", "adjustment", "transfer"):
        return 0, 0
    given = event.get("amount_micros")
    amount = given if isinstance(given, int) else micros(event["amount"])
    sign = ADJUSTMENT[str(event["kind"])] if kind == "adjustment" else UP[kind]
    rate = change.get("rate")
    if rate is None:
        return sign, amount
    direct = change["rate_quote"] == change["currency"]
    factor = Fraction(str(rate))
    return sign, round(amount * factor if direct else amount / factor)


def _expired(following: list[Json], client: str) -> int:
    """Units that the change at the head of these outputs recorded as expired; what a refund lost was used before."""
    total = 0
    for output in following[1:]:
        if output["output"] == "change":
            break
        if output["output"] == "units_expired" and output["client"] == client and output["reason"] != "refund_lost":
            total += _count(output, "units")
    return total
