"""``/healthz``, ``/readyz`` and ``/metrics``: for the machine that runs this process."""

import msgspec
from prometheus_client.exposition import choose_encoder
from starlette.requests import Request
from starlette.responses import Response

from projections.api.problems import ProblemError, json_response
from projections.api.service import NoQuery, Service, query_of


class Health(msgspec.Struct, frozen=True):
    """The process answers."""

    status: str


class Readiness(msgspec.Struct, frozen=True):
    """Work is taken, and a sentence about it."""

    status: str
    detail: str


async def get_health(service: Service, request: Request) -> Response:
    """200 as long as the process answers at all."""
    query_of(request, NoQuery)
    return json_response(Health("ok"))


async def get_readiness(service: Service, request: Request) -> Response:
    """200 where work is taken, 503 with what is missing where not."""
    query_of(request, NoQuery)
    ready, detail = service.views.ready()
    if service.stopping.is_set():
        ready, detail = False, "stopping"
    if not ready:
        raise ProblemError(503, "not_ready", detail, headers={"retry-after": str(service.options.retry_after_seconds)})
    return json_response(Readiness("ready", detail))


async def get_metrics(service: Service, request: Request) -> Response:
    """The registry in the text format that the scraper asks for."""
    service.measures.bytes_held.set(service.bodies.bytes_held)
    encode, media = choose_encoder(request.headers.get("accept", ""))
    return Response(encode(service.measures.registry), headers={"content-type": media})
