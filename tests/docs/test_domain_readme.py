"""engine/README.md is the specification: its examples run, the scenarios it names exist, and it leaves nothing out."""

import json
import re
from collections.abc import Iterator
from itertools import zip_longest
from typing import get_args, get_type_hints

import msgspec
import pytest

from engine.replay import replay
from schemas.events import EVENT_TYPES, AnyEvent, Part, Tick, TransferLeg, TransferOutcome
from schemas.outputs import AnyOutput, Kind
from schemas.readers import fields_of, tag_of
from schemas.reasons import Reason
from schemas.times import parse_time
from tests.docs.fences import ROOT, Fence, broken_links, fences, prose
from tests.scenarios.notation import Scenario, differs, parse, read

README = ROOT / "engine" / "README.md"
SCENARIOS = ROOT / "tests" / "scenarios"
TEXT = prose(README)
EXAMPLES = [fence for fence in fences(README) if fence.info == "scenario"]
DESCRIBED = [
    event
    for event in EVENT_TYPES
    if event not in (Tick, TransferLeg, TransferOutcome) and not tag_of(event).endswith("_deleted")
]
OUTPUTS: tuple[type[AnyOutput], ...] = AnyOutput.__args__
COMMON = {"id", "source", "time", "client"}


def _ids(types: list[type[AnyEvent]] | tuple[type[AnyEvent], ...]) -> list[str]:
    return [tag_of(event) for event in types]


def test_links_lead_somewhere() -> None:
    assert broken_links(README) == []


def test_every_block_is_run() -> None:
    assert {fence.info for fence in fences(README)} == {"ndjson in", "ndjson out", "scenario"}


def test_plain_examples_give_exactly_what_is_shown() -> None:
    blocks = [fence for fence in fences(README) if fence.info.startswith("ndjson")]
    assert [block.info for block in blocks] == ["ndjson in", "ndjson out"] * (len(blocks) // 2)
    for given, shown in zip(blocks[::2], blocks[1::2], strict=True):
        assert [line.decode() for line in replay(given.text.encode().splitlines())] == shown.text.splitlines()


@pytest.mark.parametrize("example", EXAMPLES, ids=[f"line-{example.line}" for example in EXAMPLES])
def test_example_gives_what_is_shown(example: Fence) -> None:
    (scenario,) = parse(f"== line-{example.line}: an example\n{example.text}", README.name)
    assert _problem(scenario) is None


def _problem(scenario: Scenario) -> str | None:
    """What is not as the example shows, all of it being fed before anything is compared."""
    lines = [line for step in scenario.steps for line in step.lines]
    until = scenario.steps[-1].until
    outputs = map(json.loads, replay(lines, until=None if until is None else parse_time(until)))
    seen = [output for output in outputs if output["output"] not in scenario.ignored]
    expected = [one for step in scenario.steps for one in step.expected]
    for want, have in zip_longest(expected, seen):
        if want is None or have is None:
            return f"expected {want and want.text}, got {have}"
        found = differs(want, have)
        if found is not None:
            return f"{want.text}: {found}"
    return None


def _shown_by() -> Iterator[str]:
    """The names in the last columns of the tables that have one of scenarios, and hyphenated names anywhere."""
    shown = False
    for line in TEXT.splitlines():
        if not line.startswith("|"):
            shown = False
        elif line.endswith("| shown by |"):
            shown = True
        elif shown:
            yield from re.findall(r"`([^`]+)`", line.rstrip(" |").rsplit("|", 1)[1])
    yield from re.findall(r"`([a-z0-9]+(?:-[a-z0-9]+)+)`", TEXT)


def test_every_scenario_that_is_named_exists() -> None:
    named = set(_shown_by())
    assert len(named) > 100
    assert sorted(named - {scenario.id for scenario in read(SCENARIOS)}) == []


def test_every_row_of_the_semantics_is_proved_by_a_scenario_that_is_named() -> None:
    named = set(re.findall(r"`([a-z0-9-]+)`", TEXT))
    proved = {rule for scenario in read(SCENARIOS) if scenario.id in named for rule in scenario.rules}
    text = (SCENARIOS / "rows.txt").read_text(encoding="utf-8")
    rows = [row for row in text.splitlines() if row.strip() and not row.startswith("#")]
    assert [row for row in rows if row not in proved] == []


def _row(tag: str) -> str:
    """The row of an event's type in the table of section 5."""
    section = TEXT.split("## 5 Events in")[1].split("\n## ")[0]
    (row,) = [line for line in section.splitlines() if line.startswith("|") and f"`{tag}`" in line.split("|")[1]]
    return row


@pytest.mark.parametrize("event", EVENT_TYPES, ids=_ids(EVENT_TYPES))
def test_every_event_has_its_row(event: type[AnyEvent]) -> None:
    assert _row(tag_of(event))


@pytest.mark.parametrize("event", DESCRIBED, ids=_ids(DESCRIBED))
def test_every_field_of_an_event_is_named(event: type[AnyEvent]) -> None:
    row = _row(tag_of(event))
    assert [name for name in _names(event) if name not in COMMON and f"`{name}`" not in row] == []


@pytest.mark.parametrize("event", DESCRIBED, ids=_ids(DESCRIBED))
def test_every_required_field_is_marked(event: type[AnyEvent]) -> None:
    row = _row(tag_of(event)).split("|")[2]
    required = {field.wire for field in fields_of(event) if field.absent is not None} - COMMON
    outside = re.sub(r"\{[^}]*\}", "", row)
    assert set(re.findall(r"`([a-z_]+)`\*", outside)) == required


def _names(cls: type[msgspec.Struct]) -> Iterator[str]:
    """The names of a Struct's fields, and of those inside them."""
    for name, hint in get_type_hints(cls, include_extras=True).items():
        if name in cls.__struct_fields__:
            yield name
            for part in _parts(hint):
                yield from _names(part)


def _parts(hint: object) -> Iterator[type[Part]]:
    if isinstance(hint, type) and issubclass(hint, Part):
        yield hint
    for inner in get_args(hint):
        yield from _parts(inner)


@pytest.mark.parametrize("output", OUTPUTS, ids=[str(output.__struct_config__.tag) for output in OUTPUTS])
def test_every_output_has_its_fields_in_the_order_of_the_wire(output: type[AnyOutput]) -> None:
    section = TEXT.split("## 14 Outputs")[1].split("\n## ")[0]
    (row,) = [line for line in section.splitlines() if line.startswith(f"| `{output.__struct_config__.tag}` | `")]
    names = [info.encode_name for info in msgspec.structs.fields(output)]
    assert re.findall(r"`([a-z_]+)`", row.split("|")[2]) == names


def test_every_reason_has_its_row_in_the_order_of_precedence() -> None:
    section = TEXT.split("## 15 Rejections")[1].split("\n## ")[0]
    assert re.findall(r"^\| ([a-z_]+) \|", section, re.MULTILINE)[1:] == [reason.value for reason in Reason]


def test_every_kind_of_notification_has_its_row() -> None:
    assert [kind for kind in get_args(Kind) if f"| `{kind}` | `" not in TEXT and f"| `{kind}` | the" not in TEXT] == []
