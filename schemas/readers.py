"""Reads an event's fields from a decoded JSON object, by the kinds that its Struct declares.

This is the meticulous way in: it takes every type, and where something is wrong it finds the reason that comes
first in the contract's order. The codec has a fast way beside it for well-formed charges.
"""

import types
from collections.abc import Callable
from functools import lru_cache
from typing import Annotated, Any, Final, Literal, Union, cast, get_args, get_origin, get_type_hints

import msgspec
from msgspec import NODEFAULT
from msgspec.structs import fields as struct_fields

from schemas.events import AnyEvent, Event, Part
from schemas.fields import IDENTITY, MICROS_KINDS, TIME, FieldError, Kind, Most, bad, describe
from schemas.reasons import Reason, Refusal

JsonObject = dict[str, object]
Read = Callable[[object], object]

_ENVELOPE: Final = frozenset({"type", "at"})
_LIMIT: Final = "limit"  # the one required field whose null is a value


class Field(msgspec.Struct, frozen=True):
    """One field of an event: its names on the wire and in the Struct, how it is read, and what its absence means."""

    wire: str
    name: str
    read: Read
    micros: Kind | None
    absent: Reason | None
    nullable: bool
    default: object
    part: type[Part] | None = None


class Problems:
    """What is wrong with one event, in the order found; ``first`` picks by precedence."""

    def __init__(self) -> None:
        self._found: list[tuple[int, int, Refusal]] = []

    def add(self, reason: Reason, message: str) -> None:
        self._found.append((reason.number, len(self._found), Refusal(reason, message)))

    def first(self) -> Refusal | None:
        return min(self._found)[2] if self._found else None


def read_event(
    cls: type[AnyEvent], values: JsonObject, *, unknown_refused: bool, problems: Problems
) -> AnyEvent | None:
    """The event, or None with what is wrong added to ``problems``."""
    fields = fields_of(cls)
    read = _read_fields(fields, values, "", problems)
    if unknown_refused:
        _add_unknown(fields, values, _ENVELOPE, "", problems)
    if problems.first() is not None:
        return None
    return cls(**cast(Any, read))  # every field was read by its own kind


def _read_fields(fields: tuple[Field, ...], values: JsonObject, path: str, problems: Problems) -> JsonObject:
    read: JsonObject = {}
    for field in fields:
        value = values.get(field.wire)
        try:
            if field.micros is not None and values.get(f"{field.wire}_micros") is not None:
                if value is not None:
                    raise FieldError(Reason.BAD_AMOUNT, f"expected {field.wire} or {field.wire}_micros, found both")
                read[field.name] = field.micros.read(values[f"{field.wire}_micros"])
            elif value is None:
                if field.nullable and field.wire in values:
                    read[field.name] = None
                elif field.absent is not None:
                    problems.add(field.absent, f"{path}{field.wire} is needed and was not given")
            else:
                read[field.name] = field.read(value)
            # Left out where it says what the default says: msgspec leaves a default out of an encoding, and so out of
            # an identity's content, only where it is the very same object.
            if read.get(field.name, NODEFAULT) == field.default:
                read.pop(field.name, None)
        except FieldError as error:
            problems.add(error.reason, _at(path + field.wire, error.message))
    return read


def _add_unknown(
    fields: tuple[Field, ...], values: JsonObject, envelope: frozenset[str], path: str, problems: Problems
) -> None:
    """Adds each name that is no field, in the event and in the objects inside it."""
    known = _known_names(fields) | envelope
    for name in values:
        if name not in known:
            problems.add(Reason.BAD_FIELD, f"{path}{name[:60]} is not a field of this event")
    for field in fields:
        if field.part is not None:
            value = values.get(field.wire)
            for item in value if isinstance(value, list) else [value]:
                if isinstance(item, dict):
                    _add_unknown(fields_of(field.part), item, frozenset(), f"{path}{field.wire}.", problems)


def _at(path: str, message: str) -> str:
    return message if message.startswith(path) else f"{path}: {message}"


@lru_cache(maxsize=256)
def _known_names(fields: tuple[Field, ...]) -> frozenset[str]:
    names = {field.wire for field in fields} | {f"{field.wire}_micros" for field in fields if field.micros}
    return frozenset(names)


