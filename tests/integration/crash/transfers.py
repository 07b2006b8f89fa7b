"""``make transfers``: transfers under SIGKILL, and the sum of money after each.

The real process is killed at seeded moments while transfers are sent to it. After every kill what lies on the disk is
audited before it is started again, and at the end once more: the sum of money of each currency is what was paid in, to
the micro-unit; what is held is held by its sender; each transfer that was taken has one leg and one outcome; and the
log, folded again by the core alone, gives what the store has.
"""

import argparse
import asyncio
import random
import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

import msgspec

from engine.store.rocks import RocksStore
from schemas.money import format_money
from tests.integration.crash.load import Load
from tests.integration.crash.run import PARTITIONS, free_port
from tests.integration.crash.transfer_events import CLIENTS, TransferEvents
from tests.integration.crash.transfer_ledger import TransferLedger
from tests.integration.processes import Product

_PAUSE_SECONDS: Final = 0.15  # of a sender between two requests
_AT_START: Final = 0.15  # of the kills, so many are followed by one more while it recovers
_AT_START_SECONDS: Final = (0.2, 1.5)


class TransferReport(msgspec.Struct):
    """What a run did. ``kills_durable`` and ``kills_absent``: after so many kills some unanswered events were found
    written, or not written. ``money`` is the sum of each currency, the same at every one of the ``audits``."""

    seed: int
    transfers: int
    clients: int
    kills: int
    kills_at_start: int
    kills_durable: int
    kills_absent: int
    audits: int
    settled: int
    between_partitions: int
    converted: int
    refused: dict[str, int]
    answers: dict[str, int]
    events_in_log: int
    held_after_kills: int
    money: dict[str, str]
    seconds: float


class TransferRun:
    """``transfers`` under ``kills`` kills, spread over them by ``seed``."""

    def __init__(self, seed: int, transfers: int, kills: int, folder: Path) -> None:
        assert 0 < kills < transfers
        self._seed = seed
        self._folder = folder
        self._chance = random.Random(seed)
        self._transfers = transfers
        self._at = sorted(self._chance.sample(range(transfers * 85 // 100), kills))
        self._port = free_port()
        self._source = TransferEvents(seed, transfers)
        url = f"http://127.0.0.1:{self._port}"
        self._load = Load(url, seed, _PAUSE_SECONDS, self._source.setup(), self._source.events())
        self._product: Product | None = None
        self._kills_at_start = 0
        self._held = 0
        self._audits = 0

    async def run(self, tell: Callable[[str], None] = lambda line: None) -> TransferReport:
        """Raises AssertionError where money appeared or vanished, or anything acknowledged was lost or doubled."""
        started = time.monotonic()
        try:
            await self._start()
            await self._load.prepare()
            sending = asyncio.create_task(self._load.run())
            for number, at in enumerate(self._at, start=1):
                await self._kill(at, sending)
                tell(f"{number} kills, {self._source.written:,} transfers sent, {len(self._load.taken):,} events taken")
            await sending
            self._load.finish()
            assert self._product is not None
            code = await asyncio.to_thread(self._product.stop)
            assert code == 0, self._product.errors
        finally:
            if self._product is not None:
                self._product.kill()
        ledger = await asyncio.to_thread(self._audited, self._folder / "data")
        assert not +ledger.held, f"held with nothing in flight: {ledger.held}"
        assert set(self._load.acknowledged) == self._load.sent
        return self._report(ledger, time.monotonic() - started)

    async def _start(self) -> None:
        self._product = self._process()
        await asyncio.to_thread(self._product.started)

    def _process(self) -> Product:
        return Product(self._folder / "data", "--no-mailer", "--no-sms", port=self._port)

    async def _kill(self, at: int, sending: "asyncio.Task[None]") -> None:
        """Kills within the first request after the transfer of that number, audits, and starts again."""
        await self._request_begun(sending)
        while self._source.written < at:
            await self._request_begun(sending)
        await asyncio.sleep(self._chance.uniform(0, 1.3) * self._load.latency_seconds)
        assert self._product is not None
        self._product.kill()
        self._load.killed()
        copy = self._folder / "copy"  # looked into in its stead: opening it would end the recovery that is under test
        shutil.copytree(self._folder / "data", copy)
        try:
            ledger = await asyncio.to_thread(self._audited, copy)
            self._held += ledger.held.total() > 0
        finally:
            shutil.rmtree(copy)
        if self._chance.random() < _AT_START:
            recovering = self._process()
            await asyncio.sleep(self._chance.uniform(*_AT_START_SECONDS))
            recovering.kill()
            self._kills_at_start += 1
        await self._start()

    async def _request_begun(self, sending: "asyncio.Task[None]") -> None:
        self._load.begun.clear()
        begun = asyncio.create_task(self._load.begun.wait())
        await asyncio.wait({begun, sending}, return_when=asyncio.FIRST_COMPLETED)
        begun.cancel()
        if sending.done():
            await sending
            raise AssertionError(f"everything was sent before the last of {len(self._at)} kills")

    def _audited(self, folder: Path) -> TransferLedger:
        taken, sent = set(self._load.taken), set(self._load.sent)
        store = RocksStore(folder)
        try:
            ledger = TransferLedger(store, PARTITIONS)
        finally:
            store.close()
        self._audits += 1
        ledger.check()
        lost = [identity for identity in taken if not ledger.found.accepted[identity]]
        assert not lost, f"acknowledged and not in the log: {lost[:5]}"
        assert ledger.found.accepted.keys() <= sent, "the log has events that nobody sent"
        return ledger

    def _report(self, ledger: TransferLedger, seconds: float) -> TransferReport:
        load = self._load
        return TransferReport(
            seed=self._seed,
            transfers=self._source.written,
            clients=CLIENTS,
            kills=len(self._at),
            kills_at_start=self._kills_at_start,
            kills_durable=load.kills_durable,
            kills_absent=load.kills_absent,
            audits=self._audits,
            settled=len(ledger.settled),
            between_partitions=ledger.crossed,
            converted=ledger.converted,
            refused=dict(sorted(ledger.refused.items())),
            answers=dict(sorted(load.answers.items())),
            events_in_log=ledger.found.events,
            held_after_kills=self._held,
            money={currency: format_money(sum_) for currency, sum_ in sorted(ledger.sums.items())},
            seconds=round(seconds, 1),
        )


def main() -> None:
    """One run; its report on standard output. ``--seed`` repeats it."""
    parser = argparse.ArgumentParser(prog="python -m tests.integration.crash.transfers", description=__doc__)
    parser.add_argument("--transfers", type=int, default=10_000)
    parser.add_argument("--kills", type=int, default=40)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    arguments = parser.parse_args()
    print(f"{arguments.transfers:,} transfers, {arguments.kills} kills, seed {arguments.seed}", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        run = TransferRun(arguments.seed, arguments.transfers, arguments.kills, Path(folder))
        report = asyncio.run(run.run(lambda line: print(f"  {line}", flush=True)))
    print(msgspec.json.format(msgspec.json.encode(report), indent=2).decode(), flush=True)


if __name__ == "__main__":
    main()
