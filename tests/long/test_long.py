"""The long history in its short form; ``make long`` is the million."""

from pathlib import Path
from typing import get_args

import pytest

from schemas.events import Configuration, OfClient
from schemas.readers import tag_of
from tests.long.__main__ import replay_digest
from tests.long.run import LongRun, lines_of
from tests.long.writing import long_history

EVENTS = 10_000
SEED = 1


@pytest.mark.slow
def test_a_long_mixed_history_adds_up_and_replays_the_same(tmp_path: Path) -> None:
    history = tmp_path / "history.ndjson"
    with history.open("wb") as stream:
        stream.writelines(line + b"\n" for line in long_history(SEED, EVENTS))
    run = LongRun()
    for line in lines_of(history):
        run.take(line)
    report = run.report()
    assert report.events == EVENTS
    assert {tag_of(event) for event in get_args(OfClient | Configuration)} <= report.types.keys()
    assert replay_digest(history) == report.digest
