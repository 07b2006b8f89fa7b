"""The benchmark on Kafka in small: what it measures is done, and what it says of it is counted rightly."""

import re
import secrets
from pathlib import Path

import pytest

from benchmarks.kafka_cluster import PARTITIONS, Broker, connected
from benchmarks.kafka_latency import Paces, paced
from benchmarks.kafka_restore import restore
from benchmarks.kafka_throughput import Book, Ours, Sizes
from benchmarks.peers.environment import LOCK
from schemas.topics import Topic

CLIENTS = 50
CHARGES = 400
PACES = Paces((100,), 0.2, 0.2, 0.5)


@pytest.mark.kafka
async def test_rounds_latency_and_restore_are_of_the_real_worker(broker: str, tmp_path: Path) -> None:
    async with connected(broker) as cluster:
        named = Broker(broker, None)
        ours = Ours(cluster, named, f"t{secrets.token_hex(4)}-", tmp_path, Sizes(CLIENTS, CHARGES, {}, 1))
        await ours.prepare()
        worker = ours.worker(f"0-{PARTITIONS - 1}")
        try:
            await ours.until_caught_up([worker])
            (measured,) = await ours.rounds([worker])
            paces = await paced(cluster, ours, worker, PACES.rates[0], PACES)
        finally:
            worker.stop()
        assert measured.events == CHARGES
        assert measured.cpu > 0
        assert len(paces.took) == 50
        changes = await ours.book.agrees(cluster, ours.prefix + Topic.CHANGES.value)
        assert changes > CLIENTS
        restored = restore(ours, tmp_path)
        assert restored.records > CLIENTS
        assert restored.keys > CLIENTS


def test_a_book_is_what_was_opened_less_what_was_charged() -> None:
    book = Book()
    lines = book.lines(2, 100, 1)
    charged = sum(int(digits) for line in lines for digits in re.findall(rb'"amount":"0\.(\d{6})"', line.value))
    assert sum(book.spent.values()) == charged


def test_the_peers_are_locked_with_hashes_and_no_host() -> None:
    text = LOCK.read_text(encoding="utf-8")
    assert re.search(r"^quixstreams==3\.28\.", text, re.MULTILINE)
    assert "://" not in text
    pinned = re.findall(r"^[a-z][\w.-]*==\S+.*\\\n(    --hash=sha256:[0-9a-f]{64})", text, re.MULTILINE)
    assert len(pinned) == len(re.findall(r"^[a-z]", text, re.MULTILINE))
