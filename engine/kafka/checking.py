"""Compares a cluster with what the engine needs: topics, copies, sizes, time limits (`plimsoll check`).

Nothing is changed: each finding says what was found, what is needed, and the command that mends it.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import for_code

from engine.findings import Finding
from engine.kafka.clients import BATCH_BYTES_MAX, TRANSACTION_MS_MAX, Connection, open_admin
from engine.kafka.ledger import REFRESH_SECONDS
from engine.kafka.topics import CHANGELOG, CONTROL, MOVING, POLICIES, SHELL_POLICY, leader_topic
from schemas.topics import Topic

_INTERNAL: Final = ("__consumer_offsets", "__transaction_state")
_MESSAGE_BYTES_MIN: Final = 2 * BATCH_BYTES_MAX
"""What a topic has to take in one batch: ours, and one record that is larger than that."""
_NAMES_MAX: Final = 5  # topics named in one sentence
_SHELL: Final = (CONTROL, leader_topic(""))
"""The shell's own topics, the second with the name of the group before it."""

Settings = Mapping[str, str]


class PartitionFacts(msgspec.Struct, frozen=True):
    """One partition: the broker that leads it, -1 for none, how many copies it has, and how many are in step."""

    leader: int
    replicas: int
    in_sync: int


class ClusterFacts(msgspec.Struct, frozen=True):
    """What a cluster says of itself: brokers by number, and topics, ours by their own names (``_SHELL`` as there)."""

    cluster: str
    brokers: Mapping[int, Settings]
    topics: Mapping[str, Sequence[PartitionFacts]]
    settings: Mapping[str, Settings]


def _full(name: str, prefix: str, app: str) -> str:
    """A topic as the cluster has it."""
    if name in _INTERNAL:
        return name
    return (app if name == leader_topic("") else prefix) + name


