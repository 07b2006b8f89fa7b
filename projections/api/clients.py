"""``GET /v1/clients/…``: a client's view, why it was or was not notified, and what happened to it."""

from typing import Annotated, Final
from urllib.parse import unquote_to_bytes

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from engine.log.ports import Unavailable
from projections.api.problems import ProblemError, json_response
from projections.api.service import NoQuery, Service, query_of
from schemas.fields import is_visible

HISTORY_LIMIT_MAX: Final = 1000  # entries of one answer: about half a megabyte


class WhyQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``rule``: one rule of the client's profile; absent: all of them."""

    rule: str | None = None


class HistoryQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``limit`` entries, the latest first; ``before``: only those before this entry, as the last answer named it."""

    limit: Annotated[int, msgspec.Meta(ge=1, le=HISTORY_LIMIT_MAX)] = 100
    before: Annotated[int, msgspec.Meta(ge=1)] | None = None


async def get_client(service: Service, request: Request) -> Response:
    """The client's current view."""
    query_of(request, NoQuery)
    client = _client_of(request)
    try:
        view = await service.views.client(client)
    except Unavailable as error:
        raise service.unavailable(error) from None
    if view is None:
        raise _unknown()
    return Response(view, media_type="application/json")


async def get_why(service: Service, request: Request) -> Response:
    """The answer to "why" for a client."""
    rule = query_of(request, WhyQuery).rule
    client = _client_of(request)
    try:
        why = await service.views.why(client, rule)
    except Unavailable as error:
        raise service.unavailable(error) from None
    if why is None:
        raise _unknown() if rule is None else ProblemError(404, "not_found", "no such client, or no such rule of it")
    return json_response(why)


async def get_history(service: Service, request: Request) -> Response:
    """What happened to a client, event by event."""
    query = query_of(request, HistoryQuery)
    client = _client_of(request)
    try:
        history = await service.views.history(client, query.limit, query.before)
    except Unavailable as error:
        raise service.unavailable(error) from None
    if history is None:
        raise _unknown()
    return json_response(history)


def _client_of(request: Request) -> str:
    """The id in the path, which is matched percent-encoded so that an id may hold a slash."""
    try:
        client = unquote_to_bytes(request.path_params["client"]).decode()
    except UnicodeDecodeError:
        raise _unknown() from None
    if not is_visible(client):
        raise _unknown()
    return client


def _unknown() -> ProblemError:
    return ProblemError(404, "not_found", "no such client")
