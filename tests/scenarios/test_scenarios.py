"""Every scenario against the engine and against the independent model, and the list of rows they prove."""

import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from tests.scenarios.notation import DAY_ZERO, Expected, Json, Scenario, differs, read

FOLDER = Path(__file__).parent
SCENARIOS = read(FOLDER)

Output = Mapping[str, Json]
Replay = Callable[[Sequence[bytes], str | None, bool], list[Output]]


def _micros(text: str) -> int:
    since = datetime.fromisoformat(text) - DAY_ZERO
    return int(DAY_ZERO.timestamp()) * 1_000_000 + since // timedelta(microseconds=1)


def _engine(lines: Sequence[bytes], until: str | None, final: bool) -> list[Output]:
    from engine.replay import replay

    return [
        json.loads(line)
        for line in replay(lines, until=None if until is None else _micros(until), final=final)
        if line.strip()
    ]


def _model(lines: Sequence[bytes], until: str | None, final: bool) -> list[Output]:
    from tests.model.replay import replay

    return list(replay(lines, until, final))


REPLAYS: Mapping[str, Replay] = {"engine": _engine, "model": _model}


def _problem(scenario: Scenario, expected: Sequence[Expected], got: Sequence[Output]) -> str | None:
    seen = [output for output in got if output.get("output") not in scenario.ignored]
    for i in range(max(len(expected), len(seen))):
        want = expected[i] if i < len(expected) else None
        have = seen[i] if i < len(seen) else None
        if want is None:
            why, where = "one output too many", expected[-1].where if expected else scenario.where
        elif have is None:
            why, where = "an output is missing", want.where
        else:
            found = differs(want, have)
            if found is None:
                continue
            why, where = found, want.where
        return (
            f"{scenario.id}: {scenario.title}\n{where}: {why}\n"
            f"expected: {'nothing' if want is None else want.text}\n"
            f"got:      {'nothing' if have is None else json.dumps(have)}"
        )
    return None


def _cases() -> list[object]:
    return [pytest.param(name, scenario, id=f"{name}-{scenario.id}") for name in REPLAYS for scenario in SCENARIOS]


@pytest.mark.parametrize(("name", "scenario"), _cases())
def test_scenario(name: str, scenario: Scenario) -> None:
    """The lines of the first step, of the first two, ...: an output belongs to the step that brings it."""
    lines: list[bytes] = []
    expected: list[Expected] = []
    steps = scenario.steps if not scenario.final else scenario.steps[-1:]
    if scenario.final:
        lines = [line for step in scenario.steps[:-1] for line in step.lines]
    for step in steps:
        lines = lines + step.lines
        expected = expected + step.expected
        problem = _problem(scenario, expected, REPLAYS[name](lines, step.until, scenario.final))
        if problem is not None:
            pytest.fail(problem, pytrace=False)


def _rows() -> list[str]:
    text = (FOLDER / "rows.txt").read_text(encoding="utf-8")
    return [row.strip() for row in text.splitlines() if row.strip() and not row.startswith("#")]


def test_every_row_is_proved_by_a_scenario() -> None:
    proved = {rule for scenario in SCENARIOS for rule in scenario.rules}
    assert [row for row in _rows() if row not in proved] == []


def test_every_scenario_names_rows_that_exist() -> None:
    rows = set(_rows())
    wrong = [
        (scenario.where, scenario.rules)
        for scenario in SCENARIOS
        if not scenario.rules or not rows.issuperset(scenario.rules)
    ]
    assert wrong == []


def test_every_scenario_has_an_id_of_its_own_and_expects_or_rules_out_something() -> None:
    assert [id_ for id_, count in Counter(scenario.id for scenario in SCENARIOS).items() if count > 1] == []
    assert [scenario.where for scenario in SCENARIOS if not any(step.lines for step in scenario.steps)] == []
