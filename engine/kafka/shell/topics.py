"""The topics of the shell itself: who is a member, and what members are told. Neither holds anything of a client."""

from typing import Any, Final

from aiokafka.admin import NewTopic
from aiokafka.errors import for_code

from engine.kafka.clients import Connection, open_admin
from engine.kafka.topics import SHELL_POLICY, TopicError, shell_topics

_REQUEST_MS_MAX: Final = 30_000
_TOPIC_ALREADY_EXISTS: Final = 36


async def make_shell_topics(connection: Connection, prefix: str, app: str, partitions: int) -> None:
    """Makes what is not there, with as many copies as the cluster gives by default. Raises TopicError."""
    wanted = shell_topics(prefix, app, partitions)
    admin = open_admin(connection, "plimsoll-worker")
    try:
        await admin.start()
        # -1: as the cluster is set. Any, here and below: an answer's fields are made at run time.
        answer: Any = await admin.create_topics(
            [NewTopic(name, count, -1, {}, dict(SHELL_POLICY)) for name, count in wanted.items()],
            timeout_ms=_REQUEST_MS_MAX,
        )
        refused = {name: code for name, code, *_ in answer.topic_errors if code not in (0, _TOPIC_ALREADY_EXISTS)}
        # What may not be made may be there all the same.
        found: Any = {topic["topic"]: topic for topic in await admin.describe_topics(list(wanted))}
    finally:
        await admin.close()
    for name, count in wanted.items():
        code = refused.get(name, 0)
        existing = found.get(name)
        counted = len(existing["partitions"]) if existing and existing["error_code"] == 0 else None
        if counted is None and code:
            raise TopicError(f"the topic {name} could not be made: {for_code(code).__name__}")
        if counted is not None and counted != count:
            raise TopicError(
                f"expected the topic {name} with {count} partitions, found {counted}: it shares out the partitions of "
                "the others; delete it while no worker runs, and it is made anew"
            )
