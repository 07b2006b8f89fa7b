"""Reads a table (TOML, JSON, environment) into a Struct, with one sentence for each thing that is wrong in it."""

import difflib
import json
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, TypeVar, get_type_hints

import msgspec

from engine.failures import WrongUse
from schemas.money import shorten

_SECRET: Final = re.compile(r"password|secret|token|key", re.IGNORECASE)
_FILE_BYTES_MAX: Final = 1024 * 1024  # a configuration or a mapping; anything larger is another file

S = TypeVar("S", bound=msgspec.Struct)


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


def read_struct(values: Mapping[str, object], cls: type[S], path: str, problems: list[str]) -> S | None:
    """The Struct of a table, or None with a sentence added to ``problems`` for each field that is wrong.

    ``path`` names the table in the sentences. Values of fields whose name sounds secret are not repeated.
    """
    hints = get_type_hints(cls, include_extras=True)
    fields = {field.encode_name: field for field in msgspec.structs.fields(cls)}
    before = len(problems)
    for name in values:
        if name not in fields:
            problems.append(f"{_dotted(path, name)} is not a setting{_suggestion(name, list(fields))}")
    read: dict[str, Any] = {}
    for name, field in fields.items():
        if name not in values:
            if field.required:
                problems.append(f"{_dotted(path, name)} is needed and was not given")
            continue
        try:
            read[field.name] = msgspec.convert(values[name], hints[field.name])
        except msgspec.ValidationError as error:
            problems.append(f"{_dotted(path, name)}: {_expected(error)}{_found(name, values[name])}")
    if len(problems) > before:
        return None
    try:
        return cls(**read)
    except ValueError as error:  # a Struct's own check of its fields against each other
        problems.append(f"{path}: {error}" if path else str(error))
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


def _dotted(path: str, name: str) -> str:
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
