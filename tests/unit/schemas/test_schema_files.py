"""The generated JSON Schemas: in step with the Structs, in the wheel, and of one mind with the codec."""

import copy
import json
import runpy
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from hatchling.builders.wheel import WheelBuilder
from jsonschema import Draft202012Validator
from referencing import Registry, Resource

from engine.replay import replay
from schemas.codec import decode
from schemas.events import EVENT_TYPES
from schemas.generate import FOLDER, OUTPUT_TYPES, differences, documents, main, write
from schemas.outputs import Delivery, encode_output
from schemas.readers import tag_of
from schemas.reasons import Refusal
from tests.scenarios.notation import read

ROOT = Path(__file__).resolve().parents[3]
SAMPLES = [json.loads(line) for line in (ROOT / "tests/golden/events.ndjson").read_bytes().splitlines()]
SCENARIOS = read(ROOT / "tests" / "scenarios")

Json = dict[str, Any]  # Any: JSON under test, right and wrong

SCHEMAS: dict[str, Json] = {path.name: json.loads(path.read_bytes()) for path in FOLDER.glob("*.schema.json")}
REGISTRY: Registry[bool | Mapping[str, Any]] = Registry().with_resources(
    (name, Resource.from_contents(schema)) for name, schema in SCHEMAS.items()
)


def _validator(name: str) -> Draft202012Validator:
    return Draft202012Validator(SCHEMAS[f"{name}.schema.json"], registry=REGISTRY)


EVENT_VALIDATORS = {tag_of(cls): _validator(tag_of(cls)) for cls in EVENT_TYPES}
OUTPUT_VALIDATORS = {str(cls.__struct_config__.tag): _validator(str(cls.__struct_config__.tag)) for cls in OUTPUT_TYPES}


def _is_valid(event: Json) -> bool:
    return EVENT_VALIDATORS[event["type"]].is_valid(event)


def _is_accepted(event: Json) -> bool:
    return not isinstance(decode(json.dumps(event).encode(), engine=True), Refusal)


def test_files_are_in_step_with_the_structs() -> None:
    assert differences(FOLDER) == [], "run python -m schemas.generate"


def test_every_event_and_output_has_a_file() -> None:
    names = {tag_of(cls) for cls in EVENT_TYPES} | set(OUTPUT_VALIDATORS) | {"event", "output"}
    assert {name.removesuffix(".schema.json") for name in SCHEMAS} == names


@pytest.mark.parametrize("name", sorted(SCHEMAS))
def test_file_is_a_schema_of_the_dialect(name: str) -> None:
    Draft202012Validator.check_schema(SCHEMAS[name])
    assert SCHEMAS[name]["$id"] == name


def test_wheel_holds_the_files() -> None:
    builder = WheelBuilder(str(ROOT))
    held = {file.distribution_path for file in builder.recurse_included_files()}
    assert {f"schemas/generated/{name}" for name in SCHEMAS} <= held


def test_writing_replaces_what_is_out_of_date_and_removes_what_describes_nothing(tmp_path: Path) -> None:
    folder = tmp_path / "generated"
    write(folder)
    assert differences(folder) == []
    (folder / "charge.schema.json").write_text("{}\n", encoding="utf-8")
    (folder / "user.schema.json").unlink()
    (folder / "gone.schema.json").write_text("{}\n", encoding="utf-8")
    assert differences(folder) == [
        "charge.schema.json: is out of date",
        "gone.schema.json: describes no event or output",
        "user.schema.json: is missing",
    ]
    assert main([], folder=folder) == 0
    assert differences(folder) == []


def test_check_writes_nothing_and_fails_on_drift(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "generated"
    folder.mkdir()
    assert main(["--check"], folder=folder) == 1
    assert list(folder.iterdir()) == []
    told = capsys.readouterr().err.splitlines()
    assert told[0] == "adjustment.schema.json: is missing"
    assert told[-1] == "run python -m schemas.generate and commit what it writes"


def test_command_checks_the_files_of_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["generate", "--check"])
    monkeypatch.delitem(sys.modules, "schemas.generate")
    with pytest.raises(SystemExit) as left:
        runpy.run_module("schemas.generate", run_name="__main__")
    assert left.value.code == 0


