"""What ``plimsoll run --demo`` adds: sample traffic, a mail server and an SMS gateway that deliver to the terminal."""

import asyncio
import base64
import secrets
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from functools import partial
from typing import Final

import msgspec

from engine.config import DATA_DEFAULT, Config
from engine.demo.publisher import DemoPublisher
from engine.demo.scenery import SHOWCASE
from engine.demo.traffic import TrafficOptions
from engine.embedded.parts import Part
from engine.log.ports import Ingest
from notifiers.catcher import CaughtMail, CaughtSms, MailCatcher, SmsCatcher
from notifiers.config import MailOptions, SmsOptions
from projections.ports import Views
from schemas.outputs import Change

DATA: Final = "./plimsoll-demo"
_TOLD_SECONDS: Final = 0.7  # of what arrives, one line in this time: a burst brings dozens a second
_SUMMARY_SECONDS: Final = 15.0
_LOOK_SECONDS: Final = 0.25

Tell = Callable[[str], None]

_decode_view = msgspec.json.Decoder(Change).decode


class Demo:
    """The demo beside a product: its peers are up, its configuration is made, its parts are to be run."""

    def __init__(self, tell: Tell) -> None:
        self._tell = tell
        self._told_at = -_TOLD_SECONDS
        self._shown_whole = False
        self.mails = 0
        self.messages = 0
        self.config = Config()

    def settled(self, config: Config, mail: MailCatcher, sms: SmsCatcher, secret: str) -> Config:
        """The configuration with this machine's peers in place of any real ones: nobody is written to by a demo."""
        engine = config.engine
        if engine.data == DATA_DEFAULT:  # sample clients have no place among real ones
            engine = msgspec.structs.replace(engine, data=DATA)
        sender = "no-reply@operator.example"
        return msgspec.structs.replace(
            config,
            engine=engine,
            mail=MailOptions(host=mail.host, port=mail.port, tls="none", sender=sender, brand="Plimsoll demo"),
            sms=SmsOptions(url=sms.url, secret=secret, sender="Plimsoll"),
        )

    def parts(self, ingest: Ingest, views: Views) -> list[Part]:
        """The traffic, and what is told about it."""
        return [
            Part("the demo's view", partial(self._watch, views)),
            Part("the demo's traffic", partial(self._publish, ingest)),
        ]

    def on_mail(self, mail: CaughtMail) -> None:
        """Shows the first mail to the client that is watched whole, and of the others what a terminal can follow."""
        self.mails += 1
        if not self._shown_whole and any(SHOWCASE in address for address in mail.to):
            self._shown_whole = True
            self._tell(f"{_now()}  the first mail to {SHOWCASE}, as it came over SMTP:")
            head = [f"From: {mail.sender}", f"To: {', '.join(mail.to)}", f"Subject: {mail.subject}"]
            for line in [*head, f"Message-ID: {mail.message_id}", "", *mail.text.strip().splitlines()]:
                self._tell(f"          | {line}".rstrip())
            return
        self._line(f"mail  {', '.join(mail.to):<32}  {mail.subject}")

    def on_sms(self, sms: CaughtSms) -> None:
        """Shows a short message, if there is room."""
        self.messages += 1
        self._line(f"SMS   {', '.join(sms.to):<32}  {sms.text.strip()}")

    def _line(self, text: str) -> None:
        now = time.monotonic()
        if now - self._told_at >= _TOLD_SECONDS:
            self._told_at = now
            self._tell(f"{_now()}  {text}")

    async def _publish(self, ingest: Ingest, stop: asyncio.Event) -> None:
        publisher = DemoPublisher(ingest, TrafficOptions(), stop)
        summary = asyncio.create_task(self._summarise(publisher))
        try:
            await publisher.run()
        finally:
            summary.cancel()
            await asyncio.gather(summary, return_exceptions=True)

    async def _summarise(self, publisher: DemoPublisher) -> None:
        while True:
            await asyncio.sleep(_SUMMARY_SECONDS)
            accepted = publisher.answers.get("accepted", 0)
            refused = sum(publisher.answers.values()) - accepted - publisher.answers.get("duplicate", 0)
            self._tell(
                f"{_now()}  ----  so far: {accepted:,} events accepted, {refused} refused; "
                f"{self.mails} mails and {self.messages} SMS arrived"
            )

    async def _watch(self, views: Views, stop: asyncio.Event) -> None:
        """The story of one client: every change of its capacity and status."""
        before: tuple[int | None, str] | None = None
        while not stop.is_set():
            found = await views.client(SHOWCASE)
            if found is not None:
                view = _decode_view(found)
                if before not in (None, (view.capacity, view.status)):
                    self._tell(f"{_now()}  ====  {_story(view, before)}")
                before = (view.capacity, view.status)
            with suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), _LOOK_SECONDS)


@asynccontextmanager
async def demonstrating(config: Config, tell: Tell) -> AsyncIterator[Demo]:
    """A demo whose mail server and SMS gateway are up; ``config`` of it is what the product is to run with."""
    demo = Demo(tell)
    secret = "whsec_" + base64.b64encode(secrets.token_bytes(32)).decode()
    async with AsyncExitStack() as stack:
        mail = await stack.enter_async_context(MailCatcher(on_mail=demo.on_mail))
        sms = await stack.enter_async_context(SmsCatcher(secret, on_sms=demo.on_sms))
        demo.config = demo.settled(config, mail, sms, secret)
        yield demo


def _story(view: Change, before: tuple[int | None, str] | None) -> str:
    assert before is not None
    parts = [f"{view.client} has {view.available} {view.currency}"]
    if view.capacity != before[0]:
        parts.append(f"capacity {_channels(before[0])} -> {_channels(view.capacity)}")
    if view.status != before[1]:
        parts.append(f"{before[1]} -> {view.status}")
    return ", ".join(parts)


def _channels(capacity: int | None) -> str:
    return "unlimited" if capacity is None else str(capacity)


def _now() -> str:
    return time.strftime("%H:%M:%S")
