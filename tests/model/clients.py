"""Client settings, capacity (section 3) and the view of a client that a change carries."""

from __future__ import annotations

from .events import ClientSettings, LowBalance, Profile
from .money import available, effective_credit, status
from .runway import runway_view
from .state import Bucket, Client, Effect, Output, World, cause_view
from .values import (
    SECOND,
    Refused,
    format_limit,
    format_money,
    format_percent,
    format_rate,
    format_time,
)


def apply_settings(world: World, client: Client, new: ClientSettings) -> None:
    """Replace the settings whole, or refuse."""
    check_references(world, new)
    old = client.settings
    if client.money_moved and (new.currency, new.model) != (old.currency, old.model):
        raise Refused("fixed", "currency and model are fixed once money has moved")
    if client.temporary is not None and new.model != old.model:
        raise Refused("fixed", "the model is fixed while a temporary increase is active")
    client.settings = new


def check_references(world: World, settings: ClientSettings) -> None:
    named = [
        ("reseller", settings.reseller, set(world.resellers)),
        ("manager", settings.manager, set(world.users)),
        ("template", settings.template, set(world.templates)),
        ("customer_class", settings.customer_class, set(world.customer_classes)),
        ("profile", settings.profile, set(world.profiles)),
    ]
    for field, key, known in named:
        if key is not None and key not in known:
            raise Refused("unknown_reference", f"{field} {key} is unknown")


def profile_of(world: World, settings: ClientSettings) -> Profile | None:
    """The client's own profile, else its template's."""
    if settings.profile is not None:
        return world.profiles[settings.profile]
    if settings.template is not None:
        named = world.templates[settings.template].profile
        return None if named is None else world.profiles[named]
    return None


def capacity(world: World, client: Client) -> int | None:
    """Concurrent channels now allowed; None is unlimited."""
    own, low = client.settings.capacity, client.settings.low_balance
    if client.settings.template is not None:
        template = world.templates[client.settings.template]
        own = template.capacity if own is None else own
        low = LowBalance(
            template.low_balance.threshold if low.threshold is None else low.threshold,
            template.low_balance.capacity if low.capacity is None else low.capacity,
        )
    money = available(client)
    if low.threshold is None or low.capacity is None or money is None or money > low.threshold:
        return own
    return low.capacity if own is None else min(low.capacity, own)


def expires_at(world: World, bucket: Bucket) -> int | None:
    """When what is left of a bucket is recorded as expired."""
    return None if bucket.end is None else bucket.end + world.plans[bucket.plan].late_grace_seconds * SECOND


def view(world: World, client: Client) -> Output:
    """Everything a change says about the client itself."""
    temporary = client.temporary
    return {
        "currency": client.settings.currency,
        "model": client.settings.model,
        "live": format_money(client.live),
        "credit": {
            "permanent": format_limit(client.permanent),
            "temporary": format_money(temporary.amount if temporary else 0),
            "valid_until": format_time(temporary.valid_until if temporary else None),
        },
        "available": format_limit(available(client)),
        "status": status(client),
        "capacity": capacity(world, client),
        "unallocated": format_money(client.unallocated),
        "time_balances": [
            {
                "plan": bucket.plan,
                "grant": bucket.grant,
                "granted": bucket.granted,
                "used": bucket.used,
                "left": bucket.left,
                "closes_at": format_time(bucket.end),
                "expires_at": format_time(expires_at(world, bucket)),
            }
            for bucket in sorted(client.buckets, key=lambda bucket: (bucket.plan, bucket.grant))
        ],
    }


def change(world: World, client: Client, effect: Effect) -> Output:
    """The next change of the client: its version grows by one."""
    client.version += 1
    output: Output = {
        "output": "change",
        "client": client.id,
        "version": client.version,
        "at": format_time(effect.now),
        "cause": cause_view(effect.cause),
        **view(world, client),
    }
    if effect.rate is not None:
        output["rate"] = format_rate(effect.rate.rate)
        output["rate_base"] = effect.rate.base
        output["rate_quote"] = effect.rate.quote
    if effect.percent is not None:
        output["percent"] = format_percent(effect.percent)
    runway = runway_view(client, effect.now)
    if runway is not None:
        output["runway"] = runway
    return output


def notification(
    world: World,
    client: Client,
    effect: Effect,
    *,
    kind: str,
    rule: str,
    episode: int,
    channel: str,
    to: list[str],
    sequence: int = 1,
    maximum: int | None = None,
    threshold: str | None = None,
    threshold_currency: str | None = None,
    next_at: int | None = None,
    runway_seconds: int | None = None,
) -> Output:
    """One notification by one channel."""
    output: Output = {
        "output": "notification",
        "notification": f"{client.id}/{kind}/{rule}/{episode}/{sequence}/{channel}",
        "client": client.id,
        "kind": kind,
        "rule": rule,
        "episode": episode,
        "sequence": sequence,
        "max": maximum,
        "channel": channel,
        "to": to,
        "at": format_time(effect.now),
        "threshold": threshold,
        "available": format_limit(available(client)),
        "live": format_money(client.live),
        "credit": format_limit(effective_credit(client)),
        "currency": client.settings.currency,
        "capacity": capacity(world, client),
        "next_at": format_time(next_at),
        "cause": cause_view(effect.cause),
        "threshold_currency": threshold_currency,
    }
    if client.settings.language is not None:
        output["language"] = client.settings.language
    if runway_seconds is not None:
        output["runway_seconds"] = runway_seconds
    return output


def own_addresses(client: Client, channels: tuple[str, ...]) -> list[tuple[str, list[str]]]:
    """The client's billing e-mail and phone by channel, those it has."""
    by_channel = {"email": client.settings.billing_email, "sms": client.settings.phone}
    return [(channel, [address]) for channel in channels if (address := by_channel[channel])]
