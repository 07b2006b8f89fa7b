"""Which local stores are trusted."""

import pytest

from engine.kafka.standing import AGE_MAX, Standing, distrusted

NOW = 2 * AGE_MAX


@pytest.mark.parametrize(
    ("standing", "why"),
    [
        (Standing("c", 10, NOW), None),
        (Standing("c", 20, NOW - AGE_MAX), None),
        (None, "it does not say how far it is"),
        (Standing("other", 15, NOW), "it is of the cluster other"),
        (Standing("c", 9, NOW), "it is at 9 of a changelog from 10 to 20"),
        (Standing("c", 21, NOW), "it is at 21 of a changelog from 10 to 20"),
        (Standing("c", 15, NOW - AGE_MAX - 1), "it is older than the changelog keeps deletions for"),
    ],
)
def test_a_store_is_trusted_only_where_the_changelog_can_take_it_on(standing: Standing | None, why: str | None) -> None:
    assert distrusted(standing, "c", 10, 20, NOW) == why
