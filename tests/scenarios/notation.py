"""The notation of the scenario files: text to lines of events and expected outputs (README.md explains it).

Purpose: a billing person reads and writes the files; nothing here knows a rule of the engine.
Errors: `NotationError` names the file and the line.
"""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

# Any JSON value: looked at with isinstance before use.
Json = object

DAY_ZERO = datetime(2026, 1, 1, tzinfo=UTC)

# The word after the type is the key of the event: the client, or what a configuration event configures.
KEYS: Mapping[str, str] = {
    **dict.fromkeys(
        (
            "client",
            "charge",
            "payment",
            "adjustment",
            "credit_limit",
            "temporary_credit",
            "invoice",
            "transfer",
            "time_balance",
            "transfer_leg",
            "transfer_outcome",
        ),
        "client",
    ),
    **{
        kind + suffix: key
        for kind, key in (
            ("profile", "profile"),
            ("template", "template"),
            ("customer_class", "customer_class"),
            ("reseller", "reseller"),
            ("user", "user"),
            ("time_balance_plan", "plan"),
        )
        for suffix in ("", "_deleted")
    },
}

_DAY = re.compile(r"d(-?\d+) (\d\d):(\d\d)(?::(\d\d)(\.\d{1,6})?)?")
_PAIR = re.compile(r"([A-Za-z_][\w.]*)(:=|~=|=)")
_TITLE = re.compile(r"== ([a-z0-9-]+): (\S.*)")
_ESCAPE = re.compile(rb"\\(?:x([0-9a-fA-F]{2})|\{(\d+)(.)\}|([nrt\\]))")
_PLAIN = {b"n": b"\n", b"r": b"\r", b"t": b"\t", b"\\": b"\\"}


class NotationError(Exception):
    """A scenario file that cannot be read."""


@dataclass(frozen=True)
class Expected:
    """One expected output: its kind, fields it must have, texts they must contain, fields it must not have."""

    where: str
    text: str
    kind: str
    fields: dict[str, Json]
    contains: dict[str, str]
    absent: tuple[str, ...]


@dataclass
class Step:
    """Some input lines (or, at the end, a clock), and what they bring out."""

    lines: list[bytes] = field(default_factory=list)
    until: str | None = None
    expected: list[Expected] = field(default_factory=list)


@dataclass
class Scenario:
    """One scenario of a file."""

    id: str
    title: str
    where: str
    rules: list[str] = field(default_factory=list)
    ignored: list[str] = field(default_factory=list)
    final: bool = False
    steps: list[Step] = field(default_factory=list)


def instant(text: str) -> str:
    """RFC 3339 in UTC for `d<day> <hh:mm[:ss[.ffffff]]>`, from 2026-01-01 on; any other text unchanged."""
    match = _DAY.fullmatch(text)
    if match is None:
        return text
    day, hours, minutes, seconds, fraction = match.groups()
    when = DAY_ZERO + timedelta(days=int(day), hours=int(hours), minutes=int(minutes), seconds=int(seconds or 0))
    return f"{when:%Y-%m-%dT%H:%M:%S}{fraction or ''}Z"


def raw(text: str) -> bytes:
    r"""The bytes of a raw line: `\xHH`, `\n`, `\r`, `\t`, `\\`, and `\{70000a}` for 70000 times `a`."""

    def expand(match: re.Match[bytes]) -> bytes:
        byte, count, char, plain = match.groups()
        if byte is not None:
            return bytes.fromhex(byte.decode("ascii"))
        if count is not None:
            return bytes(char) * int(count)
        return _PLAIN[plain]

    return _ESCAPE.sub(expand, text.encode("utf-8"))


def _put(target: dict[str, Json], dotted: str, value: Json) -> None:
    *parents, last = dotted.split(".")
    for parent in parents:
        inner = target.setdefault(parent, {})
        if not isinstance(inner, dict):
            raise NotationError(f"{parent} is not an object")
        target = inner
    target[last] = value


def _value(text: str, operator: str) -> tuple[Json, str]:
    """The value at the head of the text, and the rest of it."""
    if operator == ":=":
        value, end = json.JSONDecoder().raw_decode(text)
        if text[end:] and not text[end].isspace():
            raise NotationError(f"no space after the JSON value in {text!r}")
        return value, text[end:]
    day = _DAY.match(text)
    if day is not None and (day.end() == len(text) or text[day.end()].isspace()):
        return instant(day.group()), text[day.end() :]
    word = re.match(r"\S*", text)
    assert word is not None
    return word.group(), text[word.end() :]


def _pairs(text: str) -> Iterator[tuple[str, str, Json]]:
    """(key, operator, value) for each `key=text`, `key:=json`, `key~=text`, `!key`."""
    text = text.strip()
    while text:
        if text.startswith("!"):
            key, _, text = text[1:].partition(" ")
            yield key, "!", None
        else:
            match = _PAIR.match(text)
            if match is None:
                raise NotationError(f"expected key=value at {text!r}")
            value, text = _value(text[match.end() :], match.group(2))
            yield match.group(1), match.group(2), value
        text = text.strip()


def _word(text: str) -> tuple[str | None, str]:
    """The first word if it is no pair, and the rest."""
    head, _, rest = text.strip().partition(" ")
    if not head or head.startswith("!") or _PAIR.match(head):
        return None, text.strip()
    return head, rest.strip()


