"""The topics of the shell itself: who is a member, and what members are told. Neither holds anything of a client."""

from collections.abc import Mapping
from typing import Any, Final

from aiokafka.admin import NewTopic
from aiokafka.errors import TopicAuthorizationFailedError, for_code
from aiokafka.protocol.fetch import FetchRequest

from engine.kafka.clients import Connection, open_admin, visible_topics
from engine.kafka.topics import SHELL_POLICY, TopicError, shell_topics

_REQUEST_MS_MAX: Final = 30_000
_TOPIC_ALREADY_EXISTS: Final = 36


async def make_shell_topics(connection: Connection, prefix: str, app: str, partitions: int) -> None:
    """Makes what is not there, with as many copies as the cluster gives by default. Raises TopicError, KafkaError."""
    wanted = shell_topics(prefix, app, partitions)
    admin = open_admin(connection, "plimsoll-worker")
    try:
        await admin.start()
        found = await visible_topics(admin, list(wanted))
        # -1: as the cluster is set.
        missing = [
            NewTopic(name, count, -1, {}, dict(SHELL_POLICY)) for name, count in wanted.items() if name not in found
        ]
        if missing:
            # Any: an answer's fields are made at run time.
            answer: Any = await admin.create_topics(missing, timeout_ms=_REQUEST_MS_MAX)
            _check_made({name: code for name, code, *_ in answer.topic_errors})
        await _check_readable(admin, found)
    finally:
        await admin.close()
    for name, topic in found.items():
        count = len(topic["partitions"])
        if count != wanted[name]:
            raise TopicError(
                f"expected the topic {name} with {wanted[name]} partitions, found {count}: it shares out the partitions"
                " of the others; delete it while no worker runs, and it is made anew"
            )


async def _check_readable(admin: Any, found: Mapping[str, Any]) -> None:  # Any: aiokafka has no annotations
    """Asks for nothing of each, which is denied where reading is: a member that finds out later breaks in Faust."""
    for name, topic in found.items():
        leader = topic["partitions"][0]["leader"]
        if leader >= 0:
            asked = FetchRequest(0, 0, 1, 0, [(name, [(topic["partitions"][0]["partition"], 0, 1)])])
            answer = await admin._send_request(asked, leader)
            codes = {code for _, partitions in answer.topics for _, code, *_ in partitions}
            if TopicAuthorizationFailedError.errno in codes:
                raise TopicAuthorizationFailedError(name, "Read")


def _check_made(answers: Mapping[str, int]) -> None:
    for name, code in answers.items():
        if code == TopicAuthorizationFailedError.errno:
            raise TopicError(
                f"the topic {name} is not there, and this worker may not make it: run `plimsoll topics create` as"
                " somebody who may"
            )
        if code not in (0, _TOPIC_ALREADY_EXISTS):  # another worker may be making the same ones
            raise TopicError(f"the topic {name} could not be made: {for_code(code).__name__}")
