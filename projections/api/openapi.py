"""OpenAPI 3.1, made from the route table; ``python -m projections.api.openapi`` writes the file beside this module.

The file is what clients are generated from; a test holds it to the table.
"""

from typing import Any, Final

import msgspec

from projections.api.problems import PROBLEM_MEDIA, Problem, phrase_of
from projections.api.routes import DOCUMENT_PATH, OPERATIONS, Event, Operation
from schemas.events import EVENT_TYPES, Tick, TransferLeg, TransferOutcome
from schemas.generate import event_schema

VERSION: Final = "1"

_EVERYWHERE: Final = (400, 500, 503)
"""A query or a host that does not fit, a failure of ours, and too much at once can meet every operation."""

_NOT_AT_THE_DOOR: Final = (TransferLeg, TransferOutcome, Tick)
"""Written by the engine only."""

_REF: Final = "#/components/schemas/{name}"

Json = dict[str, Any]  # OpenAPI is arbitrary JSON


def document() -> bytes:
    """The document as JSON, indented, with a line feed at its end."""
    types = _types()
    schemas, components = msgspec.json.schema_components(types, ref_template=_REF)
    by_type = dict(zip(map(repr, types), schemas, strict=True))
    paths: dict[str, Json] = {}
    for operation in OPERATIONS:
        paths.setdefault(operation.path, {})[operation.method.lower()] = _operation(operation, by_type)
    whole = {
        "openapi": "3.1.0",
        "info": {
            "title": "Plimsoll",
            "version": VERSION,
            "description": "Events in, views of clients out, and notifications for consumers in other processes.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "paths": paths,
        "components": {
            "schemas": _with_events(components),
            "securitySchemes": {"key": {"type": "http", "scheme": "bearer"}},
        },
    }
    return msgspec.json.format(msgspec.json.encode(whole), indent=2) + b"\n"


def _with_events(components: Json) -> Json:
    """The components with one for each type of event, and ``Event`` as any of those that may come in."""
    events: dict[str, Json] = {}
    parts: dict[str, Json] = {}
    for cls in EVENT_TYPES:
        if cls in _NOT_AT_THE_DOOR:
            continue
        schema = _referring_here(event_schema(cls))
        parts |= schema.pop("$defs", {})
        events[f"{cls.__name__}Event"] = {name: schema[name] for name in schema if name not in ("$schema", "$id")}
    assert components.keys().isdisjoint(events.keys() | parts.keys()), "a name has two meanings"
    any_event = {
        "description": "Any event of the contract, by its type. Unknown fields are refused.",
        "oneOf": [{"$ref": _REF.format(name=name)} for name in events],
    }
    return {**components, Event.__name__: any_event, **events, **parts}


def _referring_here(part: Any) -> Any:
    """A schema with its references to definitions of its own turned into references to components."""
    if isinstance(part, dict):
        return {
            name: _REF.format(name=item.removeprefix("#/$defs/")) if name == "$ref" else _referring_here(item)
            for name, item in part.items()
        }
    return [_referring_here(item) for item in part] if isinstance(part, list) else part


def _types() -> list[object]:
    found: list[object] = [Problem]
    for operation in OPERATIONS:
        found += operation.bodies.values()
        for answered in operation.answers.values():
            found += answered.body
    return found


def _operation(operation: Operation, by_type: dict[str, Json]) -> Json:
    described: Json = {"operationId": operation.name, "summary": operation.summary}
    parameters = [*_path_parameters(operation.path), *_query_parameters(operation.query)]
    if parameters:
        described["parameters"] = parameters
    if operation.bodies:
        content = {media: {"schema": by_type[repr(body)]} for media, body in operation.bodies.items()}
        described["requestBody"] = {"required": True, "content": content}
    described["responses"] = _responses(operation, by_type)
    if operation.scope is not None:
        described["security"] = [{"key": []}]
        described["x-plimsoll-scope"] = operation.scope
    return described


def _path_parameters(path: str) -> list[Json]:
    names = [part[1:-1] for part in path.split("/") if part.startswith("{")]
    return [{"name": name, "in": "path", "required": True, "schema": {"type": "string"}} for name in names]


def _query_parameters(query: type[msgspec.Struct]) -> list[Json]:
    (schema,), components = msgspec.json.schema_components([query], ref_template="{name}")
    properties = components[schema["$ref"]]["properties"]
    return [
        {"name": name, "in": "query", "required": False, "schema": _without_null(parameter)}
        for name, parameter in properties.items()
    ]


def _without_null(schema: Json) -> Json:
    """A parameter is absent or has a value; null cannot be written in a query."""
    kinds = [kind for kind in schema.get("anyOf", []) if kind != {"type": "null"}]
    return kinds[0] if len(kinds) == 1 else schema


def _responses(operation: Operation, by_type: dict[str, Json]) -> Json:
    responses: Json = {}
    for status, answered in operation.answers.items():
        responses[str(status)] = {"description": answered.meaning}
        if answered.body:
            schemas = [by_type[repr(body)] for body in answered.body]
            schema = schemas[0] if len(schemas) == 1 else {"anyOf": schemas}
            responses[str(status)]["content"] = {answered.media: {"schema": schema}}
    by_key = (401, 403) if operation.scope is not None else ()
    for status in sorted({*_EVERYWHERE, *operation.problems, *by_key}):
        content = {PROBLEM_MEDIA: {"schema": by_type[repr(Problem)]}}
        responses[str(status)] = {"description": phrase_of(status), "content": content}
    return responses


if __name__ == "__main__":
    DOCUMENT_PATH.write_bytes(document())
