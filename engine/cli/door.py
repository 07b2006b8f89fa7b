"""Asks a running product, over its HTTP API."""

import asyncio
from typing import Any, Final
from urllib.parse import quote

import httpx
import msgspec

from engine.failures import OperationalError
from engine.publish import detail_of, open_client, problem_of, unreachable, wrong_url

_SECONDS: Final = 10.0
_ANSWER_BYTES_MAX: Final = 16 * 1024 * 1024


class DoorError(OperationalError):
    """The product did not give what was asked for; ``str`` says why and what to do."""


def ask_client(
    url: str,
    key: str | None,
    client: str,
    what: str = "",
    params: dict[str, str] | None = None,
    *,
    seconds: float = _SECONDS,
) -> dict[str, Any]:  # Any: JSON, shown as it came
    """The JSON object at ``/v1/clients/{client}{what}``. Raises DoorError, also for an unknown client."""
    return asyncio.run(_ask(url, key, client, what, params or {}, seconds))


async def _ask(
    url: str, key: str | None, name: str, what: str, params: dict[str, str], seconds: float
) -> dict[str, Any]:
    path = f"/v1/clients/{quote(name, safe='')}{what}"
    async with open_client(url, key, seconds) as client:
        try:
            response = await client.get(url.rstrip("/") + path, params=params)
        except (httpx.UnsupportedProtocol, httpx.InvalidURL):
            raise wrong_url(url) from None
        except httpx.TransportError as error:
            raise DoorError(unreachable(url, error)) from None
    if response.status_code == 404:
        raise DoorError(f"{name}: {detail_of(response)} (asked {url})")
    if response.status_code != 200:
        raise DoorError(problem_of(response))
    if len(response.content) > _ANSWER_BYTES_MAX:
        raise DoorError(f"{url} answered with more than {_ANSWER_BYTES_MAX} bytes: is it this product's address?")
    try:
        return msgspec.json.decode(response.content, type=dict[str, Any])
    except (msgspec.MsgspecError, UnicodeDecodeError):
        raise DoorError(f"{url} gave an answer that cannot be read: is it this product's address?") from None
