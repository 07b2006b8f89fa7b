"""One crash run: real processes under load, killed at seeded moments, and the verdict on what they left behind.

``together``: `plimsoll run` does everything, and is killed. ``apart``: mailer and SMS consumer are processes of their
own; the engine is killed while they live, and they while it lives.
"""

import asyncio
import math
import random
import shutil
import socket
import time
from collections import Counter
from collections.abc import Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Final, Literal

import msgspec

from engine.log.http import HttpNotificationLog
from schemas.outputs import Delivery, Notification
from tests.integration.crash.audit import Audit, audit_folder
from tests.integration.crash.load import demo_load
from tests.integration.crash.peers import Peers, listening, name_of
from tests.integration.processes import Process, Product

Layout = Literal["together", "apart"]

PARTITIONS: Final = 12
_BETWEEN_SECONDS: Final = (0.1, 0.5)
_AT_START: Final = 0.15  # of the kills, so many hit a process that is still recovering
_AT_START_SECONDS: Final = 1.5
_VICTIMS: Final[dict[Layout, tuple[str, ...]]] = {
    "together": ("engine",),
    "apart": ("engine", "engine", "engine", "mailer", "sms", "mailer"),
}
_PAUSE_SECONDS: Final[dict[Layout, float]] = {"together": 0.03, "apart": 0.1}
"""Of a sender between two requests: a load whose mails can be sent while the notifiers are killed too."""
_EXTRA_KILLS: Final = 2  # times the kills asked for, until enough of them landed where it matters
_GOLDEN: Final = 0.618  # steps that spread few kills over the time of an answer: chance leaves a third of it out
_AIMS_MAX: Final = 100  # looks for a moment at which an answer is due, of a kill that must find one
_STUCK_SECONDS: Final = 120.0
_LOOK_SECONDS: Final = 0.3  # each look reads everything, from an engine that has better to do
_LANDED_MIN: Final = (
    0.1  # of the kills, so many must find something written but not answered, and something not written
)

_decode_notification = msgspec.json.Decoder(Notification).decode


class Report(msgspec.Struct):
    """What a run did. ``caught``: kills of the engine with unanswered events; ``landed_…``: kills after which some of
    those were found durable, or absent. ``again``: messages that arrived more than once, allowed while in flight."""

    layout: Layout
    seed: int
    kills: dict[str, int]
    caught: int
    landed_durable: int
    landed_absent: int
    unanswered_durable: int
    unanswered_absent: int
    events_acknowledged: int
    events_in_log: int
    notifications: int
    deliveries: dict[str, int]
    arrived: int
    again: int
    audits: int
    seconds: float


