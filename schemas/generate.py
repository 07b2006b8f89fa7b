"""JSON Schema (2020-12) of every event in and every output.

``python -m schemas.generate`` writes them, ``--check`` names those that are out of date.

Events come from their Structs and the Kinds of their fields, so a schema says what the codec reads; outputs from
msgspec. Unknown fields are allowed, as on the log. What JSON Schema cannot say is left to the codec: money in 63 bits,
days that a month has, zones that exist, ids unique inside a profile, two currencies that must differ.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Final, Literal, get_args, get_origin, get_type_hints

import msgspec
from msgspec import NODEFAULT
from msgspec.structs import fields as struct_fields

from schemas.events import EVENT_TYPES, Adjustment, AnyEvent, CreditCap, Part, TemporaryCredit, TimeBalance, Window
from schemas.fields import MONEY_POSITIVE_PATTERN, JsonSchema, Most
from schemas.outputs import (
    Change,
    CreditHistory,
    Delivery,
    Notification,
    Output,
    Rejection,
    UnitsExpired,
    UsageRejected,
)
from schemas.readers import fields_of, kind_of, members_of, tag_of

FOLDER: Final = Path(__file__).parent / "generated"
SUFFIX: Final = ".schema.json"
OUTPUT_TYPES: Final[tuple[type[Output], ...]] = (
    Change,
    Notification,
    UsageRejected,
    UnitsExpired,
    CreditHistory,
    Rejection,
    Delivery,
)
_DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"
_NULL: Final[JsonSchema] = {"type": "null"}
_GIVEN: Final[JsonSchema] = {"not": _NULL}
_NO_PERCENT: Final[JsonSchema] = {"anyOf": [{"const": 0}, {"type": "string", "pattern": r"^0+(\.0+)?$"}]}


def _gives(*names: str) -> JsonSchema:
    """An object where each of these fields is present and not null."""
    return {"required": list(names), "properties": dict.fromkeys(names, _GIVEN)}


# What schemas.checks says between fields, as far as JSON Schema can say it too.
_BETWEEN_FIELDS: Final[dict[type[msgspec.Struct], JsonSchema]] = {
    Adjustment: {
        "if": {"required": ["kind", "of"], "properties": {"kind": {"const": "refund"}, "of": _GIVEN}},
        "else": {"properties": {"amount": {"pattern": MONEY_POSITIVE_PATTERN}, "amount_micros": {"minimum": 1}}},
    },
    TemporaryCredit: {
        "if": {"required": ["remove"], "properties": {"remove": {"const": True}}},
        "then": {"properties": {"amount": _NULL, "amount_micros": _NULL, "percent": _NULL}},
        "else": {
            "oneOf": [_gives("amount"), _gives("amount_micros"), _gives("percent")],
            "properties": {"percent": {"not": _NO_PERCENT}},
        },
    },
    TimeBalance: {
        "if": {"properties": {"action": {"enum": ["grant", "renew"]}}},
        "then": _gives("plan"),
    },
    CreditCap: {"not": _gives("amount", "percent")},
    Window: {"oneOf": [_gives("seconds"), _gives("until")]},
}


def documents() -> dict[str, JsonSchema]:
    """Every schema by file name: one a type, and ``event`` and ``output`` for whatever goes in or comes out."""
    events = {tag_of(cls): event_schema(cls) for cls in EVENT_TYPES}
    outputs = {str(cls.__struct_config__.tag): output_schema(cls) for cls in OUTPUT_TYPES}
    whole = {
        **events,
        **outputs,
        "event": _any_of("event", "Any event in, by its type.", events),
        "output": _any_of("output", "Any output, by its kind.", outputs),
    }
    return {name + SUFFIX: schema for name, schema in sorted(whole.items())}


def event_schema(cls: type[AnyEvent]) -> JsonSchema:
    """The schema of one type of event, whole: what it refers to is among its own definitions."""
    parts: dict[str, JsonSchema] = {}
    body = _object_schema(cls, parts)
    properties = {"type": {"const": tag_of(cls)}, **body.pop("properties")}
    required = ["type", *body.pop("required")]
    return _document(tag_of(cls), cls, {"properties": properties, "required": required, **body}, parts)


def output_schema(cls: type[Output]) -> JsonSchema:
    """The schema of one kind of output, whole, in wire form."""
    _, components = msgspec.json.schema_components((cls,), ref_template="#/$defs/{name}")
    body = components.pop(cls.__name__)
    if cls is Rejection:
        body["properties"]["event"] = {"type": ["object", "string"]}  # msgspec knows of a Raw only that it is JSON
    body = {name: body[name] for name in ("properties", "required")}
    return _document(str(cls.__struct_config__.tag), cls, body, dict(sorted(components.items())))


def _document(name: str, cls: type[msgspec.Struct], body: JsonSchema, parts: dict[str, JsonSchema]) -> JsonSchema:
    head: JsonSchema = {"$schema": _DIALECT, "$id": name + SUFFIX, "title": name, "description": _description(cls)}
    return {**head, "type": "object", **body, **({"$defs": parts} if parts else {})}


def _any_of(name: str, description: str, schemas: dict[str, JsonSchema]) -> JsonSchema:
    refs = [{"$ref": other + SUFFIX} for other in schemas]
    return {"$schema": _DIALECT, "$id": name + SUFFIX, "title": name, "description": description, "oneOf": refs}


def _description(cls: type[msgspec.Struct]) -> str:
    assert cls.__doc__ is not None, cls
    return " ".join(cls.__doc__.replace("``", "`").split())


def _object_schema(cls: type[msgspec.Struct], parts: dict[str, JsonSchema]) -> JsonSchema:
    """Properties, what is required, and the rules between fields; the parts it names are added to ``parts``."""
    hints = get_type_hints(cls, include_extras=True)
    properties: JsonSchema = {}
    required: list[str] = []
    between: JsonSchema = dict(_BETWEEN_FIELDS.get(cls, {}))
    for field, info in zip(fields_of(cls), struct_fields(cls), strict=True):
        schema = _value_schema(hints[info.name], parts)
        optional = field.absent is None
        nullable = optional or field.nullable or field.micros is not None
        default = {} if info.default in (NODEFAULT, None) else {"default": info.default}
        properties[field.wire] = {**(_or_null(schema) if nullable else schema), **default}
        if field.micros is not None:
            properties[f"{field.wire}_micros"] = _or_null(field.micros.schema)
            if not optional:
                between["oneOf"] = [_gives(field.wire), _gives(f"{field.wire}_micros")]
        elif not optional:
            required.append(field.wire)
    return {"properties": properties, "required": required, "additionalProperties": True, **between}


def _value_schema(hint: object, parts: dict[str, JsonSchema]) -> JsonSchema:
    (member,) = members_of(hint)
    kind = kind_of(member)
    if kind is not None:
        return kind.schema
    if get_origin(member) is Annotated:
        array, most = get_args(member)[:2]
        assert isinstance(most, Most)
        return {"type": "array", "items": _value_schema(get_args(array)[0], parts), "maxItems": most.items}
    if get_origin(member) is Literal:
        return {"enum": list(get_args(member))}
    assert isinstance(member, type)
    assert issubclass(member, Part)
    parts[member.__name__] = {"description": _description(member), "type": "object", **_object_schema(member, parts)}
    return {"$ref": f"#/$defs/{member.__name__}"}


def _or_null(schema: JsonSchema) -> JsonSchema:
    """The same or null, which means that the field is absent."""
    if "enum" in schema:
        return {**schema, "enum": [*schema["enum"], None]}
    if "type" in schema:
        types = schema["type"]
        return {**schema, "type": [*([types] if isinstance(types, str) else types), "null"]}
    return {"anyOf": [schema, _NULL]}


def render(schema: JsonSchema) -> str:
    """The text of a schema file."""
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"


def differences(folder: Path) -> list[str]:
    """One sentence for each file of the folder that is not what the Structs give; none: no drift."""
    wanted = {name: render(schema) for name, schema in documents().items()}
    found = {path.name: path.read_text(encoding="utf-8") for path in folder.glob(f"*{SUFFIX}")}
    missing = [f"{name}: is missing" for name in wanted.keys() - found.keys()]
    extra = [f"{name}: describes no event or output" for name in found.keys() - wanted.keys()]
    changed = [f"{name}: is out of date" for name in wanted.keys() & found.keys() if wanted[name] != found[name]]
    return sorted([*missing, *extra, *changed])


def write(folder: Path) -> None:
    """Writes every schema file, and removes those that describe nothing."""
    folder.mkdir(exist_ok=True)
    wanted = documents()
    for path in folder.glob(f"*{SUFFIX}"):
        if path.name not in wanted:
            path.unlink()
    for name, schema in wanted.items():
        (folder / name).write_text(render(schema), encoding="utf-8", newline="\n")


def main(arguments: Sequence[str] | None = None, *, folder: Path = FOLDER) -> int:
    """Writes the files, or with ``--check`` names those that differ; the exit code."""
    parser = argparse.ArgumentParser(prog="python -m schemas.generate", description="JSON Schemas from the Structs.")
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 where a file is out of date")
    if not parser.parse_args(arguments).check:
        write(folder)
        return 0
    found = differences(folder)
    for sentence in found:
        print(sentence, file=sys.stderr)
    if found:
        print("run python -m schemas.generate and commit what it writes", file=sys.stderr)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
