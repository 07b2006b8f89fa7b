"""The mailer ended without warning at seeded moments, over and over, as a kill of its process ends it."""

import asyncio
import contextlib
import random
from collections import Counter

import msgspec
import pytest
from prometheus_client import CollectorRegistry

from notifiers.mail import CONSUMER, message_id, run_mailer
from notifiers.metrics import NotifierMetrics
from tests.fakes.notifications import notification
from tests.fakes.notifications_topic import MemoryNotificationLog
from tests.fakes.smtp_peer import SmtpPeer
from tests.integration.notifying import FAST, mail_to, mailing, outcomes

NOTIFICATIONS = 150
CONCURRENCY = 4


@pytest.mark.parametrize("seed", [1, 2, 3])
async def test_nothing_is_lost_and_only_what_was_under_way_is_repeated(seed: int) -> None:
    chance = random.Random(seed)
    log = MemoryNotificationLog()
    peer = SmtpPeer()
    await peer.start()
    peer.data = lambda mail: "451 later" if chance.random() < 0.2 else None
    peer.rcpt = lambda address: "550 unknown" if address == "gone@example.net" else None
    wanted = {}
    for number in range(NOTIFICATIONS):
        to = "gone@example.net" if number % 10 == 0 else "oksana@example.net"
        one = notification(f"c-{number}", to=(to,))
        wanted[one.notification] = "failed" if number % 10 == 0 else "sent"
        await log.append(one, notification(f"c-{number}", channel="sms"), partition=number % 2)
    options = mail_to(peer, msgspec.structs.replace(FAST, concurrency_max=CONCURRENCY, attempts_max=1000))

    kills = 0
    repeats_max = 0
    while len(log.deliveries.get(CONSUMER, [])) < NOTIFICATIONS * 3 // 4:
        metrics = NotifierMetrics(CollectorRegistry())
        task = asyncio.create_task(run_mailer(log, options, metrics, asyncio.Event()))
        presented = len(peer.presented)
        await peer.was_presented(presented + chance.randint(1, 30))
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        kills += 1
        repeats_max += 2 * CONCURRENCY  # under way, and taken but not yet recorded
    async with mailing(log, options):
        deliveries = await log.recorded(CONSUMER, NOTIFICATIONS)
    await peer.stop()

    assert kills >= 3, f"seed {seed}: the run was over before it was disturbed"
    assert outcomes(deliveries) == wanted, f"seed {seed}"
    taken = Counter(str(mail["message-id"]) for _, mail in peer.mails)
    assert set(taken) == {message_id(name, "acme.example") for name, outcome in wanted.items() if outcome == "sent"}, (
        f"seed {seed}"
    )
    assert sum(taken.values()) - len(taken) <= repeats_max, f"seed {seed}"
