"""The OpenAPI document follows from the route table, the file beside it follows from both, and answers fit it."""

from typing import Any

import httpx
import msgspec
import pytest
from jsonschema import Draft202012Validator
from starlette.routing import Route

from projections.api.openapi import document
from projections.api.options import ApiKey, ApiOptions
from projections.api.routes import DOCUMENT_PATH, OPERATIONS, Operation
from tests.fakes.ingest import charge
from tests.unit.api.doors import JSON, NDJSON, Door, opened, problem

DOCUMENT: dict[str, Any] = msgspec.json.decode(document())  # Any: arbitrary JSON


def test_the_file_is_up_to_date() -> None:
    assert DOCUMENT_PATH.read_bytes() == document(), "run `python -m projections.api.openapi`"


async def test_it_describes_every_route_and_no_other(door: Door) -> None:
    served = {
        (method, route.path)
        for route in door.app.routes
        if isinstance(route, Route)
        for method in (route.methods or set()) - {"HEAD"}
    }
    described = {(method.upper(), path) for path, methods in DOCUMENT["paths"].items() for method in methods}
    assert described == served


async def test_it_is_served(door: Door) -> None:
    assert (await door.client.get("/openapi.json")).json() == DOCUMENT


def test_every_reference_leads_somewhere() -> None:
    def references(part: object) -> list[str]:
        if isinstance(part, dict):
            own = [part["$ref"]] if isinstance(part.get("$ref"), str) else []
            return own + [found for item in part.values() for found in references(item)]
        return [found for item in part for found in references(item)] if isinstance(part, list) else []

    names = {f"#/components/schemas/{name}" for name in DOCUMENT["components"]["schemas"]}
    assert set(references(DOCUMENT)) <= names
    Draft202012Validator.check_schema({"$defs": DOCUMENT["components"]["schemas"]})


@pytest.mark.parametrize(("amount", "fits"), [("0.12", True), ("0.1234567", False), (0.12, False)])
def test_an_event_is_described_field_by_field(amount: object, fits: bool) -> None:
    whole = {"$ref": "#/components/schemas/Event", "components": DOCUMENT["components"]}
    event = msgspec.json.decode(charge("1", amount=amount))
    assert Draft202012Validator(whole).is_valid(event) is fits


def _check(operation: Operation, answer: httpx.Response) -> None:
    described = DOCUMENT["paths"][operation.path][operation.method.lower()]["responses"]
    content = described[str(answer.status_code)].get("content")
    if content is None:
        assert answer.content == b""
        return
    schema = content[answer.headers["content-type"]]["schema"]
    whole = {**schema, "components": DOCUMENT["components"]}
    Draft202012Validator(whole).validate(answer.json())


def _operation(name: str) -> Operation:
    return next(operation for operation in OPERATIONS if operation.name == name)


async def test_answers_to_events_fit(door: Door) -> None:
    operation = _operation("post_events")
    for body, headers, query in (
        (charge("1"), JSON, ""),
        (charge("1"), JSON, ""),
        (charge("1", amount=1), JSON, ""),
        (b"", JSON, ""),
        (b"[" + charge("1") + b"]", JSON, ""),
        (charge("2") + b"\nx", NDJSON, ""),
        (charge("3") + b"\nx", NDJSON, "?answers=refused"),
        (b"x", {"content-type": "text/plain"}, ""),
    ):
        _check(operation, await door.client.post(f"/v1/events{query}", content=body, headers=headers))


async def test_answers_to_consumers_fit(door: Door) -> None:
    door.log.append(0, "c-1", b'{"output":"notification"}')
    _check(_operation("get_notifications"), await door.client.get("/v1/log/notifications?partition=0"))
    _check(_operation("get_positions"), await door.client.get("/v1/consumers/mailer/positions"))
    settled = await door.client.post("/v1/consumers/mailer/settled", content=b'{"notifications":["a"]}', headers=JSON)
    _check(_operation("post_settled"), settled)
    commit = b'{"positions":{"0":1},"deliveries":[]}'
    answer = await door.client.post("/v1/consumers/mailer/commit", content=commit, headers=JSON)
    assert answer.status_code == 204
    _check(_operation("post_commit"), answer)


@pytest.mark.parametrize("operation", OPERATIONS, ids=[operation.name for operation in OPERATIONS])
async def test_a_parameter_that_is_not_described_is_refused(door: Door, operation: Operation) -> None:
    if operation.name == "get_metrics":  # scrapers are configured with parameters of their own
        return
    path = operation.path.format(client="c-1", consumer="mailer")
    answer = await door.client.request(operation.method, f"{path}?surprise=1", content=charge("1"), headers=JSON)
    assert problem(answer) == (400, "query_invalid")
    _check(operation, answer)


async def test_operations_with_a_scope_are_those_that_need_a_key() -> None:
    async with opened(ApiOptions(keys=(ApiKey("k", "a" * 64, ("read",)),), metrics_protected=True)) as door:
        for operation in OPERATIONS:
            path = operation.path.format(client="c-1", consumer="mailer")
            answer = await door.client.request(operation.method, path)
            assert (answer.status_code == 401) == (operation.scope is not None), operation.name
            if operation.scope is not None:
                _check(operation, answer)
