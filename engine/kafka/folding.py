"""A batch of records into a partition; one that the engine cannot apply is isolated, never skipped."""

from collections.abc import Callable, Sequence

import msgspec
from aiokafka.structs import ConsumerRecord

from engine.core.fold import Record, fold, new_outcome
from engine.core.outcome import Outcome
from engine.partition.partition import Partition
from schemas.codec import decode
from schemas.reasons import Reason, Refusal

ENGINE_HEADER = "plimsoll-engine"
"""The mark of the engine's own records. Who may write to `events` besides it is for the cluster's ACLs to say."""


def read_record(record: "ConsumerRecord[bytes, bytes]") -> Record:
    """A record of `events`: log time is its append time. What is no JSON moves no clock (semantics 1)."""
    raw = record.value or b""
    event = decode(raw, engine=any(name == ENGINE_HEADER for name, _ in record.headers))
    if isinstance(event, Refusal) and event.reason is Reason.MALFORMED:
        return Record(None, event, raw)
    return Record(record.timestamp * 1000, event, raw)


def fold_batch(
    partition: Partition, reopen: Callable[[], Partition], records: Sequence[Record]
) -> tuple[Partition, Outcome]:
    """Folds records; the partition that holds the result, and the outcome.

    A record at which the fold raises is poisonous: what was folded is dropped, and all is folded again with a refusal
    in its place. ``reopen`` gives the partition as it was committed. Raises what a broken invariant raises, and what
    is raised at a record that is a refusal already: then it is not the record.
    """
    given = list(records)
    first = next((record.at for record in given if record.at is not None), partition.state.clock)
    while True:
        partition.begin(first)
        outcome = new_outcome()
        try:
            fold(partition.state, given, outcome)
        except AssertionError:
            raise
        except Exception as error:
            place = len(outcome.answers)
            if isinstance(given[place].event, Refusal):
                raise
            given[place] = msgspec.structs.replace(given[place], event=_poisonous(error))
            partition = reopen()
            continue
        return partition, outcome


def _poisonous(error: Exception) -> Refusal:
    message = f"the engine could not apply this event ({type(error).__name__}): report it, then send it again"
    return Refusal(Reason.MALFORMED, message)