async def read_facts(connection: Connection, prefix: str, app: str) -> ClusterFacts:
    """Asks the cluster. ``app``: the name of the group on it. Raises KafkaError."""
    admin = open_admin(connection, "plimsoll-check")
    try:
        await admin.start()
        about = await admin.describe_cluster()
        numbers = [broker["node_id"] for broker in about["brokers"]]
        names = {_full(name, prefix, app): name for name in (*POLICIES, *_SHELL, MOVING, *_INTERNAL)}
        described = await admin.describe_topics([*names])
        topics = {
            names[topic["topic"]]: [
                PartitionFacts(each["leader"], len(each["replicas"]), len(each["isr"])) for each in topic["partitions"]
            ]
            for topic in described
            if topic["error_code"] == 0
        }
        there = [name for name in (*POLICIES, *_SHELL, *_INTERNAL) if name in topics]
        asked = [_full(name, prefix, app) for name in there]
        settings = await _settings(admin, ConfigResourceType.TOPIC, asked)
        brokers = await _settings(admin, ConfigResourceType.BROKER, [str(number) for number in numbers])
    finally:
        await admin.close()
    return ClusterFacts(
        cluster=str(about["cluster_id"]),
        brokers={number: brokers[str(number)] for number in numbers},
        topics=topics,
        settings={name: settings[full] for name, full in zip(there, asked, strict=True)},
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


def cluster_findings(facts: ClusterFacts, connection: Connection, prefix: str, app: str) -> list[Finding]:
    """Everything but what the records themselves say."""
    words = "encrypted" if connection.tls else "not encrypted"
    named = "nobody in particular" if connection.username is None else connection.username
    count = len(facts.brokers)
    found = [
        Finding(
            "cluster",
            "ok",
            f"{facts.cluster} at {connection.bootstrap}: {count} broker{'s' if count != 1 else ''}, {words},"
            f" as {named}",
        )
    ]
    if MOVING in facts.topics:
        found.append(
            Finding(
                "topics",
                "problem",
                f"{prefix}{MOVING} is there: a history is being moved into these topics, or a move did not finish;"
                " let it finish, or begin it anew with `plimsoll move --restart`",
            )
        )
    found += _topics(facts, prefix, connection.username)
    found += _shell(facts, prefix, app)
    found += _copies(facts, prefix, app)
    found += _limits(facts, prefix)
    return found


def _topics(facts: ClusterFacts, prefix: str, user: str | None) -> list[Finding]:
    """Names, partition counts and policies. A topic that we may not see looks like one that is not there."""
    seen = "" if user is None else f" that {user!r} may see"
    missing = [prefix + name for name in POLICIES if name not in facts.topics]
    if len(missing) == len(POLICIES):
        sentence = f"expected the topics of the engine, found none{seen} with the prefix {prefix!r}"
        return [Finding("topics", "problem", f"{sentence}: run `plimsoll topics create`, or say --prefix")]
    found = []
    if missing:
        found.append(
            Finding(
                "topics", "problem", f"found none{seen}: {_listed(missing)}: run `plimsoll topics create` to make them"
            )
        )
    counts = {name: len(facts.topics[name]) for name in POLICIES if name in facts.topics}
    if len(set(counts.values())) > 1:
        listed = ", ".join(f"{prefix}{name} {count}" for name, count in counts.items())
        found.append(
            Finding(
                "partitions",
                "problem",
                f"expected one number for all topics, found {listed}: a topic's number must never be changed, because"
                " keys then land elsewhere; move the history into new topics with `plimsoll move`",
            )
        )
    for name in counts:
        settings = facts.settings[name]
        if "error" in settings:
            found.append(Finding(prefix + name, "warning", f"its settings cannot be seen: {settings['error']}"))
            continue
        differing = {key: value for key, value in POLICIES[name].items() if settings.get(key) != value}
        if differing:
            listed = ", ".join(
                f"{key}: expected {value}, found {settings.get(key)}" for key, value in differing.items()
            )
            mended = ",".join(f"{key}={value}" for key, value in differing.items())
            found.append(
                Finding(
                    prefix + name,
                    "problem",
                    f"{listed}; {_why(name, differing)}: `kafka-configs.sh --alter --topic {prefix}{name} --add-config"
                    f" {mended}`",
                )
            )
    if not found:
        partitions = next(iter(counts.values()))
        found.append(Finding("topics", "ok", f"{len(counts)} with {partitions} partitions each, policies as needed"))
    return found


def _shell(facts: ClusterFacts, prefix: str, app: str) -> list[Finding]:
    """The topics by which workers are a group. Where there are no topics at all, that has been said."""
    counts = {name: len(facts.topics[name]) for name in POLICIES if name in facts.topics}
    if not counts:
        return []
    names = {name: _full(name, prefix, app) for name in _SHELL}
    missing = [names[name] for name in _SHELL if name not in facts.topics]
    found = []
    if missing:
        found.append(
            Finding(
                "group",
                "warning",
                f"found none: {_listed(missing)}: the first worker makes them where it may, with as many copies as the"
                " cluster gives; `plimsoll topics create` makes them with --replication",
            )
        )
    for name, expected in zip(_SHELL, (min(counts.values()), 1), strict=True):
        count = len(facts.topics.get(name, ()))
        if count not in (0, expected):
            found.append(
                Finding(
                    names[name],
                    "problem",
                    f"expected {expected} partition{'s' if expected != 1 else ''}, found {count}: no worker joins the"
                    " group; delete it while no worker runs, and it is made anew",
                )
            )
        settings = facts.settings.get(name, {})
        differing = {key: value for key, value in SHELL_POLICY.items() if key in settings and settings[key] != value}
        if differing:
            listed = ", ".join(f"{key}: expected {value}, found {settings[key]}" for key, value in differing.items())
            mended = ",".join(f"{key}={value}" for key, value in differing.items())
            found.append(
                Finding(
                    names[name],
                    "problem" if "cleanup.policy" in differing else "warning",
                    f"{listed}; commands have no key and are for the moment: `kafka-configs.sh --alter --topic"
                    f" {names[name]} --add-config {mended}`",
                )
            )
    return found


def _why(name: str, differing: Mapping[str, str]) -> str:
    if "message.timestamp.type" in differing:
        return "the time of an event is when the log took it, and senders' clocks would decide instead"
    if name == CHANGELOG:
        return "a worker that restores its state from it would get another"
    if differing.get("cleanup.policy") == "compact":
        return "it keeps the last of each key, and would grow for ever, or lose keys"
    if name in (Topic.EVENTS.value, Topic.JOURNAL.value):
        return "it is the history, and would be deleted"
    return "what nobody has read yet could be gone, or stay for ever"


def _copies(facts: ClusterFacts, prefix: str, app: str) -> list[Finding]:
    """Whether a broker may be lost, now and at all."""
    found = []
    ours = [name for name in (*POLICIES, *_SHELL, *_INTERNAL) if name in facts.topics]

    def full(name: str) -> str:
        return _full(name, prefix, app)

    def least(name: str) -> int:
        return min(each.replicas for each in facts.topics[name])

    def needed(name: str) -> int:
        return int(facts.settings[name].get("min.insync.replicas", "1"))

    leaderless = [full(name) for name in ours if any(each.leader < 0 for each in facts.topics[name])]
    if leaderless:
        found.append(
            Finding("copies", "problem", f"partitions without a leader in {_listed(leaderless)}: a broker is down")
        )
    lagging = [full(name) for name in ours if any(each.in_sync < each.replicas for each in facts.topics[name])]
    if lagging:
        found.append(
            Finding("copies", "warning", f"copies that are behind in {_listed(lagging)}: a broker is down, or too slow")
        )
    seen = [name for name in ours if "error" not in facts.settings[name]]
    stuck = [full(name) for name in seen if needed(name) > least(name)]
    if stuck:
        found.append(
            Finding(
                "copies",
                "problem",
                f"min.insync.replicas above the number of copies in {_listed(stuck)}: nothing can be written; lower it,"
                " or add copies",
            )
        )
    single = [full(name) for name in ours if least(name) == 1]
    if single:
        found.append(
            Finding(
                "copies",
                "warning",
                f"one copy only of {_listed(single)}: with its broker it is lost; on three brokers or more make topics"
                " with --replication 3, and set offsets.topic.replication.factor and"
                " transaction.state.log.replication.factor to 3",
            )
        )
    loose = [full(name) for name in seen if least(name) > 1 and needed(name) < 2]
    if loose:
        found.append(
            Finding(
                "copies",
                "warning",
                f"min.insync.replicas is 1 for {_listed(loose)}: what only one broker has counts as written, and is"
                " lost with it; set it to 2",
            )
        )
    tight = [full(name) for name in seen if least(name) > 1 and needed(name) == least(name)]
    if tight:
        found.append(
            Finding(
                "copies",
                "warning",
                f"min.insync.replicas is the number of copies of {_listed(tight)}: one broker down stops all writing;"
                " use three copies with 2",
            )
        )
    unclean = [full(name) for name in seen if facts.settings[name].get("unclean.leader.election.enable") == "true"]
    if unclean:
        found.append(
            Finding(
                "copies",
                "problem",
                f"unclean.leader.election.enable is true for {_listed(unclean)}: a broker that lacks records may become"
                " leader, and what was committed is lost; set it to false",
            )
        )
    if not found and ours:
        fewest = min(least(name) for name in ours)
        found.append(Finding("copies", "ok", f"{fewest} of everything, all in step; one broker may be lost"))
    return found


def _limits(facts: ClusterFacts, prefix: str) -> list[Finding]:
    """Sizes and times that brokers and topics hold us to."""
    found = []
    small = {
        prefix + name: int(limit)
        for name in POLICIES
        if (limit := facts.settings.get(name, {}).get("max.message.bytes")) and int(limit) < _MESSAGE_BYTES_MIN
    }
    if small:
        found.append(
            Finding(
                "message size",
                "problem",
                f"max.message.bytes: expected {_MESSAGE_BYTES_MIN} or more, found"
                f" {_listed([f'{limit} for {name}' for name, limit in small.items()])}: a commit that is larger could"
                " never be written, and its partition would stand still; raise it",
            )
        )
    hidden = {number: settings["error"] for number, settings in facts.brokers.items() if "error" in settings}
    if hidden:
        number, told = next(iter(hidden.items()))
        sentence = f"the settings of broker {number} cannot be seen, and were not checked: {told}"
        found.append(Finding("brokers", "warning", f"{sentence}; allow DescribeConfigs on the cluster"))
    for number, settings in facts.brokers.items():
        longest = int(settings.get("transaction.max.timeout.ms", TRANSACTION_MS_MAX))
        if longest < TRANSACTION_MS_MAX:
            found.append(
                Finding(
                    f"broker {number}",
                    "problem",
                    f"transaction.max.timeout.ms: expected {TRANSACTION_MS_MAX} or more, found {longest}: it refuses"
                    " the engine's transactions; raise it",
                )
            )
        minutes = int(settings.get("offsets.retention.minutes", 7 * 24 * 60))
        if minutes * 60 < 2 * REFRESH_SECONDS:
            found.append(
                Finding(
                    f"broker {number}",
                    "warning",
                    f"offsets.retention.minutes: expected {int(2 * REFRESH_SECONDS / 60)} or more, found {minutes}: a"
                    " mailer that is down for longer begins again at the oldest notification; raise it",
                )
            )
        if settings.get("auto.create.topics.enable") == "true":
            found.append(
                Finding(
                    f"broker {number}",
                    "warning",
                    "auto.create.topics.enable is true: a wrong --prefix makes topics with wrong policies instead of"
                    " an error; set it to false",
                )
            )
    if not found and facts.brokers:
        found.append(Finding("limits", "ok", "sizes, transaction timeout and retention of offsets are as needed"))
    return found


def _listed(names: Sequence[str]) -> str:
    more = len(names) - _NAMES_MAX
    return ", ".join(names[:_NAMES_MAX]) + (f" and {more} more" if more > 0 else "")
