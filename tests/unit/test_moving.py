"""A history out of several logs: one order, with what was decided, and nothing that is on its way."""

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from engine.cli.entry import commands
from engine.cli.histories import folder_history
from engine.core.fold import Record
from engine.core.outcome import Answer, Outcome
from engine.core.state import State
from engine.embedded.stored_log import stored_logs
from engine.moving import History, HistoryError, Step, Steps, exported
from engine.replay import replay
from schemas.codec import decode
from schemas.events import TransferLeg
from schemas.times import SECOND, parse_time
from schemas.topics import Topic
from tests.properties.histories import history
from tests.unit.embedded.engines import Clock, running

START = parse_time("2026-03-01T10:00:00Z")


def event(number: int, **body: Any) -> bytes:
    return json.dumps({"id": f"m{number}", "source": "test", "time": "2026-03-01T09:00:00Z", **body}).encode()


def record(seconds: int, raw: bytes, *, engine: bool = False) -> Record:
    return Record(START + seconds * SECOND, decode(raw, engine=engine), raw)


async def steps(*logs: Sequence[Record]) -> list[Step]:
    async def each(records: Sequence[Record]) -> AsyncIterator[Record]:
        for one in records:
            yield one

    return [step async for step in Steps(History([each(records) for records in logs])).read()]


LAST = event(99_999, type="user", user="last")
USER = event(1, type="user", user="u")
DELETED = event(2, type="user_deleted", user="u")


async def test_logs_meet_at_configuration_and_are_merged_by_log_time() -> None:
    first = [
        record(1, USER),
        record(4, event(3, type="client", client="a", currency="USD")),
        record(5, DELETED),
    ]
    second = [
        record(0, event(4, type="client", client="b", currency="USD")),
        record(1, USER),
        record(2, event(5, type="payment", client="b", amount="1")),
        record(5, DELETED),
    ]
    found = await steps(first, second)
    assert [json.loads(step.raw)["id"] for step in found] == ["m4", "m1", "m5", "m3", "m2"]
    assert [step.ats is not None for step in found] == [False, True, False, False, True]


async def test_what_was_refused_says_why_and_is_of_its_log_alone() -> None:
    naming = event(3, type="client", client="a", currency="USD", manager="u")
    found = await steps([record(1, USER), record(2, naming), record(3, DELETED)], [record(1, USER)])
    assert [(step.refusal and step.refusal.reason.value, step.ats is not None) for step in found] == [
        (None, True),
        (None, False),
        ("in_use", False),
    ]


async def test_configuration_that_one_log_lacks_is_no_history() -> None:
    with pytest.raises(HistoryError, match="is not in every partition"):
        await steps([record(1, USER), record(2, DELETED)], [record(1, USER)])


async def test_a_transfer_on_its_way_is_told() -> None:
    log = [
        record(1, event(1, type="client", client="a", currency="USD", transfers="yes")),
        record(2, event(2, type="payment", client="a", amount="5")),
        record(3, event(3, type="transfer", client="a", to="b", amount="1")),
    ]
    with pytest.raises(HistoryError, match="1 transfers are on their way"):
        await steps(log)


async def test_an_export_replays_to_the_outputs_of_the_engine(tmp_path: Path) -> None:
    clock = Clock()
    folder, file = tmp_path / "data", tmp_path / "export.ndjson"
    await embedded(folder, history(5, 150), clock)
    done = await asyncio.to_thread(CliRunner().invoke, commands, ["move", str(folder), "--output", str(file)])
    assert done.exit_code == 0, done.output
    outputs = list(replay(file.read_bytes().splitlines()))
    async with running(folder, clock, partitions=3) as product:
        for topic, kinds in (
            (Topic.NOTIFICATIONS, {"notification"}),
            (Topic.JOURNAL, {"credit_history", "usage_rejected", "units_expired"}),
        ):
            expected = sorted(each for each in outputs if json.loads(each)["output"] in kinds)
            assert sorted(product.log(topic)) == expected


async def embedded(folder: Path, lines: Sequence[bytes], clock: Clock) -> None:
    """A data folder in which a history has happened, at its own log times."""
    async with running(folder, clock, partitions=3) as product:
        for line in lines:
            sent, at = sendable(line)
            if at is not None:
                clock.now = max(clock.now, at)
            await product.send(sent)
        await product.send(LAST)  # it goes to every partition, so that what is due fires in all of them


def sendable(line: bytes) -> tuple[bytes, int | None]:
    """A line of a history as a door takes it, and its log time."""
    try:
        body = json.loads(line)
        at = parse_time(body.pop("at", None) or body["time"])
    except (ValueError, KeyError, TypeError, AttributeError):
        return line, None
    return json.dumps(body).encode(), at


async def test_legs_are_left_to_replay(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    await embedded(folder, history(5, 150), Clock())
    with stored_logs(folder) as logs:
        legs = [each for log in logs for each in log if isinstance(each.event, TransferLeg)]
    assert legs
    async with folder_history(folder) as (found, _):
        lines = [exported(step) async for step in Steps(found).read()]
    assert not any(b"transfer_leg" in line for line in lines if line is not None)


class Breaking:
    """Folds nothing: it breaks."""

    def fold(self, state: State, record: Record, out: Outcome) -> None:
        raise ValueError(record.raw)

    def barrier(self, record: Record, answer: Answer) -> int | None:
        return None


async def test_an_event_at_which_the_engine_breaks_is_named_and_not_shown() -> None:
    async def log() -> AsyncIterator[Record]:
        yield record(1, event(7, type="client", client="c", currency="USD", billing_email="ann@example.net"))

    with pytest.raises(HistoryError) as caught:
        [step async for step in Steps(History([log()], Breaking)).read()]
    assert str(caught.value) == (
        "the engine breaks at the event 'm7' of 'test' of the history, in partition 0 (ValueError): report it"
    )
