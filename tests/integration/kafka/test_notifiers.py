"""``plimsoll mailer`` and ``plimsoll sms`` on a real broker: killed, stopped, and still nothing lost or sent twice."""

import asyncio
import random
import signal
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from notifiers.mail import message_id
from schemas.outputs import encode_output
from schemas.topics import partition_of
from tests.fakes.http_peer import HttpPeer
from tests.fakes.notifications import notification
from tests.fakes.smtp_peer import SmtpPeer
from tests.integration.kafka.notification_bench import PARTITIONS, SECONDS_MAX, KafkaBench
from tests.integration.processes import Process
from tests.integration.torture.brokers import Brokers

pytestmark = pytest.mark.kafka

CONCURRENCY = 4
SECRET = "whsec_" + "A" * 43 + "="


@pytest.fixture
async def bench(broker: str, prefix: str) -> AsyncIterator[KafkaBench]:
    bench = KafkaBench(broker, prefix)
    await bench.start()
    await bench.close()
    yield bench
    await bench.end()


@pytest.fixture
async def peer() -> AsyncIterator[SmtpPeer]:
    peer = SmtpPeer()
    await peer.start()
    yield peer
    await peer.stop()


def notifier(name: str, bench: KafkaBench, folder: Path, section: str) -> Process:
    """One as an operator starts it: the cluster by flags, the channel in the file."""
    config = folder / "plimsoll.toml"
    config.write_text(section)
    return Process(
        *(name, "--bootstrap", bench.connection.bootstrap, "--prefix", bench.prefix, "--config", str(config)),
    )


def mail_section(peer: SmtpPeer) -> str:
    return f"""
[mail]
port = {peer.port}
tls = "none"
sender = "no-reply@acme.example"
[mail.delivery]
concurrency_max = {CONCURRENCY}
attempts_max = 1000
backoff_first_seconds = 0.05
backoff_max_seconds = 0.2
down_first_seconds = 0.05
down_max_seconds = 0.2
positions_seconds = 0.05
"""


async def fill(bench: KafkaBench, begin: int, end: int) -> dict[str, str]:
    """Notifications of so many clients, every tenth to nobody who exists; the outcome that each should have."""
    wanted = {}
    values = []
    for number in range(begin, end):
        client = f"c-{number}"
        mail = notification(client, to=("gone@example.net" if number % 10 == 0 else "oksana@example.net",))
        wanted[mail.notification] = "failed" if number % 10 == 0 else "sent"
        for one in (mail, notification(client, channel="sms")):
            values.append((partition_of(client, PARTITIONS), client, encode_output(one)))
    await bench.appended(values)
    return wanted


async def outcomes(bench: KafkaBench, count: int) -> dict[str, str]:
    """Outcome by notification, each recorded once, as soon as there are ``count``."""
    async with asyncio.timeout(SECONDS_MAX):
        while len(found := await bench.deliveries()) < count:
            pass  # each reading waits for a moment
    assert len({delivery.notification for _, delivery in found}) == len(found)
    assert all((delivery.event is not None) == (delivery.outcome == "failed") for _, delivery in found)
    return {delivery.notification: delivery.outcome for _, delivery in found}


def assert_sent(peer: SmtpPeer, wanted: dict[str, str], repeats_max: int) -> None:
    taken = Counter(str(mail["message-id"]) for _, mail in peer.mails)
    assert set(taken) == {message_id(name, "acme.example") for name, outcome in wanted.items() if outcome == "sent"}
    assert sum(taken.values()) - len(taken) <= repeats_max


@pytest.mark.parametrize("seed", [1])
async def test_a_mailer_that_is_killed_loses_nothing_and_repeats_only_what_was_under_way(
    bench: KafkaBench, peer: SmtpPeer, tmp_path: Path, seed: int
) -> None:
    chance = random.Random(seed)
    peer.data = lambda mail: "451 later" if chance.random() < 0.1 else None
    peer.rcpt = lambda address: "550 unknown" if address == "gone@example.net" else None
    wanted = await fill(bench, 0, 150)
    kills = 0
    while len(peer.mails) < 110:
        with notifier("mailer", bench, tmp_path, mail_section(peer)) as process:
            async with asyncio.timeout(SECONDS_MAX):
                await peer.was_presented(len(peer.presented) + chance.randint(10, 40))
            await asyncio.to_thread(process.kill)
        kills += 1
        if kills == 2:
            wanted |= await fill(bench, 150, 170)
    with notifier("mailer", bench, tmp_path, mail_section(peer)) as process:
        assert await outcomes(bench, len(wanted)) == wanted, f"seed {seed}"
        assert await asyncio.to_thread(process.stop) == 0, process.errors
    assert kills >= 3, f"seed {seed}: the run was over before it was disturbed"
    assert_sent(peer, wanted, kills * 2 * CONCURRENCY)  # under way, and taken but not yet recorded

    presented = len(peer.presented)
    wanted |= await fill(bench, 170, 171)
    with notifier("mailer", bench, tmp_path, mail_section(peer)) as process:
        assert await outcomes(bench, len(wanted)) == wanted
        assert await asyncio.to_thread(process.stop) == 0, process.errors
    assert len(peer.presented) - presented <= 1, "what was settled before was sent again after a start"


