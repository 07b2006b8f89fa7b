"""The SMS consumer: SMS notifications over HTTP, by a signed webhook or by Kannel's sendsms."""

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from engine.log.ports import NotificationLog
from notifiers.attempts import Attempt, unsendable
from notifiers.config import SmsOptions
from notifiers.delivery import Delivering
from notifiers.gateways import Gateway, KannelGateway, ShortMessage, WebhookGateway
from notifiers.metrics import NotifierMetrics
from notifiers.render import Renderer, TemplateError
from schemas.outputs import Notification

CONSUMER: Final = "sms"


class SmsSender:
    """Renders a notification and gives it to the gateway. A template that fails refuses the notification."""

    def __init__(self, renderer: Renderer, gateway: Gateway, options: SmsOptions) -> None:
        self._renderer = renderer
        self._gateway = gateway
        self._options = options

    async def send(self, notification: Notification, to: Sequence[str]) -> Attempt:
        """One attempt for these phone numbers."""
        try:
            text = self._renderer.sms(notification, self._options.segments_max)
        except TemplateError as error:
            return unsendable(to, str(error))
        return await self._gateway.send(ShortMessage(notification, self._options.sender, text), to)

    async def close(self) -> None:
        """Ends every connection."""
        await self._gateway.close()


def sms_sender(options: SmsOptions) -> SmsSender:
    """The sender of these options. Raises OptionsError or TemplateError with a sentence for the operator."""
    folder = None if options.templates_dir is None else Path(options.templates_dir)
    renderer = Renderer(folder, options.language, options.brand)
    renderer.check()
    gateway = WebhookGateway(options) if options.transport == "webhook" else KannelGateway(options)
    return SmsSender(renderer, gateway, options)


async def run_sms(log: NotificationLog, options: SmsOptions, metrics: NotifierMetrics, stop: asyncio.Event) -> None:
    """Sends the log's SMS notifications until ``stop`` is set, then finishes what is under way and returns.

    Raises OptionsError or TemplateError before anything is read, and what the log raises that is not retriable.
    """
    await Delivering(log, CONSUMER, "sms", sms_sender(options), options.delivery, metrics).run(stop)