def test_documents_are_by_name() -> None:
    assert list(documents()) == sorted(documents())


@pytest.mark.parametrize("event", SAMPLES, ids=[event["type"] for event in SAMPLES])
def test_sample_with_every_field_is_valid_and_accepted(event: Json) -> None:
    EVENT_VALIDATORS[event["type"]].validate(event)
    _validator("event").validate(event)
    assert _is_accepted(event)


@pytest.mark.parametrize("cls", EVENT_TYPES, ids=tag_of)
def test_samples_give_every_field(cls: type) -> None:
    (sample,) = [event for event in SAMPLES if event["type"] == tag_of(cls)]
    left_out = SCHEMAS[f"{tag_of(cls)}.schema.json"]["properties"].keys() - sample.keys()
    assert {name for name in left_out if not name.startswith("amount")} == set()


def _scenario_lines() -> Iterator[bytes]:
    for scenario in SCENARIOS:
        for step in scenario.steps:
            yield from step.lines


def test_events_of_the_scenarios_that_the_codec_accepts_are_valid() -> None:
    accepted = 0
    for line in _scenario_lines():
        if isinstance(decode(line), Refusal):
            continue
        accepted += 1
        event = json.loads(line)
        found = [error.message for error in EVENT_VALIDATORS[event["type"]].iter_errors(event)]
        assert found == [], line
    assert accepted > 500


def test_outputs_of_the_scenarios_are_valid() -> None:
    kinds: set[str] = set()
    for scenario in SCENARIOS:
        for line in replay([line for step in scenario.steps for line in step.lines]):
            output = json.loads(line)
            kinds.add(output["output"])
            found = [error.message for error in OUTPUT_VALIDATORS[output["output"]].iter_errors(output)]
            assert found == [], (scenario.id, line)
    assert kinds == OUTPUT_VALIDATORS.keys() - {"delivery"}


def test_delivery_is_valid_with_its_notification_and_without() -> None:
    sent = Delivery("c/exhausted/status/1/1/email", "c", "email", "sent", "2026-01-31T10:00:00Z", 1, "250 ok")
    OUTPUT_VALIDATORS["delivery"].validate(json.loads(encode_output(sent)))


def test_output_schema_refuses_what_is_no_such_output() -> None:
    rejection = {"output": "rejection", "reason": "malformed", "message": "no JSON", "event": "x"}
    assert OUTPUT_VALIDATORS["rejection"].is_valid(rejection)
    assert not OUTPUT_VALIDATORS["rejection"].is_valid({**rejection, "event": 5})
    assert not OUTPUT_VALIDATORS["change"].is_valid(rejection)
    assert _validator("output").is_valid(rejection)


JUNK: list[Any] = [
    None,
    True,
    0,
    -1,
    29,
    10**19,
    1.5,
    "",
    "0",
    "-0.0",
    "-1",
    "0.0000001",
    "1e3",
    "12.5%",
    "a b",
    "é",
    "x" * 129,
    "9" * 41,
    "2026-01-31",
    [],
    ["email", "sms", "email"],
    ["5"] * 201,
    {},
    {"amount": "1", "percent": 1},
    {"seconds": 1, "until": "day"},
    {"source": "s", "id": "i"},
]

# What is valid by its schema and still refused: rules that JSON Schema cannot say, see schemas/generate.py.
CODEC_ALONE = {("client", "time_zone"), ("time_balance_plan", "rollover")}