async def test_a_mailer_that_stood_still_while_another_took_over_ends(
    bench: KafkaBench, peer: SmtpPeer, tmp_path: Path
) -> None:
    wanted = await fill(bench, 1, 2)
    with notifier("mailer", bench, tmp_path, mail_section(peer)) as former:
        assert await outcomes(bench, 1) == wanted
        former.popen.send_signal(signal.SIGSTOP)
        with notifier("mailer", bench, tmp_path, mail_section(peer)) as latter:
            wanted |= await fill(bench, 2, 9)
            assert await outcomes(bench, len(wanted)) == wanted
            former.popen.send_signal(signal.SIGCONT)
            wanted |= await fill(bench, 11, 19)
            assert await outcomes(bench, len(wanted)) == wanted
            assert await asyncio.to_thread(former.ended) == 3  # which its unit does not start again
            assert former.errors[-1].startswith("plimsoll: another mailer has started on this cluster"), "\n".join(
                former.errors
            )
            assert await asyncio.to_thread(latter.stop) == 0, latter.errors
    assert_sent(peer, wanted, 2 * CONCURRENCY + 7)


async def test_a_mailer_outlives_its_broker(prefix: str, peer: SmtpPeer, tmp_path: Path) -> None:
    """Killed while mails go out, and started again: nothing is lost, nothing recorded twice, nobody has to look."""
    (tmp_path / "kafka").mkdir()
    async with Brokers(tmp_path / "kafka", 1) as brokers:
        bench = KafkaBench(brokers.bootstrap, prefix)
        await bench.start()
        await bench.close()
        wanted = await fill(bench, 1, 80)
        peer.rcpt = lambda address: "550 unknown" if address == "gone@example.net" else None
        with notifier("mailer", bench, tmp_path, mail_section(peer)) as process:
            async with asyncio.timeout(SECONDS_MAX):
                await peer.was_presented(20)
            await brokers.nodes[0].end(signal.SIGKILL)
            brokers.nodes[0].start()
            assert await outcomes(bench, len(wanted)) == wanted
            wanted |= await fill(bench, 81, 90)
            assert await outcomes(bench, len(wanted)) == wanted
            assert await asyncio.to_thread(process.stop) == 0, process.errors
        await bench.end()
    assert_sent(peer, wanted, 2 * CONCURRENCY)


async def test_sms_beside_the_mailer(bench: KafkaBench, peer: SmtpPeer, tmp_path: Path) -> None:
    gateway = HttpPeer()
    await gateway.start()
    section = f'[sms]\nurl = "http://127.0.0.1:{gateway.port}/sms"\nsecret = "{SECRET}"\n'
    (tmp_path / "sms").mkdir()
    wanted = await fill(bench, 1, 10)
    wanted |= {name.replace("/email", "/sms"): "sent" for name in wanted}
    with (
        notifier("mailer", bench, tmp_path, mail_section(peer)) as mailer,
        notifier("sms", bench, tmp_path / "sms", section) as sms,
    ):
        assert await outcomes(bench, len(wanted)) == wanted
        assert await asyncio.to_thread(mailer.stop) == 0, mailer.errors
        assert await asyncio.to_thread(sms.stop) == 0, sms.errors
    await gateway.stop()
    by_consumer = Counter(consumer for consumer, _ in await bench.deliveries())
    assert by_consumer == {"mailer": 9, "sms": 9}


async def test_an_unreadable_record_is_a_dead_letter_and_holds_nothing_up(
    bench: KafkaBench, peer: SmtpPeer, tmp_path: Path
) -> None:
    await bench.appended([(0, "c-1", b"no json")])
    wanted = await fill(bench, 1, 3)
    with notifier("mailer", bench, tmp_path, mail_section(peer)) as process:
        async with asyncio.timeout(SECONDS_MAX):
            while len(found := await bench.deliveries()) < 3:
                pass
        assert await asyncio.to_thread(process.stop) == 0, process.errors
    assert {delivery.notification: delivery.outcome for _, delivery in found} == wanted | {
        "notifications/0/0": "failed"
    }
