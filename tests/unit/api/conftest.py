"""A door over fakes, and a client at it."""

from collections.abc import AsyncIterator

import pytest

from tests.unit.api.doors import Door, opened


@pytest.fixture
async def door() -> AsyncIterator[Door]:
    """A door on loopback with keys off."""
    async with opened() as door:
        yield door
