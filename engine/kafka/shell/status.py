"""What a worker says of itself, to operators and to the leader; and what the leader makes of what all of them say."""

from collections.abc import Mapping, Sequence
from typing import Literal, Protocol

import msgspec

from engine.kafka.shell.holdings import Holding, Holdings, Role
from engine.kafka.standby import StandbyTask
from engine.kafka.task import PartitionTask

State = Literal["works", "paused", "restores", "fenced", "stands by"]


class PartitionStatus(msgspec.Struct, frozen=True, omit_defaults=True):
    """One partition on one worker. ``position``: the next offset of `events`, where it works; ``lag_records``: of a
    standby, what it lacks of the changelog, where that is known."""

    partition: int
    role: Literal["active", "standby"]
    state: State
    caught_up: bool
    position: int | None = None
    lag_records: int | None = None


class WorkerStatus(msgspec.Struct, frozen=True):
    """One worker. ``settled``: a member of a group that is not being shared out anew."""

    url: str
    leader: bool
    settled: bool
    partitions: Sequence[PartitionStatus]


class GroupStatus(msgspec.Struct, frozen=True):
    """What all workers that answered say together, by numbers of partitions."""

    workers: int
    unworked: frozenset[int]
    behind: frozenset[int]
    unwatched: frozenset[int]


class Settled(Protocol):
    """What is asked of a membership before it is said to be ready."""

    is_reached: bool
    is_settled: bool


def partitions_of(holdings: Holdings) -> list[PartitionStatus]:
    """What is held now: active ones first, each by number."""
    return [_status(each) for role in Role for each in holdings.by_role(role)]


def readiness(holdings: Holdings, membership: Settled) -> tuple[bool, str]:
    """Whether every partition that is owned is caught up, and a sentence."""
    if not membership.is_reached:
        return False, "the cluster does not answer"
    if not membership.is_settled:
        return False, "the group is being shared out"
    owned = [_status(each) for each in holdings.by_role(Role.ACTIVE)]
    missing = [each for each in owned if not each.caught_up]
    if missing:
        named = ", ".join(f"{each.partition} {each.state}" for each in missing)
        return False, f"not caught up: partition {named}"
    return True, f"{len(owned)} partitions, all caught up" if owned else "the group has no partition to spare"


def group_of(workers: Mapping[str, WorkerStatus], partitions: int) -> GroupStatus:
    """The group as its workers describe it, each by its URL."""
    told = [each for worker in workers.values() for each in worker.partitions]
    working = {each.partition for each in told if each.state in ("works", "paused", "restores")}
    caught_up = {each.partition for each in told if each.role == "active" and each.caught_up}
    standing = {each.partition for each in told if each.role == "standby"}
    everything = frozenset(range(partitions))
    return GroupStatus(len(workers), everything - working, frozenset(working - caught_up), everything - standing)


def _status(holding: Holding) -> PartitionStatus:
    work = holding.work
    if holding.role is Role.STANDBY:
        lag = work.lag_records if isinstance(work, StandbyTask) else None
        return PartitionStatus(holding.number, "standby", "stands by", lag == 0, lag_records=lag)
    if not isinstance(work, PartitionTask) or work.state is None:
        return PartitionStatus(holding.number, "active", "fenced" if holding.fenced else "restores", False)
    state: State = "paused" if work.paused else "works"
    return PartitionStatus(holding.number, "active", state, work.caught_up, work.state.next_offset_of_events)
