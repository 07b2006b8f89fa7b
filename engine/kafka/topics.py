"""The topics of a cluster: their names, their policies, and how they are made (architecture, "The log").

A topic that exists is never altered: what is different is told, and whoever runs the cluster decides.
"""

import asyncio
import time
from collections.abc import Mapping, Sequence
from typing import Any, Final, Literal

import msgspec
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import TopicAuthorizationFailedError, for_code

from engine.failures import OperationalError
from engine.kafka.clients import visible_topics
from schemas.topics import Topic

CHANGELOG: Final = "state-changelog"
CONFIGURATION: Final = "configuration"
"""What the writer of configuration knows, in partition 0 (ADR 19); the others are empty."""
MOVING: Final = "moving"
"""There while a history is moved into the topics beside it, and after a move that did not finish (ADR 20)."""
CONTROL: Final = "control"
"""Its partitions are what the group of workers shares out: who has one works on that partition of `events` (ADR 17)."""
DELETE_RETENTION_MS: Final = 7 * 86_400 * 1000
"""How long the changelog keeps what says that a key is gone. A store that is further behind could miss one."""

_KEEP_OUTPUTS_MS: Final = 30 * 86_400 * 1000  # as long as the embedded log keeps them
_REQUEST_MS_MAX: Final = 30_000
_TOPIC_ALREADY_EXISTS: Final = 36
_TOLD_SECONDS_MAX: Final = 60.0
_LOOK_SECONDS: Final = 0.05

_LEADER: Final = "-__assignor-__leader"  # Faust's own name: it derives it from the app's id
_KEEP_COMMANDS_MS: Final = 86_400_000  # a command is acted on within minutes or not at all

_RETAINED: Final = {"cleanup.policy": "delete", "retention.ms": "-1", "retention.bytes": "-1"}
_OUTPUT: Final = {"cleanup.policy": "delete", "retention.ms": str(_KEEP_OUTPUTS_MS)}

POLICIES: Final[Mapping[str, Mapping[str, str]]] = {
    Topic.EVENTS.value: _RETAINED | {"message.timestamp.type": "LogAppendTime"},
    Topic.CHANGES.value: {"cleanup.policy": "compact"},
    Topic.NOTIFICATIONS.value: _OUTPUT,
    Topic.JOURNAL.value: _RETAINED,
    Topic.REJECTIONS.value: _OUTPUT,
    Topic.DELIVERIES.value: _OUTPUT,
    CONFIGURATION: {"cleanup.policy": "compact"},
    CHANGELOG: {"cleanup.policy": "compact", "delete.retention.ms": str(DELETE_RETENTION_MS)},
}
"""The settings that correctness hangs on, by topic; everything else is the cluster's own."""

SHELL_POLICY: Final[Mapping[str, str]] = {"cleanup.policy": "delete", "retention.ms": str(_KEEP_COMMANDS_MS)}
"""Of the topics of the shell, which hold nothing of a client."""


def leader_topic(app: str) -> str:
    """The topic whose only partition makes its holder the leader; ``app``: the name of the group on the cluster."""
    return app + _LEADER


def shell_topics(prefix: str, app: str, partitions: int) -> dict[str, int]:
    """The topics by which workers are a group, with their partitions."""
    return {prefix + CONTROL: partitions, leader_topic(app): 1}


class TopicFinding(msgspec.Struct, frozen=True):
    """What became of one topic; ``detail`` says what differs, with what was expected."""

    topic: str
    state: Literal["created", "exists", "differs"]
    detail: str


class TopicError(OperationalError):
    """The cluster did not make or describe a topic; the sentence has its answer."""


