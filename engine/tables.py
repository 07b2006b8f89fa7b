"""Reads a table (TOML, JSON, environment) into a Struct, with one sentence for each thing that is wrong in it."""

import difflib
import json
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from types import UnionType
from typing import Any, Final, TypeVar, Union, get_args, get_origin, get_type_hints

import msgspec

from engine.failures import WrongUse
from schemas.money import shorten

_SECRET: Final = re.compile(r"password|secret|token|key", re.IGNORECASE)
_FILE_BYTES_MAX: Final = 1024 * 1024  # a configuration or a mapping; anything larger is another file

S = TypeVar("S", bound=msgspec.Struct)


class Problem(msgspec.Struct, frozen=True):
    """What is wrong with one setting: its dotted name (empty for the whole), and the rest of the sentence."""

    path: str
    text: str

    def __str__(self) -> str:
        return f"{self.path}{self.text}" if self.path else self.text.removeprefix(": ")


def load_table(path: str) -> dict[str, Any]:  # Any: what a user wrote, checked field by field afterwards
    """The table in a TOML file, or in a JSON file where the name ends so. Raises WrongUse with file and reason."""
    try:
        data = Path(path).read_bytes()
    except FileNotFoundError:
        raise WrongUse(f"{path}: there is no such file") from None
    except OSError as error:
        raise WrongUse(f"{path}: cannot be read: {error.strerror}") from None
    if len(data) > _FILE_BYTES_MAX:
        raise WrongUse(f"{path}: expected at most {_FILE_BYTES_MAX} bytes, found {len(data)}")
    try:
        text = data.decode("utf-8-sig")
        table: object = json.loads(text) if path.endswith(".json") else tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        kind = "JSON" if path.endswith(".json") else "TOML"
        raise WrongUse(f"{path}: expected {kind}: {str(error)[:200]}") from None
    if not isinstance(table, dict):
        raise WrongUse(f"{path}: expected a table of settings")
    return table


def read_struct(values: Mapping[str, object], cls: type[S], path: str, problems: list[Problem]) -> S | None:
    """The Struct of a table, or None with a Problem added for each setting that is wrong.

    ``path`` is the table's own name. Fields that are Structs are read from the tables inside. Values of fields whose
    name sounds secret are not repeated.
    """
    hints = get_type_hints(cls, include_extras=True)
    fields = {field.encode_name: field for field in msgspec.structs.fields(cls)}
    before = len(problems)
    for name in values:
        if name not in fields:
            problems.append(Problem(dotted(path, name), f" is not a setting{_suggestion(name, list(fields))}"))
    read: dict[str, Any] = {}
    for name, field in fields.items():
        at = dotted(path, name)
        if name not in values:
            if field.required:
                problems.append(Problem(at, " is needed and was not given"))
            continue
        value, inner = values[name], struct_of(hints[field.name])
        if inner is not None and isinstance(value, dict):
            read[field.name] = read_struct(value, inner, at, problems)
            continue
        try:
            read[field.name] = msgspec.convert(value, hints[field.name])
        except msgspec.ValidationError as error:
            problems.append(Problem(at, f": {_expected(error)}{_found(name, value)}"))
    if len(problems) > before:
        return None
    try:
        return cls(**read)
    except ValueError as error:  # a Struct's own check of its fields against each other
        problems.append(Problem(path, f": {error}"))
        return None


def struct_of(hint: object) -> type[msgspec.Struct] | None:
    """The Struct that an annotation names, alone or with None."""
    for part in get_args(hint) if get_origin(hint) in (Union, UnionType) else (hint,):
        if isinstance(part, type) and issubclass(part, msgspec.Struct):
            return part
    return None


def parse_text(text: str, hint: object) -> object:
    """The value that a setting has in the environment: as it stands, a whole number, true or false, or JSON.

    Gives ``text`` itself where nothing fits, so that reading the table then says what was expected.
    """
    for value in _readings(text):
        try:
            msgspec.convert(value, hint)
        except msgspec.ValidationError:
            continue
        return value
    return next(iter(_readings(text)[1:]), text)


def _readings(text: str) -> list[object]:
    readings: list[object] = [text]
    try:
        readings.append(json.loads(text))
    except ValueError:
        if text.lower() in ("yes", "on", "no", "off"):
            readings.append(text.lower() in ("yes", "on"))
        elif "," in text:
            readings.append([part.strip() for part in text.split(",")])
    return readings


def dotted(path: str, name: str) -> str:
    """The name of a setting inside a table."""
    return f"{path}.{name}" if path else name


def _suggestion(name: str, known: list[str]) -> str:
    close = difflib.get_close_matches(name, known, n=1)
    return f"; did you mean {close[0]}?" if close else f"; there are {', '.join(known)}"


def _expected(error: msgspec.ValidationError) -> str:
    text = str(error).replace("`", "")
    text = re.sub(r", got \w+", "", text)
    return re.sub(r" - at \$(\S*)", lambda at: f" (at {at[1]})" if at[1] else "", text).replace("Expected", "expected")


def _found(name: str, value: object) -> str:
    if _SECRET.search(name) or isinstance(value, (dict, list)):
        return ""
    return f", found {shorten(repr(value))}"
