"""Topics as a test needs them: made, and known to the broker that is asked next."""

import asyncio
from typing import Final

from aiokafka.admin import AIOKafkaAdminClient

from engine.kafka.topics import POLICIES, create_topics

_SECONDS_MAX: Final = 120.0
_LOOK_SECONDS: Final = 0.05


async def make_topics(admin: AIOKafkaAdminClient, prefix: str, partitions: int) -> None:
    """Those of the engine. A broker answers that they are made before it tells of them: under load, a while before."""
    await create_topics(admin, prefix, partitions, None)
    async with asyncio.timeout(_SECONDS_MAX):
        while not await _are_known(admin, prefix, partitions):  # noqa: ASYNC110  # the broker's own state, which gives no event
            await asyncio.sleep(_LOOK_SECONDS)


async def _are_known(admin: AIOKafkaAdminClient, prefix: str, partitions: int) -> bool:
    """Whether every partition has a leader."""
    described = await admin.describe_topics([prefix + name for name in POLICIES])
    known = [each for topic in described if topic["error_code"] == 0 for each in topic["partitions"]]
    are_led = [each["error_code"] == 0 and each["leader"] >= 0 for each in known]
    return len(known) == len(POLICIES) * partitions and all(are_led)
