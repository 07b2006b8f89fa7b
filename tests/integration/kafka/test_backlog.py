"""A partition that is behind: step by step into one commit, one partition at a time, with others between the steps."""

import asyncio
import json
from collections.abc import Sequence
from itertools import accumulate, groupby, pairwise
from pathlib import Path

import pytest

from engine.core.fold import Record
from engine.core.outcome import Outcome
from engine.core.state import State
from engine.kafka import folding
from engine.kafka.task import PartitionTask
from engine.kafka.work import Work
from engine.partition.revisions import Revisions
from schemas.reasons import Refusal
from schemas.topics import Topic
from tests.integration.kafka.cluster import Cluster, assert_equal_to_replay
from tests.integration.kafka.tasks import options_of
from tests.integration.kafka.test_worker import event, opening, traffic

pytestmark = pytest.mark.kafka

BATCH, STEP = 60, 20


class Trace:
    """Which batch folded how much when, on a clock that counts how often others came to run."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.steps: list[tuple[int, int, int]] = []
        """Batch, records, and how often others had run by then."""
        self._commits = 0
        self._batches: dict[Work, int] = {}
        self._turns = 0
        fold, commit = Work.fold, Work.commit

        def folded(work: Work, records: Sequence[Record], position: int) -> None:
            number = self._batches.setdefault(work, self._commits + len(self._batches) * 1_000_000)
            self.steps.append((number, len(records), self._turns))
            fold(work, records, position)

        async def committed(work: Work) -> None:
            await commit(work)
            self._commits += 1
            del self._batches[work]

        monkeypatch.setattr(Work, "fold", folded)
        monkeypatch.setattr(Work, "commit", committed)

    async def count(self) -> None:
        while True:
            await asyncio.sleep(0)
            self._turns += 1


async def test_a_backlog_is_committed_whole_and_nobody_waits_for_all_of_it(
    broker: str, prefix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trace = Trace(monkeypatch)
    async with Cluster(broker, prefix, 2) as cluster:
        await cluster.produce([*opening(), *traffic(10, 800)])
        options = await options_of(cluster, tmp_path, batch_records_max=BATCH, step_records_max=STEP)
        stop = asyncio.Event()
        counting = asyncio.create_task(trace.count())
        tasks = [asyncio.create_task(PartitionTask(options, number, lambda _: None).run(stop)) for number in range(2)]
        events = await cluster.settled()
        stop.set()
        await asyncio.gather(*tasks)
        counting.cancel()
        await assert_equal_to_replay(cluster, events)
    assert sum(records for _, records, _ in trace.steps) == sum(map(len, events))
    assert max(records for _, records, _ in trace.steps) == STEP
    batches = [list(steps) for _, steps in groupby(trace.steps, key=lambda step: step[0])]
    whole = [steps for steps in batches if sum(records for _, records, _ in steps) == BATCH]
    assert len(whole) >= 5  # of some 500 events in each partition; ``groupby`` has shown that none came in between
    for steps in whole:
        assert len(steps) >= BATCH // STEP
        assert all(later[2] > former[2] for former, later in pairwise(steps))


async def test_a_task_that_is_to_stop_commits_what_it_has_folded(
    broker: str, prefix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stop = asyncio.Event()
    fold = Work.fold

    def stopped(work: Work, records: Sequence[Record], position: int) -> None:
        fold(work, records, position)
        stop.set()

    async with Cluster(broker, prefix, 1) as cluster:
        await cluster.produce([*opening(), *traffic(10, 200)])
        options = await options_of(cluster, tmp_path, batch_records_max=BATCH, step_records_max=STEP)
        monkeypatch.setattr(Work, "fold", stopped)
        await PartitionTask(options, 0, lambda _: None).run(stop)
        (position,) = await cluster.positions()
        monkeypatch.setattr(Work, "fold", fold)
        stop.clear()
        running = asyncio.create_task(PartitionTask(options, 0, lambda _: None).run(stop))
        events = await cluster.settled()
        stop.set()
        await running
        assert position == events[0][STEP - 1].offset + 1
        await assert_equal_to_replay(cluster, events)


async def test_a_batch_with_a_poisonous_record_ends_with_its_step(
    broker: str, prefix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trace = Trace(monkeypatch)
    poisonous = event(5_000, type="charge", client="k-0", amount="1")

    def fold_records(state: State, revisions: Revisions, records: Sequence[Record], out: Outcome) -> None:
        """The engine's own, which raises at the poisonous record unless it is refused."""
        raws = [b"" if isinstance(record.event, Refusal) else record.raw for record in records]
        before = raws.index(poisonous) if poisonous in raws else len(raws)
        engines_own(state, revisions, records[:before], out)
        if before < len(raws):
            raise KeyError("a defect")

    engines_own = folding.fold_records
    monkeypatch.setattr(folding, "fold_records", fold_records)
    async with Cluster(broker, prefix, 1) as cluster:
        await cluster.produce([*opening(), *traffic(10, 40), poisonous, *traffic(40, 200)])
        options = await options_of(cluster, tmp_path, batch_records_max=1_000, step_records_max=STEP)
        stop = asyncio.Event()
        running = asyncio.create_task(PartitionTask(options, 0, lambda _: None).run(stop))
        (events,) = await cluster.settled()
        stop.set()
        await running
        (rejections,) = await cluster.read(Topic.REJECTIONS.value)
    refused = [json.loads(record.value)["message"] for record in rejections]
    assert [message for message in refused if "KeyError" in message] == [
        "the engine could not apply this event (KeyError): report it, then send it again"
    ]
    place = [record.value for record in events].index(poisonous)
    ends = list(accumulate(len(list(steps)) * STEP for _, steps in groupby(trace.steps, key=lambda step: step[0])))
    assert ends[0] == (place // STEP + 1) * STEP  # all steps before it were whole