def event(text: str, number: int) -> bytes:
    """The line of an event in shorthand: `d0 10:00 charge c amount=5`; the number makes the default id."""
    match = _DAY.match(text)
    if match is None:
        raise NotationError("an event starts with its time, d0 10:00")
    kind, rest = _word(text[match.end() :])
    if kind is None:
        raise NotationError("an event has its type after the time")
    made: dict[str, Json] = {"type": kind, "source": "t", "id": f"e{number}", "time": instant(match.group())}
    key, rest = _word(rest)
    if key is not None:
        if kind not in KEYS:
            raise NotationError(f"{kind} has no key: write every field as key=value")
        made[KEYS[kind]] = key
    for name, operator, value in _pairs(rest):
        if operator not in ("=", ":="):
            raise NotationError(f"{operator} is for expectations only")
        _put(made, name, value)
    return json.dumps(made, ensure_ascii=False).encode("utf-8")


def line(text: str, number: int) -> bytes:
    """The bytes of a `<` line: `<raw ...` with escapes, JSON as it stands, else the shorthand."""
    if text == "raw" or text.startswith("raw "):
        return raw(text[4:])
    text = text.strip()
    return text.encode("utf-8") if text[:1] in ("{", "[") else event(text, number)


def expectation(text: str, where: str) -> Expected:
    """An expected output: its kind, then the client (for a rejection the reason), then the fields."""
    kind, rest = _word(text)
    if kind is None:
        raise NotationError("an expectation starts with the kind of the output")
    fields: dict[str, Json] = {}
    contains: dict[str, str] = {}
    absent: list[str] = []
    key, rest = _word(rest)
    if key is not None:
        fields["reason" if kind == "rejection" else "client"] = key
    for name, operator, value in _pairs(rest):
        if operator == "!":
            absent.append(name)
        elif operator == "~=":
            contains[name] = str(value)
        else:
            _put(fields, name, value)
    return Expected(where, text.strip(), kind, fields, contains, tuple(absent))


def parse(text: str, name: str) -> list[Scenario]:
    """The scenarios of a file."""
    scenarios: list[Scenario] = []
    numbers = 0
    for number, written in enumerate(text.splitlines(), start=1):
        where = f"{name}:{number}"
        if not written.strip() or written.startswith("#"):
            continue
        try:
            title = _TITLE.fullmatch(written)
            if title is not None:
                scenarios.append(Scenario(title.group(1), title.group(2), where))
                numbers = 0
            elif not scenarios:
                raise NotationError("the first line of a scenario is `== id: title`")
            elif written.startswith("<"):
                numbers += 1
                _step(scenarios[-1], to_read=False).lines.append(line(written[1:], numbers))
            elif written.startswith(">"):
                _step(scenarios[-1], to_read=True).expected.append(expectation(written[1:], where))
            else:
                _setting(scenarios[-1], written)
        except (NotationError, ValueError) as error:
            raise NotationError(f"{where}: {error}") from error
    return scenarios


def _step(scenario: Scenario, *, to_read: bool) -> Step:
    """The step to add to: a new one once the last has expectations, or a clock."""
    last = scenario.steps[-1] if scenario.steps else None
    if last is not None and to_read:
        return last
    if last is None or last.expected or last.until is not None:
        if last is not None and last.until is not None:
            raise NotationError("nothing comes in after `until:`")
        last = Step()
        scenario.steps.append(last)
    return last


def _setting(scenario: Scenario, written: str) -> None:
    name, colon, value = written.partition(":")
    value = value.strip()
    if not colon or not value:
        raise NotationError(f"not a line of a scenario: {written!r}")
    match name:
        case "rule":
            scenario.rules.append(value)
        case "ignore":
            scenario.ignored.extend(value.split())
        case "final":
            scenario.final = value == "yes"
        case "until":
            if not _DAY.fullmatch(value):
                raise NotationError("until: needs a time, d0 10:00")
            scenario.steps.append(Step(until=instant(value)))
        case _:
            raise NotationError(f"unknown setting {name!r}")


def read(folder: Path) -> list[Scenario]:
    """Every scenario of a folder, in the order of the file names."""
    return [
        scenario
        for path in sorted(folder.glob("*.scenario"))
        for scenario in parse(path.read_text(encoding="utf-8"), path.name)
    ]


def differs(expected: Expected, got: Mapping[str, Json]) -> str | None:
    """Why an output is not the expected one, or None when it is."""
    if got.get("output") != expected.kind:
        return f"output: expected {expected.kind}, got {got.get('output')}"
    for key, part in expected.contains.items():
        if part not in str(got.get(key)):
            return f"{key}: expected to contain {part!r}, got {got.get(key)!r}"
    for key in expected.absent:
        if key in got:
            return f"{key}: expected to be absent, got {got[key]!r}"
    return _unlike(expected.fields, dict(got), "")


def _unlike(expected: Json, got: Json, path: str) -> str | None:
    if isinstance(expected, dict):
        if not isinstance(got, dict):
            return f"{path}: expected an object, got {got!r}"
        for key, value in expected.items():
            inner = f"{path}.{key}" if path else str(key)
            if key not in got:
                return f"{inner}: missing"
            if (why := _unlike(value, got[key], inner)) is not None:
                return why
        return None
    if isinstance(expected, list) and isinstance(got, list) and len(expected) == len(got):
        if all(isinstance(each, dict) for each in expected):
            return _unlike_objects(expected, got, path)
        whys = (_unlike(want, have, f"{path}[{i}]") for i, (want, have) in enumerate(zip(expected, got, strict=True)))
        return next((why for why in whys if why is not None), None)
    if type(expected) is type(got) and expected == got:
        return None
    return f"{path}: expected {expected!r}, got {got!r}"


def _unlike_objects(expected: list[Json], got: list[Json], path: str) -> str | None:
    """Objects in a list match in any order, each once: the order of a client's grants is free."""
    rest = list(got)
    for want in expected:
        for have in rest:
            if _unlike(want, have, path) is None:
                rest.remove(have)
                break
        else:
            return f"{path}: nothing matches {want!r} in {rest!r}"
    return None
