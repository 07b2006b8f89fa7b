"""Which local stores are trusted."""

import pytest

from engine.kafka.standing import AGE_MAX, FORMAT, Standing, distrusted

NOW = 2 * AGE_MAX


def standing(cluster: str = "c", position: int = 15, at: int = NOW, partitions: int = 12, of: int = FORMAT) -> Standing:
    return Standing(cluster, position, at, partitions, of)


@pytest.mark.parametrize(
    ("found", "reason"),
    [
        (standing(position=10), None),
        (standing(position=20, at=NOW - AGE_MAX), None),
        (None, "unmarked"),
        (standing("other"), "cluster"),
        (standing(position=9), "gap"),
        (standing(position=21), "ahead"),
        (standing(at=NOW - AGE_MAX - 1), "old"),
        (standing(partitions=6), "partitions"),
        (standing(of=FORMAT + 1), "format"),
    ],
)
def test_a_store_is_trusted_only_where_the_changelog_can_take_it_on(found: Standing | None, reason: str | None) -> None:
    distrust = distrusted(found, "c", 12, 10, 20, NOW)
    assert (None if distrust is None else distrust.reason) == reason
