"""Opens the application over fakes of its ports, with a client that speaks to it without a socket."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx
import msgspec
from prometheus_client import CollectorRegistry
from starlette.applications import Starlette

from projections.api import ApiOptions, create_app
from tests.fakes.ingest import FakeIngest
from tests.fakes.log import FakeNotificationLog
from tests.fakes.views import FakeViews

JSON = {"content-type": "application/json"}
NDJSON = {"content-type": "application/x-ndjson"}
OFF = ApiOptions(auth="off")


@dataclass
class Door:
    """The application, what stands behind it, and a client."""

    app: Starlette
    ingest: FakeIngest
    views: FakeViews
    log: FakeNotificationLog
    registry: CollectorRegistry
    client: httpx.AsyncClient

    async def events(self, body: bytes, media: str = "application/json", query: str = "") -> httpx.Response:
        """Posts a body to /v1/events."""
        return await self.client.post(f"/v1/events{query}", content=body, headers={"content-type": media})

    def metric(self, name: str, **labels: str) -> float | None:
        """A sample of the registry."""
        return self.registry.get_sample_value(name, labels)


@asynccontextmanager
async def opened(options: ApiOptions = OFF) -> AsyncIterator[Door]:
    """A door with these options."""
    ingest, views, log, registry = FakeIngest(), FakeViews(), FakeNotificationLog(), CollectorRegistry()
    app = create_app(ingest, views, log, options, registry)
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
        yield Door(app, ingest, views, log, registry, client)


def with_limits(**limits: Any) -> ApiOptions:  # Any: of the limits' own types
    """Options with keys off and some limits changed."""
    return msgspec.structs.replace(OFF, limits=msgspec.structs.replace(OFF.limits, **limits))


def problem(answer: httpx.Response) -> tuple[int, str]:
    """Status and code of a problem; fails where the answer is none or its status differs from the body's."""
    assert answer.headers["content-type"] == "application/problem+json"
    body = answer.json()
    assert body["status"] == answer.status_code
    assert body["title"]
    assert body["detail"]
    return answer.status_code, body["code"]
