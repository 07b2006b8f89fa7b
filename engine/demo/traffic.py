"""Calls, payments and everything around them as a pure, seeded stream of event bytes with their instants.

The same options and start give the same bytes. Durations are drawn as floats; money is made from them by integer
arithmetic only. `charges` alone is what a benchmark wants: one kind of event, any number of clients.
"""

import heapq
import random
from collections.abc import Iterator
from typing import Annotated, Final

import msgspec

from engine.demo.scenery import CENT, SHOWCASE, Event, Subscriber, configuration, subscriber
from schemas.money import divide_half_even, format_money
from schemas.times import SECOND, format_time

SOURCE: Final = "demo"
_MONEY: Final = ("amount", "limit")
_CALL_SECONDS_MAX: Final = 7200
_MINUTE_RATES: Final = (
    ("local", 9 * CENT),
    ("mobile", 28 * CENT),
    ("international", 65 * CENT),
    ("satellite", 190 * CENT),
)
_RATE_WEIGHTS: Final = (50, 30, 17, 3)
_TOP_UP_EUR: Final = (5, 10, 10, 20, 30)

_encode = msgspec.json.Encoder().encode


class TrafficOptions(msgspec.Struct, frozen=True, kw_only=True):
    """How much of what. Rates are events a second on average."""

    seed: int = 1
    clients: Annotated[int, msgspec.Meta(ge=2, le=1_000_000)] = 300
    charges_per_second: float = 12.0
    payments_per_second: float = 0.4
    others_per_second: float = 0.6
    burst_every_seconds: int = 45
    burst_charges: int = 200
    burst_seconds: int = 2
    showcase_every_seconds: int = 2


class Timed(msgspec.Struct, frozen=True, gc=False):
    """One event and the instant at which it happens, in microseconds."""

    at: int
    raw: bytes


