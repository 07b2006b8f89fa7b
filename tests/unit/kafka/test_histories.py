"""A cluster's history: partitions meet at revisions, and each keeps what it said."""

import json
from collections.abc import AsyncIterator, Sequence
from typing import Any

from engine.core.fold import Record
from engine.kafka.folding import Revised
from engine.kafka.histories import ByRevision
from engine.moving import History, Step, Steps
from schemas.codec import decode
from schemas.times import SECOND

USER = {"type": "user", "user": "u"}


def event(number: int, **body: Any) -> bytes:
    return json.dumps({"id": f"e{number}", "source": "t", "time": "2026-01-01T00:00:00Z", **body}).encode()


def record(seconds: int, raw: bytes) -> Record:
    return Record(seconds * SECOND, decode(raw), raw)


def revised(seconds: int, revision: int, raw: bytes) -> Record:
    return Revised(seconds * SECOND, decode(raw), raw, revision, False, "user", "u")


async def steps(*logs: Sequence[Record]) -> list[Step]:
    async def each(records: Sequence[Record]) -> AsyncIterator[Record]:
        for one in records:
            yield one

    return [step async for step in Steps(History([each(records) for records in logs], ByRevision)).read()]


async def test_a_deletion_that_raced_is_refused_with_what_each_partition_said() -> None:
    defined, deleted, repaired = event(1, **USER), event(2, type="user_deleted", user="u"), event(3, **USER)
    naming = event(4, type="client", client="c", currency="USD", manager="u")
    found = await steps(
        [revised(1, 1, defined), revised(5, 2, deleted), revised(9, 3, repaired)],
        [revised(2, 1, defined), record(3, naming), revised(4, 2, deleted), revised(8, 3, repaired)],
    )
    assert [(json.loads(step.raw)["id"], step.ats) for step in found] == [
        ("e1", [1 * SECOND, 2 * SECOND]),
        ("e4", None),
        ("e2", [5 * SECOND, 4 * SECOND]),
        ("e3", [9 * SECOND, 8 * SECOND]),
    ]
    assert [refusal and refusal.reason.value for refusal in found[2].refusals] == [None, "in_use"]
    assert found[2].refusal == found[2].refusals[1]
    assert found[3].refusal is None


async def test_a_revision_that_is_too_low_is_of_its_partition_alone() -> None:
    first, forged = event(1, **USER), event(2, **USER, name="forged")
    found = await steps([revised(1, 7, first), revised(2, 6, forged)], [revised(1, 7, first)])
    assert [(step.refusal and step.refusal.reason.value, step.refusals) for step in found] == [
        (None, [None, None]),
        ("bad_field", []),
    ]
