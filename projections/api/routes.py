"""The one route table: what is served, who may ask, what goes in and what comes out. OpenAPI is made from it too."""

from collections.abc import Awaitable, Callable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any, Final, Literal

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from engine.log.ports import Answer
from projections.api import authorization, clients, cloudevents, events, health, notifications
from projections.api.intake import JSON, NDJSON
from projections.api.options import Scope
from projections.api.service import NoQuery, Service, query_of
from schemas.answers import History, Why
from schemas.authorization import Authorization, AuthorizationRequest
from schemas.outputs import Change

Handler = Callable[[Service, Request], Awaitable[Response]]

TEXT: Final = "text/plain"
DOCUMENT_PATH: Final = Path(__file__).with_name("openapi.json")


class Event(msgspec.Struct, frozen=True):
    """Stands for any event of the contract that may come in here; its schemas are those of ``schemas.generate``."""


class CloudEvent(msgspec.Struct, frozen=True):
    """A CloudEvent 1.0 in structured mode. ``data`` is the event; where it lacks type, id, source, time or client,
    the attributes type, id, source, time and subject fill it.
    """

    specversion: Literal["1.0"]
    id: str
    source: str
    type: str
    time: str | None = None
    subject: str | None = None
    data: dict[str, Any] | None = None


class Answered(msgspec.Struct, frozen=True):
    """One way an operation answers: what it means, and the type of its body (none: no body; several: one of them)."""

    meaning: str
    body: tuple[object, ...] = ()
    media: str = JSON


class Operation(msgspec.Struct, frozen=True):
    """One method on one path. ``problems``: the statuses of problems that not every operation has."""

    method: Literal["GET", "POST"]
    path: str
    name: str
    scope: Scope | None
    summary: str
    handler: Handler
    answers: Mapping[int, Answered]
    problems: tuple[int, ...] = ()
    query: type[msgspec.Struct] = NoQuery
    bodies: Mapping[str, object] = {}


async def get_openapi(service: Service, request: Request) -> Response:
    """The description of this API, which ``projections.api.openapi`` made from the table below."""
    query_of(request, NoQuery)
    return Response(_document(), media_type=JSON)


@lru_cache(maxsize=1)
def _document() -> bytes:
    return DOCUMENT_PATH.read_bytes()


_BODY: Final = (408, 413, 415)

OPERATIONS: Final = (
    Operation(
        "POST",
        "/v1/events",
        "post_events",
        "ingest",
        "Submit events: one, an array, NDJSON, or CloudEvents; answered once they are durable",
        events.post_events,
        {
            200: Answered(
                "A single event was accepted or is a duplicate; or a batch was answered item by item",
                (Answer, events.Answers, events.RefusedAnswers),
            )
        },
        (*_BODY, 422, 429),
        events.EventsQuery,
        {
            JSON: Event | list[Event],
            NDJSON: str,
            cloudevents.STRUCTURED: CloudEvent,
            cloudevents.BATCH: list[CloudEvent],
        },
    ),
    Operation(
        "POST",
        "/v1/authorize",
        "post_authorize",
        "read",
        "May a usage begin, how much of it, and over how many channels",
        authorization.post_authorize,
        {200: Answered("The answer, yes or no, with its reason", (Authorization,))},
        (*_BODY, 422),
        bodies={JSON: AuthorizationRequest},
    ),
    Operation(
        "GET",
        "/v1/clients/{client}",
        "get_client",
        "read",
        "The client's current view",
        clients.get_client,
        {200: Answered("The view now: a change whose time is log time now and that nothing caused", (Change,))},
        (404,),
    ),
    Operation(
        "GET",
        "/v1/clients/{client}/why",
        "get_why",
        "read",
        "Why the client was or was not notified",
        clients.get_why,
        {200: Answered("Rule by rule, in numbers and in a sentence", (Why,))},
        (404,),
        clients.WhyQuery,
    ),
    Operation(
        "GET",
        "/v1/clients/{client}/history",
        "get_history",
        "read",
        "What happened to the client, event by event, the latest first",
        clients.get_history,
        {200: Answered("Each event with what it did to live, credit, units and capacity", (History,))},
        (404,),
        clients.HistoryQuery,
    ),
    Operation(
        "GET",
        "/v1/log/notifications",
        "get_notifications",
        "operate",
        "Read the notifications, or wait for new ones",
        notifications.get_notifications,
        {200: Answered("Records from the offset on, none where there are none yet", (notifications.Notifications,))},
        (422, 429),
        notifications.NotificationsQuery,
    ),
    Operation(
        "GET",
        "/v1/consumers/{consumer}/positions",
        "get_positions",
        "operate",
        "Where a consumer of notifications stands",
        notifications.get_positions,
        {
            200: Answered(
                "Per partition the next offset; an absent partition stands at the start", (notifications.Positions,)
            )
        },
        (422,),
    ),
    Operation(
        "POST",
        "/v1/consumers/{consumer}/settled",
        "post_settled",
        "operate",
        "Which notifications the consumer has a delivery for",
        notifications.post_settled,
        {200: Answered("Those of the given ids that are settled", (notifications.Settled,))},
        (*_BODY, 422),
        bodies={JSON: notifications.Asked},
    ),
    Operation(
        "POST",
        "/v1/consumers/{consumer}/commit",
        "post_commit",
        "operate",
        "Record deliveries and move positions forward, in one durable step",
        notifications.post_commit,
        {204: Answered("Both are durable")},
        (*_BODY, 422),
        bodies={JSON: notifications.Commit},
    ),
    Operation(
        "GET",
        "/healthz",
        "get_health",
        None,
        "Whether the process answers",
        health.get_health,
        {200: Answered("It does", (health.Health,))},
    ),
    Operation(
        "GET",
        "/readyz",
        "get_readiness",
        None,
        "Whether work is taken",
        health.get_readiness,
        {200: Answered("It is", (health.Readiness,))},
    ),
    Operation(
        "GET",
        "/metrics",
        "get_metrics",
        "read",
        "Metrics for Prometheus; needs a key only where the configuration says so",
        health.get_metrics,
        {200: Answered("The metrics in text format", (str,), TEXT)},
    ),
    Operation(
        "GET",
        "/openapi.json",
        "get_openapi",
        None,
        "This description",
        get_openapi,
        {200: Answered("OpenAPI 3.1", (dict[str, Any],))},
    ),
)