class Traffic:
    """The events of one run that begins at ``start``; ids carry the start, so that two runs never collide."""

    def __init__(self, options: TrafficOptions, start: int) -> None:
        self._options = options
        self._start = start
        self._draw = random.Random(options.seed)
        self._run = f"{start // SECOND:x}"
        self._count = 0
        self._subscribers: list[Subscriber] = []
        self._bursting: list[Subscriber] = []
        self._setup = [*configuration()]
        for index in range(1, options.clients + 1):
            found, events = subscriber(index, self._draw)
            self._subscribers.append(found)
            self._setup += events

    def setup(self) -> Iterator[bytes]:
        """Everything that must be there before the first call, in order."""
        for event in self._setup:
            yield self._event(event, self._start)

    def events(self) -> Iterator[Timed]:
        """Without end, in order of time, after the start."""
        options, draw = self._options, self._draw
        due = [
            (self._after(self._start, options.charges_per_second), 0, "charge"),
            (self._after(self._start, options.payments_per_second), 1, "payment"),
            (self._after(self._start, options.others_per_second), 2, "other"),
            (self._start + options.burst_every_seconds * SECOND, 3, "burst"),
            (self._start + options.showcase_every_seconds * SECOND, 4, "showcase"),
        ]
        heapq.heapify(due)
        while True:
            at, order, kind = due[0]
            if kind == "charge":
                yield self._timed(self._call(self._busy_one(), at), at)
                then = self._after(at, options.charges_per_second)
            elif kind == "payment":
                yield self._timed(self._payment(), at)
                then = self._after(at, options.payments_per_second)
            elif kind == "other":
                event = self._other(at)
                if event is not None:
                    yield self._timed(event, at)
                then = self._after(at, options.others_per_second)
            elif kind == "burst":
                self._bursting = self._some(20)
                step = options.burst_seconds * SECOND // max(1, options.burst_charges)
                for number in range(options.burst_charges):
                    heapq.heappush(due, (at + number * step, 5 + number, "call of a burst"))
                then = at + options.burst_every_seconds * SECOND
            elif kind == "showcase":
                yield self._timed(self._showcase(at), at)
                then = at + options.showcase_every_seconds * SECOND
            else:
                heapq.heappop(due)
                yield self._timed(self._call(draw.choice(self._bursting), at), at)
                continue
            heapq.heapreplace(due, (then, order, kind))

    def _after(self, at: int, per_second: float) -> int:
        return at + max(1, round(self._draw.expovariate(per_second) * SECOND))

    def _timed(self, event: Event, at: int) -> Timed:
        return Timed(at, self._event(event, at))

    def _event(self, event: Event, at: int) -> bytes:
        self._count += 1
        written: Event = {
            "type": event["type"],
            "id": f"{self._run}-{self._count}",
            "source": SOURCE,
            "time": format_time(at),
        }
        for name, value in event.items():
            written[name] = format_money(value) if name in _MONEY and isinstance(value, int) else value
        return _encode(written)

    def _some(self, count: int) -> list[Subscriber]:
        """Different clients, the showcase left out: its story is its own."""
        return self._draw.sample(self._subscribers[1:], min(count, len(self._subscribers) - 1))

    def _busy_one(self) -> Subscriber:
        """Some call much more than others: the square bends an even draw towards the first."""
        others = len(self._subscribers) - 1
        return self._subscribers[1 + int(others * self._draw.random() ** 2)]

    def _call(self, who: Subscriber, at: int) -> Event:
        seconds = call_seconds(self._draw)
        kind, rate = self._draw.choices(_MINUTE_RATES, _RATE_WEIGHTS)[0]
        amount = call_price(seconds, rate * who.scale)
        who.live_micros -= amount
        usage = {"type": kind, "quantity": seconds, "unit": "second", "started_at": format_time(at - seconds * SECOND)}
        return {"type": "charge", "client": who.client, "amount": amount, "usage": usage}

    def _payment(self) -> Event:
        """Whoever stands lowest of a handful pays, as people do once their phone stops working."""
        some = self._some(8)
        who = min(some, key=lambda one: one.available_micros // one.scale)
        amount = self._draw.choice(_TOP_UP_EUR) * 100 * CENT * who.scale * (10 if who.wholesale else 1)
        who.live_micros += amount
        kind = self._draw.choices(("payment", "top_up", "promotional_credit"), (60, 35, 5))[0]
        return {"type": "payment", "client": who.client, "amount": amount, "kind": kind}

    def _other(self, at: int) -> Event | None:
        """A credit change, a transfer, an invoice or an adjustment; None where the one drawn can do nothing."""
        draw = self._draw
        who = self._busy_one()
        kind = draw.choices(("limit", "temporary", "transfer", "invoice", "refund", "fee"), (15, 20, 25, 15, 15, 10))[0]
        if kind in ("limit", "temporary", "invoice") and not who.postpaid:
            who = next((one for one in self._some(10) if one.postpaid), who)
            if not who.postpaid:
                return None
        match kind:
            case "limit":
                who.limit_micros += draw.randint(-500, 1000) * CENT * who.scale
                who.limit_micros = max(who.limit_micros, 500 * CENT * who.scale)
                return _of(who, "credit_limit", limit=who.limit_micros, actor="u-olena", reason="review")
            case "temporary":
                until = format_time(at + draw.randint(15, 45) * SECOND)
                return _of(who, "temporary_credit", percent=draw.randint(5, 50), valid_until=until, actor="u-mark")
            case "invoice":
                amount = draw.randint(500, 5000) * CENT * who.scale
                due = format_time(at + 14 * 86_400 * SECOND)
                return _of(who, "invoice", invoice=f"i-{self._run}-{self._count}", amount=amount, due_at=due)
            case "transfer":
                return self._transfer(who)
            case "refund":
                amount = draw.randint(5, 100) * CENT * who.scale
                who.live_micros += amount
                return _of(who, "adjustment", kind="refund", amount=amount)
            case _:
                amount = draw.randint(10, 150) * CENT * who.scale
                who.live_micros -= amount
                return _of(who, "adjustment", kind="manual_charge", amount=amount)

    def _transfer(self, giver: Subscriber) -> Event | None:
        amount = self._draw.randint(50, 300) * CENT * giver.scale
        others = [one for one in self._some(10) if one is not giver and one.currency == giver.currency]
        if giver.wholesale or giver.postpaid or giver.live_micros < 2 * amount or not others:
            return None
        taker = min(others, key=lambda one: one.available_micros)
        giver.live_micros -= amount
        taker.live_micros += amount
        return _of(giver, "transfer", to=taker.client, amount=amount)

    def _showcase(self, at: int) -> Event:
        """20 cents a call until nothing is left, then a top-up that starts the story again."""
        who = self._subscribers[0]
        assert who.client == SHOWCASE
        if who.live_micros <= 0:
            who.live_micros += 560 * CENT
            return _of(who, "payment", amount=560 * CENT, kind="top_up")
        who.live_micros -= 20 * CENT
        usage = {"type": "mobile", "quantity": 60, "unit": "second", "started_at": format_time(at - 60 * SECOND)}
        return _of(who, "charge", amount=20 * CENT, usage=usage)


def _of(who: Subscriber, event_type: str, /, **fields: object) -> Event:
    return {"type": event_type, "client": who.client, **fields}


def call_seconds(draw: random.Random) -> int:
    """A call's length: most take a minute (lognormal), one in thirty has a heavy tail (Pareto); two hours at most."""
    drawn = 300 * draw.paretovariate(1.3) if draw.random() < 0.03 else draw.lognormvariate(4.1, 1.0)
    return max(1, min(_CALL_SECONDS_MAX, int(drawn)))


def call_price(seconds: int, rate_micros: int) -> int:
    """Micro-units of a call at ``rate_micros`` a minute, in increments of 6 seconds."""
    return divide_half_even(-(-seconds // 6) * 6 * rate_micros, 60)


def charges(seed: int, start: int, clients: int, per_second: int) -> Iterator[Timed]:
    """Charges alone, evenly over time and clients, without end: the load of a benchmark.

    Clients are ``c-0001`` onwards. Amounts are in micro-units under their own name, the cheapest spelling.
    """
    draw = random.Random(seed)
    run = f"{start // SECOND:x}-{seed}".encode()
    names = [f"c-{index:04d}".encode() for index in range(1, clients + 1)]
    number = 0
    second, text = -1, b""
    while True:
        at = start + number * SECOND // per_second
        if at // SECOND != second:
            second = at // SECOND
            text = format_time(second * SECOND)[:-1].encode()  # once a second: it costs more than all the rest
        amount = call_price(int(draw.expovariate(1 / 90)) + 1, 9 * CENT)
        yield Timed(
            at,
            b'{"type":"charge","id":"%s-%d","source":"bench","client":"%s","time":"%s.%06dZ","amount_micros":%d}'
            % (run, number, names[int(draw.random() * clients)], text, at % SECOND, amount),
        )
        number += 1
