"""Notifications for tests, true to the contract: ids made of client, kind, rule, episode, sequence and channel."""

from schemas.events import Channel
from schemas.outputs import Cause, Kind, Notification


def notification(
    client: str = "c-42",
    *,
    kind: Kind = "low_balance",
    rule: str = "client",
    episode: int = 1,
    sequence: int = 1,
    channel: Channel = "email",
    to: tuple[str, ...] = ("oksana@example.net",),
    at: str = "2026-03-01T10:05:00Z",
    next_at: str | None = "2999-01-01T00:00:00Z",
    language: str | None = None,
    available: str | None = "4.99",
) -> Notification:
    """One notification; its reminder is far off unless ``next_at`` says otherwise."""
    if channel == "sms" and to == ("oksana@example.net",):
        to = ("+380441234567",)
    return Notification(
        notification=f"{client}/{kind}/{rule}/{episode}/{sequence}/{channel}",
        client=client,
        kind=kind,
        rule=rule,
        episode=episode,
        sequence=sequence,
        max=3,
        channel=channel,
        to=to,
        at=at,
        threshold="5",
        available=available,
        live="-95.01",
        credit="100",
        currency="EUR",
        capacity=1,
        next_at=next_at,
        cause=Cause("switch", "call-1"),
        threshold_currency="EUR",
        language=language,
    )
