"""The mailer against a real SMTP server: what arrives, what is tried again, what becomes a dead letter."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest
from prometheus_client import CollectorRegistry

from notifiers.mail import CONSUMER, mail_sender, message_id, run_mailer
from notifiers.metrics import NotifierMetrics
from notifiers.render import TemplateError
from schemas.times import parse_time
from tests.fakes.notifications import notification
from tests.fakes.notifications_topic import MemoryNotificationLog
from tests.fakes.smtp_peer import SmtpPeer
from tests.integration.notifying import FAST, down_retries, mail_to, mailing, outcomes, running, until

OKSANA, TARAS = "oksana@example.net", "taras@example.net"
PAST = "2026-03-01T11:00:00Z"


@pytest.fixture
async def peer() -> AsyncIterator[SmtpPeer]:
    """A mail server that is up and takes everything."""
    peer = SmtpPeer()
    await peer.start()
    yield peer
    await peer.stop()


@pytest.fixture
def log() -> MemoryNotificationLog:
    """A topic of two partitions with nothing in it."""
    return MemoryNotificationLog()


async def test_a_notification_arrives_as_one_mail_to_all_its_recipients(
    log: MemoryNotificationLog, peer: SmtpPeer
) -> None:
    await log.append(notification(to=(OKSANA, TARAS), language="uk"))
    async with mailing(log, mail_to(peer)):
        [delivery] = await log.recorded(CONSUMER, 1)
    [(recipients, mail)] = peer.mails
    assert recipients == (OKSANA, TARAS)
    assert mail["to"] == f"{OKSANA}, {TARAS}"
    assert mail["from"] == "no-reply@acme.example"
    assert mail["subject"] == "Баланс нижче 5.00 EUR: рахунок c-42"
    assert mail["date"].datetime.isoformat() == "2026-03-01T10:05:00+00:00"
    assert mail["auto-submitted"] == "auto-generated"
    assert mail["message-id"] == message_id("c-42/low_balance/client/1/1/email", "acme.example")
    assert [part.get_content_type() for part in mail.iter_parts()] == ["text/plain", "text/html"]
    assert (delivery.outcome, delivery.to, delivery.attempts, delivery.event) == ("sent", (OKSANA, TARAS), 1, None)


async def test_only_the_own_channel_is_sent_and_the_position_passes_the_other(
    log: MemoryNotificationLog, peer: SmtpPeer
) -> None:
    await log.append(notification(channel="sms"), notification(), notification(sequence=2, channel="sms"))
    async with mailing(log, mail_to(peer)):
        await log.reached(CONSUMER, {0: 3})
    assert [delivery.channel for delivery in log.deliveries[CONSUMER]] == ["email"]
    assert len(peer.mails) == 1


async def test_a_reply_of_4xx_is_tried_again(log: MemoryNotificationLog, peer: SmtpPeer) -> None:
    replies = iter(["451 4.3.0 not now", "452 4.3.1 full"])
    peer.data = lambda mail: next(replies, None)
    await log.append(notification())
    async with mailing(log, mail_to(peer)):
        [delivery] = await log.recorded(CONSUMER, 1)
    assert (delivery.outcome, delivery.attempts) == ("sent", 3)
    assert len(set(peer.presented)) == 1
    assert len(peer.mails) == 1


@pytest.mark.parametrize("stage", ["rcpt", "data"])
async def test_a_reply_of_5xx_is_a_dead_letter_with_the_whole_notification(
    log: MemoryNotificationLog, peer: SmtpPeer, stage: str
) -> None:
    setattr(peer, stage, lambda value: "550 5.1.1 never")
    await log.append(notification())
    async with mailing(log, mail_to(peer)):
        [delivery] = await log.recorded(CONSUMER, 1)
    assert (delivery.outcome, delivery.attempts, delivery.to) == ("failed", 1, ())
    assert delivery.event == notification()
    assert "550 5.1.1 never" in delivery.detail


async def test_a_dead_letter_holds_nothing_up(log: MemoryNotificationLog, peer: SmtpPeer) -> None:
    peer.rcpt = lambda address: "550 unknown" if address == OKSANA else None
    await log.append(notification(to=(OKSANA,)), notification("c-43", to=(TARAS,)))
    async with mailing(log, mail_to(peer)):
        await log.reached(CONSUMER, {0: 2})
    assert [recipients for recipients, _ in peer.mails] == [(TARAS,)]


async def test_some_recipients_refused_the_rest_served_and_the_record_says_who(
    log: MemoryNotificationLog, peer: SmtpPeer
) -> None:
    peer.rcpt = lambda address: "550 5.1.1 unknown" if address == TARAS else None
    await log.append(notification(to=(OKSANA, TARAS)))
    async with mailing(log, mail_to(peer)):
        [delivery] = await log.recorded(CONSUMER, 1)
    assert [recipients for recipients, _ in peer.mails] == [(OKSANA,)]
    assert (delivery.outcome, delivery.to) == ("sent", (OKSANA,))
    assert delivery.detail == f"refused: {TARAS}: 550 5.1.1 unknown"


async def test_a_recipient_that_was_deferred_is_tried_again_alone(log: MemoryNotificationLog, peer: SmtpPeer) -> None:
    greylisted = iter(["450 4.2.0 greylisted", "450 4.2.0 greylisted"])
    peer.rcpt = lambda address: next(greylisted, None) if address == TARAS else None
    await log.append(notification(to=(OKSANA, TARAS)))
    async with mailing(log, mail_to(peer)):
        [delivery] = await log.recorded(CONSUMER, 1)
    assert [recipients for recipients, _ in peer.mails] == [(OKSANA,), (TARAS,)]
    assert {mail["message-id"] for _, mail in peer.mails} == {peer.mails[0][1]["message-id"]}
    assert {mail["to"] for _, mail in peer.mails} == {f"{OKSANA}, {TARAS}"}
    assert (delivery.outcome, delivery.to) == ("sent", (OKSANA, TARAS))


async def test_a_message_that_alone_is_deferred_for_ever_becomes_a_dead_letter(
    log: MemoryNotificationLog, peer: SmtpPeer
) -> None:
    peer.rcpt = lambda address: "451 4.7.1 later" if address == OKSANA else None
    options = mail_to(peer, msgspec.structs.replace(FAST, attempts_max=3))
    await log.append(notification(to=(OKSANA,)))
    async with mailing(log, options):
        sequence = 0
        async with asyncio.timeout(120):
            while "failed" not in outcomes(log.deliveries.get(CONSUMER, [])).values():
                sequence += 1
                await log.append(notification("c-43", sequence=sequence, to=(TARAS,)))
                await log.recorded(CONSUMER, sequence)
    dead = next(one for one in log.deliveries[CONSUMER] if one.outcome == "failed")
    assert dead.event == notification(to=(OKSANA,))
    assert "given up after" in dead.detail


async def test_a_server_that_defers_everything_costs_nothing(log: MemoryNotificationLog, peer: SmtpPeer) -> None:
    sick = True
    peer.data = lambda mail: "452 4.3.1 no space" if sick else None
    await log.append(*(notification(f"c-{number}") for number in range(20)))
    async with mailing(log, mail_to(peer, msgspec.structs.replace(FAST, attempts_max=2))):
        await peer.was_presented(100)
        assert CONSUMER not in log.deliveries
        assert dict(await log.positions(CONSUMER)) == {}
        sick = False
        deliveries = await log.recorded(CONSUMER, 20)
    assert set(outcomes(deliveries).values()) == {"sent"}
    assert len(peer.mails) == 20


async def test_a_server_down_then_up_loses_nothing_and_repeats_nothing(
    log: MemoryNotificationLog, peer: SmtpPeer
) -> None:
    registry = CollectorRegistry()
    wanted = [notification(f"c-{number}") for number in range(60)]
    async with mailing(log, mail_to(peer), registry):
        await log.append(*wanted[:20])
        await log.recorded(CONSUMER, 20)
        await peer.stop()
        await log.append(*wanted[20:40])
        await log.append(*wanted[40:], partition=1)
        await until(lambda: down_retries(registry) >= 5)
        assert len(log.deliveries[CONSUMER]) == 20
        assert (await log.positions(CONSUMER))[0] == 20
        await peer.start()
        deliveries = await log.recorded(CONSUMER, 60)
    assert outcomes(deliveries) == {one.notification: "sent" for one in wanted}
    taken = [mail["message-id"] for _, mail in peer.mails]
    assert sorted(taken) == sorted(message_id(one.notification, "acme.example") for one in wanted)


async def test_after_a_restart_nothing_recorded_is_sent_again(log: MemoryNotificationLog, peer: SmtpPeer) -> None:
    peer.rcpt = lambda address: "451 later" if address == OKSANA else None
    first = notification(to=(OKSANA,))
    others = [notification(f"c-{number}", to=(TARAS,)) for number in range(10)]
    await log.append(first, *others)
    registry = CollectorRegistry()
    async with mailing(log, mail_to(peer)):
        await log.recorded(CONSUMER, 10)
    assert dict(await log.positions(CONSUMER)) == {}, "the position waits for the first"
    peer.rcpt = lambda address: None
    async with mailing(log, mail_to(peer), registry):
        await log.reached(CONSUMER, {0: 11})
    assert len(peer.mails) == 11
    assert registry.get_sample_value("plimsoll_delivery_repeats_total", {"channel": "email"}) == 10


async def test_the_same_notification_twice_in_the_log_is_sent_once(log: MemoryNotificationLog, peer: SmtpPeer) -> None:
    await log.append(notification(), notification(), notification("c-43"), notification())
    async with mailing(log, mail_to(peer)):
        await log.reached(CONSUMER, {0: 4})
    assert len(peer.mails) == 2


async def test_outcomes_are_kept_while_the_log_cannot_record_them(log: MemoryNotificationLog, peer: SmtpPeer) -> None:
    log.commits_failing = 3
    await log.append(*(notification(f"c-{number}") for number in range(20)))
    async with mailing(log, mail_to(peer)):
        await log.recorded(CONSUMER, 20)
    assert len(peer.mails) == 20


async def test_mails_for_one_reader_stay_in_order(log: MemoryNotificationLog, peer: SmtpPeer) -> None:
    replies = iter(["451 later", "451 later"])
    peer.data = lambda mail: next(replies, None)
    wanted = [notification(episode=number) for number in range(1, 10)]
    await log.append(*wanted)
    async with mailing(log, mail_to(peer)):
        await log.recorded(CONSUMER, 9)
    assert [mail["message-id"] for _, mail in peer.mails] == [
        message_id(one.notification, "acme.example") for one in wanted
    ]


async def test_after_an_outage_the_latest_reminder_goes_out_and_older_ones_are_superseded(
    log: MemoryNotificationLog, peer: SmtpPeer
) -> None:
    await log.append(
        notification(sequence=1, next_at=PAST),
        notification(sequence=2, next_at=PAST),
        notification(sequence=3, next_at=None),
    )
    async with mailing(log, mail_to(peer)):
        deliveries = await log.recorded(CONSUMER, 3)
    assert [delivery.outcome for delivery in deliveries] == ["superseded", "superseded", "sent"]
    assert len(peer.mails) == 1


async def test_a_record_that_is_no_notification_is_recorded_and_passed(
    log: MemoryNotificationLog, peer: SmtpPeer
) -> None:
    await log.append_bytes(b"\xff\x00 noise", at=parse_time(PAST))
    await log.append(notification())
    async with mailing(log, mail_to(peer)):
        await log.reached(CONSUMER, {0: 2})
    failed = log.deliveries[CONSUMER][0]
    assert (failed.outcome, failed.notification) == ("failed", "notifications/0/0")


async def test_a_stop_finishes_what_is_under_way(log: MemoryNotificationLog, peer: SmtpPeer) -> None:
    await log.append(*(notification(f"c-{number}") for number in range(200)))
    async with mailing(log, mail_to(peer)):
        await peer.received(5)
    assert 5 <= len(peer.mails) < 200
    assert len(log.deliveries[CONSUMER]) == len(peer.mails)


async def test_a_stop_does_not_wait_for_a_server_that_hangs(log: MemoryNotificationLog) -> None:
    connected = asyncio.Event()

    async def hang(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connected.set()
        await reader.read()
        writer.close()

    server = await asyncio.start_server(hang, "127.0.0.1", 0)
    peer = SmtpPeer()
    peer.port = server.sockets[0].getsockname()[1]
    await log.append(notification())
    loop = asyncio.get_running_loop()
    async with mailing(log, mail_to(peer, msgspec.structs.replace(FAST, stop_seconds=0.1))):
        await connected.wait()
        asked = loop.time()
    assert loop.time() - asked < 5
    assert CONSUMER not in log.deliveries
    server.close()


async def test_more_than_the_windows_hold_is_all_sent(log: MemoryNotificationLog, peer: SmtpPeer) -> None:
    small = msgspec.structs.replace(FAST, window_notifications_max=5, read_records_max=3)
    for number in range(60):
        await log.append(notification(f"c-{number}"), partition=number % 2)
    async with mailing(log, mail_to(peer, small)):
        await log.reached(CONSUMER, {0: 30, 1: 30})
    assert len(peer.mails) == 60


async def test_connections_are_used_again(log: MemoryNotificationLog, peer: SmtpPeer) -> None:
    await log.append(*(notification(f"c-{number}") for number in range(50)))
    async with mailing(log, mail_to(peer)):
        await log.recorded(CONSUMER, 50)
    assert peer.greetings <= FAST.concurrency_max


async def test_a_connection_that_the_server_closed_meanwhile_costs_no_attempt(
    log: MemoryNotificationLog, peer: SmtpPeer
) -> None:
    async with mailing(log, mail_to(peer)):
        await log.append(notification())
        await log.recorded(CONSUMER, 1)
        await peer.stop()
        await peer.start()
        await log.append(notification("c-43"))
        deliveries = await log.recorded(CONSUMER, 2)
    assert [delivery.attempts for delivery in deliveries] == [1, 1]


async def test_an_address_beyond_ascii_is_served_as_far_as_the_server_can(
    log: MemoryNotificationLog, peer: SmtpPeer
) -> None:
    await log.append(notification(to=("oksana@пошта.example", "оксана@example.net")))
    async with mailing(log, mail_to(peer)):
        [delivery] = await log.recorded(CONSUMER, 1)
    [(recipients, _)] = peer.mails
    assert recipients == ("oksana@xn--80a1acn3a.example",)
    assert delivery.to == ("oksana@пошта.example",)
    assert "SMTPUTF8" in delivery.detail


async def test_metrics_tell_outcomes_retries_and_the_peer(log: MemoryNotificationLog, peer: SmtpPeer) -> None:
    registry = CollectorRegistry()
    await peer.stop()
    await log.append(notification(), notification("c-43", to=(TARAS,)))
    peer.rcpt = lambda address: "550 unknown" if address == TARAS else None

    def value(name: str, **labels: str) -> float:
        return registry.get_sample_value(name, {"channel": "email", **labels}) or 0.0

    async with mailing(log, mail_to(peer), registry):
        await until(lambda: down_retries(registry) >= 2)
        assert value("plimsoll_delivery_peer_up") == 0
        assert value("plimsoll_delivery_lag_seconds") > 0
        await peer.start()
        await log.reached(CONSUMER, {0: 2})
    assert value("plimsoll_deliveries_total", outcome="sent") == 1
    assert value("plimsoll_deliveries_total", outcome="failed") == 1
    assert value("plimsoll_delivery_latency_seconds_count") == 1


async def test_a_failure_of_the_log_that_is_not_retriable_ends_the_mailer(peer: SmtpPeer) -> None:
    class BrokenLog(MemoryNotificationLog):
        async def settled(self, consumer: str, notifications: object) -> frozenset[str]:
            raise OSError("the disk is full")

    log = BrokenLog()
    await log.append(notification())
    metrics = NotifierMetrics(CollectorRegistry())
    with pytest.raises(OSError, match="the disk is full"):
        async with running(lambda stop: run_mailer(log, mail_to(peer), metrics, stop)) as task:
            await asyncio.wait([task], timeout=120)
    assert peer.mails == []


async def test_a_broken_template_is_said_before_anything_is_read(tmp_path: Path, peer: SmtpPeer) -> None:
    folder = tmp_path / "en"
    folder.mkdir()
    (folder / "exhausted.txt").write_text("Subject: {{ nothing }}\n")
    with pytest.raises(TemplateError, match=r"template en/exhausted\.txt"):
        mail_sender(msgspec.structs.replace(mail_to(peer), templates_dir=str(tmp_path)))
