"""What a cluster says of itself, as far as `plimsoll check` compares it with what the engine needs."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import TopicAuthorizationFailedError, for_code

from engine.kafka.clients import Connection, open_admin
from engine.kafka.topics import CONTROL, MOVING, POLICIES, leader_topic

INTERNAL: Final = ("__consumer_offsets", "__transaction_state")
SHELL: Final = (CONTROL, leader_topic(""))
"""The shell's own topics, the second with the name of the group before it."""
_NAMES_MAX: Final = 5  # named in one sentence
_HIDDEN: Final = TopicAuthorizationFailedError.errno

Settings = Mapping[str, str]


class PartitionFacts(msgspec.Struct, frozen=True):
    """One partition: the broker that leads it, -1 for none, how many copies it has, and how many are in step."""

    leader: int
    replicas: int
    in_sync: int


class ClusterFacts(msgspec.Struct, frozen=True):
    """What a cluster says of itself: brokers by number, and topics, ours by their own names (``SHELL`` as there).

    ``hidden``: topics of which we may not know whether they are there.
    """

    cluster: str
    brokers: Mapping[int, Settings]
    topics: Mapping[str, Sequence[PartitionFacts]]
    settings: Mapping[str, Settings]
    hidden: Sequence[str] = ()


def full_name(name: str, prefix: str, app: str) -> str:
    """A topic as the cluster has it."""
    if name in INTERNAL:
        return name
    return (app if name == leader_topic("") else prefix) + name


async def read_facts(connection: Connection, prefix: str, app: str) -> ClusterFacts:
    """Asks the cluster. ``app``: the name of the group on it. Raises KafkaError."""
    admin = open_admin(connection, "plimsoll-check")
    try:
        await admin.start()
        about = await admin.describe_cluster()
        numbers = [broker["node_id"] for broker in about["brokers"]]
        names = {full_name(name, prefix, app): name for name in (*POLICIES, *SHELL, MOVING, *INTERNAL)}
        described = await admin.describe_topics([*names])
        topics = {
            names[topic["topic"]]: [
                PartitionFacts(each["leader"], len(each["replicas"]), len(each["isr"])) for each in topic["partitions"]
            ]
            for topic in described
            if topic["error_code"] == 0
        }
        hidden = [names[topic["topic"]] for topic in described if topic["error_code"] == _HIDDEN]
        there = [name for name in (*POLICIES, *SHELL, *INTERNAL) if name in topics]
        asked = [full_name(name, prefix, app) for name in there]
        settings = await _settings(admin, ConfigResourceType.TOPIC, asked)
        brokers = await _settings(admin, ConfigResourceType.BROKER, [str(number) for number in numbers])
    finally:
        await admin.close()
    return ClusterFacts(
        cluster=str(about["cluster_id"]),
        brokers={number: brokers[str(number)] for number in numbers},
        topics=topics,
        settings={name: settings[full] for name, full in zip(there, asked, strict=True)},
        hidden=hidden,
    )


async def _settings(
    admin: AIOKafkaAdminClient, kind: ConfigResourceType, names: Sequence[str]
) -> dict[str, dict[str, str]]:
    """By topic or broker; empty where we may not see them, which a finding then says."""
    found: dict[str, dict[str, str]] = {name: {} for name in names}
    if names:
        # Any: an answer's fields are made at run time.
        answers: list[Any] = list(await admin.describe_configs([ConfigResource(kind, name) for name in names]))
        for answer in answers:
            for code, message, _, name, entries in answer.resources:
                found[name] = {entry[0]: entry[1] for entry in entries if entry[1] is not None}
                if code != 0:
                    found[name] = {"error": message or for_code(code).__name__}
    return found


def few(names: Sequence[str]) -> str:
    """The first of them, and how many more."""
    more = len(names) - _NAMES_MAX
    return ", ".join(names[:_NAMES_MAX]) + (f" and {more} more" if more > 0 else "")