@lru_cache(maxsize=256)
def fields_of(cls: type[msgspec.Struct]) -> tuple[Field, ...]:
    """The fields of an event or of a part of one, in the order of the Struct."""
    hints = get_type_hints(cls, include_extras=True)
    return tuple(_field(cls, info, hints[info.name]) for info in struct_fields(cls))


def _field(cls: type[msgspec.Struct], info: msgspec.structs.FieldInfo, hint: object) -> Field:
    required = info.default is NODEFAULT and info.default_factory is NODEFAULT
    kind = kind_of(hint)
    micros = MICROS_KINDS.get(id(kind)) if info.encode_name == "amount" and issubclass(cls, Event) else None
    absent: Reason | None = None
    if required:
        absent = Reason.MISSING_FIELD
        if kind is IDENTITY:
            absent = Reason.BAD_ID
        elif kind is TIME and info.name == "time":
            absent = Reason.BAD_TIME
        elif info.name == "amount":
            absent = Reason.BAD_AMOUNT
    nullable = required and info.name == _LIMIT
    part = _part_of(hint)
    return Field(info.encode_name, info.name, reader_of(hint), micros, absent, nullable, info.default, part)


def _part_of(hint: object) -> type[Part] | None:
    """The object that a field holds, or that the items of its array are; None where it holds none."""
    (member,) = members_of(hint)
    if get_origin(member) is Annotated:
        member = (*get_args(get_args(member)[0]), None)[0]
    return member if isinstance(member, type) and issubclass(member, Part) else None


def kind_of(hint: object) -> Kind | None:
    """The Kind that an annotation names, through ``| None``."""
    for part in (hint, *get_args(hint)) if _is_union(hint) else (hint,):
        if get_origin(part) is Annotated:
            for metadata in get_args(part)[1:]:
                if isinstance(metadata, Kind):
                    return metadata
    return None


def _is_union(hint: object) -> bool:
    return get_origin(hint) in (Union, types.UnionType)


def members_of(hint: object) -> tuple[object, ...]:
    """An annotation's members without None."""
    return tuple(part for part in get_args(hint) if part is not type(None)) if _is_union(hint) else (hint,)


@lru_cache(maxsize=512)
def reader_of(hint: object) -> Read:
    """How a value of that annotation is read."""
    (member,) = members_of(hint)
    kind = kind_of(member)
    if kind is not None:
        return kind.read
    if get_origin(member) is Annotated:
        array, most = get_args(member)[:2]
        assert isinstance(most, Most)
        return _array_reader(reader_of(get_args(array)[0]), most.items)
    if get_origin(member) is Literal:
        return _choice_reader(get_args(member))
    assert isinstance(member, type)
    assert issubclass(member, Part)
    return _object_reader(member)


def _array_reader(read_item: Read, items_max: int) -> Read:
    def read(value: object) -> object:
        if not isinstance(value, list):
            raise bad("an array", value)
        if len(value) > items_max:
            raise FieldError(Reason.BAD_FIELD, f"expected at most {items_max} items, found {len(value)}")
        items: list[object] = []
        for at, item in enumerate(value):
            try:
                items.append(read_item(item))
            except FieldError as error:
                raise FieldError(error.reason, f"item {at}: {error.message}") from None
        return tuple(items)

    return read


def _choice_reader(choices: tuple[str, ...]) -> Read:
    expected = " or ".join(choices)

    def read(value: object) -> object:
        if type(value) is not str or value not in choices:
            raise bad(expected, value)
        return value

    return read


def _object_reader(cls: type[Part]) -> Read:
    def read(value: object) -> object:
        if not isinstance(value, dict):
            raise FieldError(Reason.BAD_FIELD, f"expected an object, found {describe(value)}")
        problems = Problems()
        values = _read_fields(fields_of(cls), value, "", problems)
        first = problems.first()
        if first is not None:
            raise FieldError(first.reason, first.message)
        return cls(**cast(Any, values))

    return read


def tag_of(cls: type[AnyEvent]) -> str:
    """The ``type`` of an event on the wire."""
    tag = cls.__struct_config__.tag
    assert isinstance(tag, str)
    return tag