async def create_topics(
    admin: AIOKafkaAdminClient,
    prefix: str,
    partitions: int,
    replication: int | None,
    *,
    app: str | None = None,
    moving: bool = False,
) -> Sequence[TopicFinding]:
    """Makes what is not there and compares what is, in the order of ``POLICIES``, then the shell's of group ``app``.

    ``replication`` None: as the cluster is set. ``moving``: it is the move itself that asks. Raises TopicError, and
    KafkaError as TopicAuthorizationFailedError with what we may not do.
    """
    needed = {prefix + name: (partitions, policy) for name, policy in POLICIES.items()}
    if app is not None:
        needed |= {name: (count, SHELL_POLICY) for name, count in shell_topics(prefix, app, partitions).items()}
    counts = await _partition_counts(admin, [*needed, prefix + MOVING])
    if counts.pop(prefix + MOVING, 0) and not moving:
        raise TopicError(
            "a move of a history into these topics has not finished: let it finish, or begin it anew with "
            "`plimsoll move --restart`"
        )
    # -1 is the cluster's own; aiokafka wants to see an assignment with it, and takes an empty one for none.
    copies, assignment = (-1, dict[int, list[int]]()) if replication is None else (replication, None)
    wanted = [
        NewTopic(name, count, copies, assignment, dict(policy))
        for name, (count, policy) in needed.items()
        if name not in counts
    ]
    made: set[str] = set()
    if wanted:
        # Any, here and below: an answer's fields are made at run time.
        answer: Any = await admin.create_topics(wanted, timeout_ms=_REQUEST_MS_MAX)
        for name, code, *message in answer.topic_errors:
            if code == 0:
                made.add(name)
            elif code == TopicAuthorizationFailedError.errno:
                raise TopicAuthorizationFailedError(name, "Create")
            elif code != _TOPIC_ALREADY_EXISTS:  # somebody else may be making the same ones
                told = message[0] if message and message[0] else for_code(code).__name__
                raise TopicError(f"the topic {name} could not be made: {told}")
    await _until_told_of(admin, {name: needed[name][0] for name in made})
    existing = [name for name in needed if name not in made]
    counts |= await _partition_counts(admin, [name for name in existing if name not in counts])
    settings = await _settings(admin, existing)
    return [
        TopicFinding(name, "created", _partitions(count))
        if name in made
        else _compared(name, count, counts.get(name, 0), policy, settings[name])
        for name, (count, policy) in needed.items()
    ]


async def _until_told_of(admin: AIOKafkaAdminClient, made: Mapping[str, int]) -> None:
    """Waits until every partition of the topics has a leader: a broker answers that they are made a while before it
    tells of them, and whoever starts a worker or a notifier next would be told that they are not there."""
    end = time.monotonic() + _TOLD_SECONDS_MAX
    while made:
        led = {
            name: sum(each["error_code"] == 0 and each["leader"] >= 0 for each in topic["partitions"])
            for name, topic in (await visible_topics(admin, list(made))).items()
        }
        missing = [name for name, count in made.items() if led.get(name, 0) < count]
        if not missing:
            return
        if time.monotonic() > end:
            raise TopicError(
                f"the topic {missing[0]} was made; after {_TOLD_SECONDS_MAX:.0f} s a partition of it has no leader: "
                "see whether all brokers are up, then run this again"
            )
        await asyncio.sleep(_LOOK_SECONDS)


def _partitions(count: int) -> str:
    return f"{count} partition{'s' if count != 1 else ''}"


def _compared(
    topic: str, partitions: int, count: int, policy: Mapping[str, str], settings: Mapping[str, str]
) -> TopicFinding:
    differences = [] if count == partitions else [f"partitions: expected {partitions}, found {count}"]
    for name, expected in policy.items():
        found = settings.get(name)
        if found != expected:
            differences.append(f"{name}: expected {expected}, found {found}")
    if differences:
        return TopicFinding(topic, "differs", "; ".join(differences))
    return TopicFinding(topic, "exists", _partitions(count))


async def _partition_counts(admin: AIOKafkaAdminClient, topics: Sequence[str]) -> dict[str, int]:
    """By topic, for those that exist."""
    return {name: len(topic["partitions"]) for name, topic in (await visible_topics(admin, topics)).items()}


async def _settings(admin: AIOKafkaAdminClient, topics: Sequence[str]) -> dict[str, dict[str, str]]:
    if not topics:
        return {}
    asked = [ConfigResource(ConfigResourceType.TOPIC, topic) for topic in topics]
    answers: list[Any] = list(await admin.describe_configs(asked))
    found: dict[str, dict[str, str]] = {}
    for answer in answers:
        for code, message, _, topic, entries in answer.resources:
            if code == TopicAuthorizationFailedError.errno:
                raise TopicAuthorizationFailedError(topic, "DescribeConfigs")
            if code != 0:
                raise TopicError(f"the topic {topic} could not be described: {message or for_code(code).__name__}")
            found[topic] = {entry[0]: entry[1] for entry in entries}
    return found