def _spoiled(event: Json) -> Iterator[tuple[str, Json]]:
    """The event with one field, at the top or one level down, taken away or replaced by each piece of junk."""
    for name, value in event.items():
        if name == "type":
            continue
        yield name, {other: kept for other, kept in event.items() if other != name}
        for junk in JUNK:
            yield name, {**event, name: junk}
        inner = value[0] if isinstance(value, list) else value
        for key in inner if isinstance(inner, dict) else ():
            for junk in JUNK:
                spoiled = copy.deepcopy(event)
                target = spoiled[name][0] if isinstance(value, list) else spoiled[name]
                target[key] = junk
                yield name, spoiled


@pytest.mark.parametrize("event", SAMPLES, ids=[event["type"] for event in SAMPLES])
def test_schema_and_codec_agree_on_spoiled_events(event: Json) -> None:
    refused_alone: set[tuple[str, str]] = set()
    for name, spoiled in _spoiled(event):
        valid, accepted = _is_valid(spoiled), _is_accepted(spoiled)
        assert valid or not accepted, (name, spoiled)
        if valid and not accepted:
            refused_alone.add((event["type"], name))
    assert refused_alone == {pair for pair in CODEC_ALONE if pair[0] == event["type"]}


@pytest.mark.parametrize(
    ("given", "accepted"),
    [
        ({"amount": "1"}, True),
        ({"amount_micros": 1}, True),
        ({"amount": "1", "amount_micros": None}, True),
        ({"amount": None, "amount_micros": 1}, True),
        ({"amount": "1", "amount_micros": 1}, False),
        ({"amount": None, "amount_micros": None}, False),
        ({}, False),
        ({"amount": "0"}, False),
        ({"amount_micros": 0}, False),
        ({"amount_micros": 2**63 - 1}, True),
        ({"amount_micros": 2**63}, False),
    ],
)
def test_an_amount_is_given_once_as_either_of_its_two_fields(given: Json, accepted: bool) -> None:
    event = {"type": "payment", "id": "1", "source": "s", "time": "2026-01-01T00:00:00Z", "client": "c", **given}
    assert (_is_valid(event), _is_accepted(event)) == (accepted, accepted)


@pytest.mark.parametrize(
    ("given", "accepted"),
    [
        ({"amount": "1"}, True),
        ({"amount_micros": 1, "remove": False}, True),
        ({"percent": 1}, True),
        ({"percent": 0}, False),
        ({"percent": "0.00"}, False),
        ({"percent": "0.01"}, True),
        ({"amount": "1", "percent": 1}, False),
        ({"remove": True}, True),
        ({"remove": True, "amount": "1"}, False),
        ({"remove": True, "percent": 1}, False),
        ({"remove": False}, False),
    ],
)
def test_a_temporary_credit_is_an_amount_a_percentage_or_a_removal(given: Json, accepted: bool) -> None:
    event = {
        "type": "temporary_credit",
        "id": "1",
        "source": "s",
        "time": "2026-01-01T00:00:00Z",
        "client": "c",
        **given,
    }
    assert (_is_valid(event), _is_accepted(event)) == (accepted, accepted)


@pytest.mark.parametrize(
    ("given", "accepted"),
    [
        ({"kind": "refund", "amount": "0", "of": {"source": "s", "id": "i"}}, True),
        ({"kind": "refund", "amount_micros": 0, "of": {"source": "s", "id": "i"}}, True),
        ({"kind": "refund", "amount": "0"}, False),
        ({"kind": "reversal", "amount": "0", "of": {"source": "s", "id": "i"}}, False),
        ({"kind": "manual_charge", "amount_micros": 0}, False),
        ({"kind": "manual_charge", "amount": "0.000001"}, True),
    ],
)
def test_only_a_refund_of_a_named_charge_may_be_zero(given: Json, accepted: bool) -> None:
    event = {"type": "adjustment", "id": "1", "source": "s", "time": "2026-01-01T00:00:00Z", "client": "c", **given}
    assert (_is_valid(event), _is_accepted(event)) == (accepted, accepted)
