"""The worker's HTTP door: readers of clients, health, metrics. Events come in by the log, not here."""

from collections.abc import Callable, Mapping, Sequence
from typing import Final

from prometheus_client import CollectorRegistry
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response

from engine.kafka.shell.routing import Asked
from engine.kafka.shell.status import WorkerStatus
from engine.kafka.shell.views import WorkerViews
from engine.log.ports import Answer, LogRecord, Unavailable
from projections.api import ApiOptions, create_app
from projections.api.problems import json_response
from projections.api.routes import OPERATIONS, Answered, Operation
from projections.api.service import NoQuery, Service, query_of
from schemas.outputs import Delivery

STATUS_PATH: Final = "/v1/worker"

_SERVED: Final = frozenset(
    {"post_authorize", "get_client", "get_why", "get_history", "get_health", "get_readiness", "get_metrics"},
)


class _Elsewhere:
    """Ports ``Ingest`` and ``NotificationLog`` where neither is: no route that is served here leads to them."""

    partitions = 0

    async def submit(self, events: Sequence[bytes]) -> list[Answer]:
        raise Unavailable("events go to the log of the cluster")

    async def positions(self, consumer: str) -> Mapping[int, int]:
        raise Unavailable("consumers read the cluster")

    async def read(self, partition: int, offset: int, records_max: int) -> Sequence[LogRecord]:
        raise Unavailable("consumers read the cluster")

    async def wait(self, timeout_seconds: float) -> None:
        raise Unavailable("consumers read the cluster")

    async def settled(self, consumer: str, notifications: Sequence[str]) -> frozenset[str]:
        raise Unavailable("consumers read the cluster")

    async def commit(self, consumer: str, positions: Mapping[int, int], deliveries: Sequence[Delivery]) -> None:
        raise Unavailable("consumers read the cluster")


def create_door(
    views: WorkerViews, status: Callable[[], WorkerStatus], options: ApiOptions, registry: CollectorRegistry
) -> Starlette:
    """The application. Raises OptionsError where the options cannot be used."""

    async def get_worker(service: Service, request: Request) -> Response:
        query_of(request, NoQuery)
        return json_response(status())

    operations = [each for each in OPERATIONS if each.name in _SERVED]
    operations.append(
        Operation(
            "GET",
            STATUS_PATH,
            "get_worker",
            None,  # open like health: the leader asks it of every worker, and has no key
            "What this worker has, and how far it is",
            get_worker,
            {200: Answered("Its partitions", (WorkerStatus,))},
        )
    )
    elsewhere = _Elsewhere()
    app = create_app(elsewhere, views, elsewhere, options, registry, operations)
    app.add_middleware(Asked)
    return app