class CrashRun:
    """``kills`` engine or notifier kills with ``seed``; an audit of the whole store after every ``audit_every``."""

    def __init__(self, layout: Layout, seed: int, kills: int, folder: Path, audit_every: int = 1) -> None:
        self._layout: Layout = layout
        self._seed = seed
        self._kills_min = kills
        self._enough = max(1, round(_LANDED_MIN * kills))
        self._folder = folder
        self._audit_every = audit_every
        self._chance = random.Random(seed)
        self._port = free_port()
        self._load = demo_load(f"http://127.0.0.1:{self._port}", seed, pause_seconds=_PAUSE_SECONDS[layout])
        self._kills: Counter[str] = Counter()
        self._processes: dict[str, Process] = {}
        self._caught = 0
        self._aim = self._chance.random()
        self._audits = 0
        self._final: dict[str, int] = {}
        """By the id of a message that is recorded as sent, how often it had arrived by then."""

    async def run(self, tell: Callable[[str], None] = lambda line: None) -> Report:
        """Raises AssertionError where anything acknowledged, decided or recorded was lost or doubled."""
        started = time.monotonic()
        async with AsyncExitStack() as stack:
            peers = await stack.enter_async_context(listening())
            stack.callback(self._kill_all)
            peers.write_configuration(self._folder / "plimsoll.toml")
            await self._start_all()
            await self._load.prepare()
            sending = asyncio.create_task(self._load.run())
            while not self._done():
                await self._kill_one(peers, sending)
                tell(f"{sum(self._kills.values())} kills, {len(self._load.acknowledged):,} events acknowledged")
            self._load.stop()
            await sending
            self._load.finish()
            await self._drained()
            for name in reversed(list(self._processes)):
                code = await asyncio.to_thread(self._processes[name].stop)
                assert code == 0, (name, self._processes[name].errors)
            found = self._audit(self._data)
            return self._judged(found, peers, time.monotonic() - started)

    @property
    def _data(self) -> Path:
        return self._folder / "data"

    def _done(self) -> bool:
        kills = sum(self._kills.values())
        landed = self._load.kills_durable >= self._enough and self._load.kills_absent >= self._enough
        return kills >= self._kills_min and (landed or kills >= self._kills_min * (1 + _EXTRA_KILLS))

    @property
    def _aimed(self) -> bool:
        """Whether the kills asked for are done, and more follow for what they have not found."""
        return sum(self._kills.values()) >= self._kills_min

    # Processes

    def _process(self, name: str) -> Process:
        configuration = str(self._folder / "plimsoll.toml")
        if name != "engine":
            return Process(name, "--engine", self._load.url, "--config", configuration)
        alone = () if self._layout == "together" else ("--no-mailer", "--no-sms")
        return Product(self._data, "--config", configuration, *alone, port=self._port)

    async def _start(self, name: str) -> None:
        self._processes[name] = process = self._process(name)
        if isinstance(process, Product):
            await asyncio.to_thread(process.started)

    async def _start_all(self) -> None:
        for name in ("engine",) if self._layout == "together" else ("engine", "mailer", "sms"):
            await self._start(name)

    def _kill_all(self) -> None:
        for process in self._processes.values():
            process.kill()

    # Kills

    async def _kill_one(self, peers: Peers, sending: "asyncio.Task[None]") -> None:
        victim = "engine" if self._aimed else self._chance.choice(_VICTIMS[self._layout])
        await asyncio.sleep(self._chance.uniform(*_BETWEEN_SECONDS))
        if victim == "engine":
            await self._kill_engine(peers)
        else:
            self._kills[victim] += 1
            self._processes[victim].kill()
            await self._note_recorded(peers)
        assert not sending.done(), sending.exception()
        await self._start(victim)

    async def _kill_engine(self, peers: Peers) -> None:
        await self._moment()
        self._kills["engine"] += 1
        self._processes["engine"].kill()
        self._caught += self._load.killed() > 0
        copy = self._folder / "copy"  # looked into in its stead: opening it would end the recovery that is under test
        shutil.copytree(self._data, copy)
        try:
            if sum(self._kills.values()) % self._audit_every == 0:
                found = await asyncio.to_thread(self._audit, copy)
                for delivery in found.deliveries:
                    self._note(found.notifications[delivery.notification], delivery.outcome, peers)
        finally:
            shutil.rmtree(copy)
        if self._chance.random() < _AT_START:
            recovering = self._process("engine")
            await asyncio.sleep(self._chance.uniform(0.3, _AT_START_SECONDS))
            recovering.kill()
            self._kills["engine at its start"] += 1

    async def _moment(self) -> None:
        """Returns when the engine is to be killed: anywhere in the time of an answer and a little after it.

        Once the kills asked for are done, and too few found what must be found, it is a moment before an answer.
        """
        first, last = 0.0, 1.3
        if self._aimed:
            first, last = (0.0, 0.3) if self._load.kills_absent < self._enough else (0.5, 1.0)
        for _ in range(_AIMS_MAX):
            self._load.begun.clear()
            await self._load.begun.wait()
            self._aim = (self._aim + _GOLDEN) % 1
            await asyncio.sleep((first + (last - first) * self._aim) * self._load.latency_seconds)
            if not self._aimed or self._load.under_way:
                return

    async def _note_recorded(self, peers: Peers) -> None:
        """A notifier was killed and the engine lives: asks it what is recorded."""
        for channel, consumer in (("email", "mailer"), ("sms", "sms")):
            notifications, settled = await self._settled(channel, consumer)
            for notification in notifications:
                if notification.notification in settled:
                    self._note(notification, "sent", peers)

    def _note(self, notification: Notification, outcome: str, peers: Peers) -> None:
        name = name_of(notification)
        if outcome == "sent" and peers.arrived[name]:
            self._final.setdefault(name, peers.arrived[name])

    async def _settled(self, channel: str, consumer: str) -> tuple[list[Notification], frozenset[str]]:
        notifications: list[Notification] = []
        async with await HttpNotificationLog.open(self._load.url, None) as log:
            for partition in range(log.partitions):
                offset = 0
                while records := await log.read(partition, offset, 1000):
                    offset = records[-1].offset + 1
                    notifications += [_decode_notification(record.value) for record in records]
            mine = [one for one in notifications if one.channel == channel]
            settled = frozenset[str]()
            for start in range(0, len(mine), 5000):
                names = [one.notification for one in mine[start : start + 5000]]
                settled |= await log.settled(consumer, names)
        return mine, settled

    async def _drained(self) -> None:
        """Returns once every notification decided so far has an outcome; fails where they become no fewer."""
        for channel, consumer in (("email", "mailer"), ("sms", "sms")):
            fewest, deadline = math.inf, math.inf
            while True:
                notifications, settled = await self._settled(channel, consumer)
                left = len(notifications) - len(settled)
                if left == 0:
                    break
                for name, process in self._processes.items():
                    assert process.popen.poll() is None, f"{name} ended: {process.errors[-5:]}"
                if left < fewest:
                    fewest, deadline = left, time.monotonic() + _STUCK_SECONDS
                errors = {name: process.errors[-3:] for name, process in self._processes.items()}
                assert time.monotonic() < deadline, f"{consumer}: {left} have no outcome: {errors}"
                await asyncio.sleep(_LOOK_SECONDS)

    # Verdict

    def _audit(self, folder: Path) -> Audit:
        """The store against a replay of its log, and against what senders were told up to now."""
        acknowledged = dict(self._load.acknowledged)
        sent = set(self._load.sent)
        found = audit_folder(folder, PARTITIONS)
        self._audits += 1
        found.check()
        for identity, status in acknowledged.items():
            wanted = 0 if status == "refused" else PARTITIONS if identity in self._load.configuration else 1
            assert found.accepted[identity] == wanted, (
                f"{identity}: {status}, accepted {found.accepted[identity]} times"
            )
        assert found.accepted.keys() <= sent, "the log has events that nobody sent"
        twice = [name for name, count in Counter(one.notification for one in found.deliveries).items() if count > 1]
        assert not twice, f"more than one delivery record: {twice}"
        return found

    def _judged(self, found: Audit, peers: Peers, seconds: float) -> Report:
        by_name = {name_of(one): one for one in found.notifications.values()}
        outcomes: dict[str, Delivery] = {delivery.notification: delivery for delivery in found.deliveries}
        for name, one in by_name.items():
            outcome = outcomes[one.notification].outcome if one.notification in outcomes else None
            if outcome == "sent":
                assert peers.arrived[name] >= 1, f"recorded as sent and never arrived: {one.notification}"
            if name in self._final:
                times = (self._final[name], peers.arrived[name])
                assert times[0] == times[1], f"sent again after it was recorded: {one.notification}, {times}"
        assert peers.arrived.keys() <= by_name.keys(), "messages arrived that were never decided"
        assert found.accepted.keys() <= self._load.acknowledged.keys()
        load, enough = self._load, self._enough
        assert load.kills_durable >= enough, (
            f"only {load.kills_durable} kills found unanswered events that were durable"
        )
        assert load.kills_absent >= enough, f"only {load.kills_absent} kills found unanswered events that were absent"
        return Report(
            layout=self._layout,
            seed=self._seed,
            kills=dict(self._kills),
            caught=self._caught,
            landed_durable=load.kills_durable,
            landed_absent=load.kills_absent,
            unanswered_durable=load.durable,
            unanswered_absent=load.absent,
            events_acknowledged=len(load.acknowledged),
            events_in_log=found.events,
            notifications=len(found.notifications),
            deliveries=dict(Counter(delivery.outcome for delivery in found.deliveries)),
            arrived=len(peers.arrived),
            again=sum(count > 1 for count in peers.arrived.values()),
            audits=self._audits,
            seconds=round(seconds, 1),
        )


def free_port() -> int:
    """One that nobody listens on: a product that is started again keeps it."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
