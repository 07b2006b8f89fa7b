"""What the leader makes of what the workers say of themselves."""

from engine.kafka.shell.status import PartitionStatus, WorkerStatus, group_of


def active(number: int, state: str = "works", *, caught_up: bool = True) -> PartitionStatus:
    return PartitionStatus(number, "active", state, caught_up)  # type: ignore[arg-type]  # given by the test, by name


def standby(number: int) -> PartitionStatus:
    return PartitionStatus(number, "standby", "stands by", True)


def group(*workers: list[PartitionStatus]) -> tuple[int, set[int], set[int], set[int]]:
    told = {
        f"http://w{place}": WorkerStatus(f"http://w{place}", False, True, each) for place, each in enumerate(workers)
    }
    found = group_of(told, 3)
    return found.workers, set(found.unworked), set(found.behind), set(found.unwatched)


def test_a_whole_group() -> None:
    assert group([active(0), active(1), standby(2)], [active(2), standby(0), standby(1)]) == (2, set(), set(), set())


def test_a_partition_that_is_given_and_fenced_is_not_worked_on() -> None:
    assert group([active(0), active(1, "fenced", caught_up=False)], [active(2)])[1] == {1}


def test_a_partition_of_a_worker_that_does_not_answer_is_not_worked_on() -> None:
    assert group([active(0)]) == (1, {1, 2}, set(), {0, 1, 2})


def test_what_restores_or_rests_is_worked_on_and_may_be_behind() -> None:
    workers = [active(0, "restores", caught_up=False), active(1, "paused"), active(2, "paused", caught_up=False)]
    assert group(workers)[1:3] == (set(), {0, 2})
