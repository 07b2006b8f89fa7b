"""The application: the route table as Starlette routes, inside the one edge that every request passes."""

import logging
import time
import uuid
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Final

from prometheus_client import CollectorRegistry
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from engine.log.ports import Ingest, NotificationLog
from projections.api.bodies import Bodies
from projections.api.keys import Gate
from projections.api.measures import UNMATCHED, Measures
from projections.api.options import ApiOptions, check_options
from projections.api.problems import Problem, ProblemError, problem_response
from projections.api.routes import OPERATIONS, Operation
from projections.api.service import Service
from projections.ports import Views

_log = logging.getLogger(__name__)

_ALWAYS_ANSWERED: Final = frozenset({"/healthz", "/readyz", "/metrics"})
"""Not counted against the requests in flight: a busy process must not look like a dead one."""

_SECURITY_HEADERS: Final = (
    (b"x-content-type-options", b"nosniff"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
    (b"referrer-policy", b"no-referrer"),
    (b"cache-control", b"no-store"),
)


def create_app(
    ingest: Ingest,
    views: Views,
    notification_log: NotificationLog,
    options: ApiOptions,
    registry: CollectorRegistry,
    operations: Sequence[Operation] = OPERATIONS,
) -> Starlette:
    """The application over the ports; its metrics go to ``registry``, its ``state.service`` is the Service.

    ``operations``: what is served, everything if not given.

    Raises OptionsError where the options cannot be used.
    """
    check_options(options)
    service = Service(ingest, views, notification_log, options, Measures(registry), Gate(options), Bodies(options))
    endpoints: dict[tuple[str, str], Endpoint] = {
        (operation.method, operation.path): _endpoint(service, operation) for operation in operations
    }
    app = Starlette(
        routes=[Route(path, endpoint, methods=[method]) for (method, path), endpoint in endpoints.items()],
        middleware=[Middleware(Edge, service=service, endpoints=endpoints)],
        exception_handlers={HTTPException: _http_problem},
    )
    app.router.redirect_slashes = False
    app.state.service = service
    return app


Endpoint = Callable[[Request], Awaitable[Response]]


def _endpoint(service: Service, operation: Operation) -> Endpoint:
    scope = operation.scope
    if operation.path == "/metrics" and not service.options.metrics_protected:
        scope = None

    async def endpoint(request: Request) -> Response:
        request.scope["plimsoll.route"] = operation.path
        try:
            service.gate.check(request.headers, scope)
            return await operation.handler(service, request)
        except ProblemError as error:
            return problem_response(error.problem, error.headers)

    return endpoint


async def _http_problem(request: Request, error: Exception) -> Response:
    """What Starlette itself finds: no such path, or not this method on it."""
    assert isinstance(error, HTTPException)
    if error.status_code == 405:
        allowed = (error.headers or {}).get("Allow", "")
        found = ProblemError(405, "method_not_allowed", f"expected {allowed}, found {request.method[:20]}")
    else:
        found = ProblemError(error.status_code, "not_found", "no such path; see /openapi.json")
    return problem_response(found.problem, error.headers)


class Edge:
    """The first and last to see a request: bounds how many are in flight, measures, and answers what broke.

    A request whose method and path are those of an operation, letter by letter, goes to its endpoint at once; what
    has something in its path, or is not found, goes through the application's routes. That is a third of what the
    door costs a small request.
    """

    def __init__(self, app: ASGIApp, service: Service, endpoints: Mapping[tuple[str, str], Endpoint]) -> None:
        self._app = app
        self._service = service
        self._endpoints = endpoints
        self._in_flight = 0
        self._in_flight_max = service.options.limits.requests_max
        service.measures.in_flight.set_function(lambda: self._in_flight)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        # Matched as sent: an id may hold a percent-encoded slash.
        path = scope["path"] = scope["raw_path"].decode("ascii", "replace")
        answer = _Answer(send)
        started = time.perf_counter()
        self._in_flight += 1
        try:
            endpoint = self._endpoints.get((scope["method"], path))
            if self._in_flight > self._in_flight_max and path not in _ALWAYS_ANSWERED:
                await self._answer_full()(scope, receive, answer.send)
            elif endpoint is not None:
                response = await endpoint(Request(scope, receive))
                await response(scope, receive, answer.send)
            else:
                await self._app(scope, receive, answer.send)
        except ClientDisconnect:
            answer.status = 499
        except Exception:
            id_ = uuid.uuid4().hex
            _log.exception("request %s failed", id_)
            if answer.status:
                raise  # too late for another answer: the server closes the connection
            await _broken(id_)(scope, receive, answer.send)
        finally:
            self._in_flight -= 1
            route = scope.get("plimsoll.route", UNMATCHED)
            self._service.measures.request(scope["method"], route, answer.status, time.perf_counter() - started)

    def _answer_full(self) -> Response:
        error = ProblemError(
            503,
            "requests_too_many",
            "too many requests at once; send this again",
            headers={"retry-after": str(self._service.options.retry_after_seconds)},
            closing=True,
        )
        return problem_response(error.problem, error.headers)


def _broken(id_: str) -> Response:
    """The caller gets an id and nothing of the inside; the log has the id and the traceback."""
    detail = f"something failed here; whoever runs this finds it in the log under {id_}"
    return problem_response(Problem("Internal Server Error", 500, "internal", detail, id=id_))


class _Answer:
    """Passes an answer on with the security headers, and remembers its status; 0: none was begun."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self.status = 0

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            message["headers"] = [*message["headers"], *_SECURITY_HEADERS]
        await self._send(message)
