"""Compares a cluster with what the engine needs: topics, copies, sizes, time limits (`plimsoll check`).

Nothing is changed: each finding says what was found, what is needed, and the command that mends it.
"""

from collections.abc import Mapping

from engine.findings import Finding
from engine.kafka.clients import Connection
from engine.kafka.facts import INTERNAL, SHELL, ClusterFacts, few, full_name
from engine.kafka.limits import limit_findings
from engine.kafka.topics import CHANGELOG, MOVING, POLICIES, SHELL_POLICY
from schemas.topics import Topic


def cluster_findings(
    facts: ClusterFacts, connection: Connection, prefix: str, app: str, session_seconds: float
) -> list[Finding]:
    """Everything but what the records themselves say. ``session_seconds``: of the workers, as configured."""
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
    found += _hidden(facts, prefix, app, connection.username)
    found += _topics(facts, prefix)
    found += _shell(facts, prefix, app)
    found += _copies(facts, prefix, app)
    found += limit_findings(facts, prefix, session_seconds)
    return found


def _hidden(facts: ClusterFacts, prefix: str, app: str, user: str | None) -> list[Finding]:
    """What the cluster's ACLs do not let us look at, and what to grant."""
    who = "this client" if user is None else repr(user)
    found = []
    unseen = [full_name(name, prefix, app) for name in facts.hidden]
    if unseen:
        internal = all(name in INTERNAL for name in facts.hidden)
        sentence = f"{who} may not see {few(unseen)}: grant Describe on Topic, and DescribeConfigs"
        found.append(Finding("topics", "warning" if internal else "problem", sentence))
    for name, settings in facts.settings.items():
        if "error" in settings:
            sentence = f"its settings cannot be seen: {settings['error']}; grant {who} DescribeConfigs on Topic"
            found.append(Finding(full_name(name, prefix, app), "warning", sentence))
    return found


def _topics(facts: ClusterFacts, prefix: str) -> list[Finding]:
    """Names, partition counts and policies."""
    missing = [prefix + name for name in POLICIES if name not in facts.topics and name not in facts.hidden]
    if len(missing) == len(POLICIES):
        sentence = f"expected the topics of the engine, found none with the prefix {prefix!r}"
        return [Finding("topics", "problem", f"{sentence}: run `plimsoll topics create`, or say --prefix")]
    found = []
    if missing:
        found.append(
            Finding("topics", "problem", f"found none: {few(missing)}: run `plimsoll topics create` to make them")
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
    if not found and counts:
        partitions = next(iter(counts.values()))
        found.append(Finding("topics", "ok", f"{len(counts)} with {partitions} partitions each, policies as needed"))
    return found


def _shell(facts: ClusterFacts, prefix: str, app: str) -> list[Finding]:
    """The topics by which workers are a group. Where there are no topics at all, that has been said."""
    counts = {name: len(facts.topics[name]) for name in POLICIES if name in facts.topics}
    if not counts:
        return []
    names = {name: full_name(name, prefix, app) for name in SHELL}
    missing = [names[name] for name in SHELL if name not in facts.topics and name not in facts.hidden]
    found = []
    if missing:
        found.append(
            Finding(
                "group",
                "warning",
                f"found none: {few(missing)}: the first worker makes them where it may, with as many copies as the"
                " cluster gives; `plimsoll topics create` makes them with --replication",
            )
        )
    for name, expected in zip(SHELL, (min(counts.values()), 1), strict=True):
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
    ours = [name for name in (*POLICIES, *SHELL, *INTERNAL) if name in facts.topics]

    def full(name: str) -> str:
        return full_name(name, prefix, app)

    def least(name: str) -> int:
        return min(each.replicas for each in facts.topics[name])

    def needed(name: str) -> int:
        return int(facts.settings[name].get("min.insync.replicas", "1"))

    leaderless = [full(name) for name in ours if any(each.leader < 0 for each in facts.topics[name])]
    if leaderless:
        found.append(
            Finding("copies", "problem", f"partitions without a leader in {few(leaderless)}: a broker is down")
        )
    lagging = [full(name) for name in ours if any(each.in_sync < each.replicas for each in facts.topics[name])]
    if lagging:
        found.append(
            Finding("copies", "warning", f"copies that are behind in {few(lagging)}: a broker is down, or too slow")
        )
    seen = [name for name in ours if "error" not in facts.settings[name]]
    stuck = [full(name) for name in seen if needed(name) > least(name)]
    if stuck:
        found.append(
            Finding(
                "copies",
                "problem",
                f"min.insync.replicas above the number of copies in {few(stuck)}: nothing can be written; lower it,"
                " or add copies",
            )
        )
    single = [full(name) for name in ours if least(name) == 1]
    if single:
        found.append(
            Finding(
                "copies",
                "warning",
                f"one copy only of {few(single)}: with its broker it is lost; on three brokers or more make topics"
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
                f"min.insync.replicas is 1 for {few(loose)}: what only one broker has counts as written, and is"
                " lost with it; set it to 2",
            )
        )
    tight = [full(name) for name in seen if least(name) > 1 and needed(name) == least(name)]
    if tight:
        found.append(
            Finding(
                "copies",
                "warning",
                f"min.insync.replicas is the number of copies of {few(tight)}: one broker down stops all writing;"
                " use three copies with 2",
            )
        )
    unclean = [full(name) for name in seen if facts.settings[name].get("unclean.leader.election.enable") == "true"]
    if unclean:
        found.append(
            Finding(
                "copies",
                "problem",
                f"unclean.leader.election.enable is true for {few(unclean)}: a broker that lacks records may become"
                " leader, and what was committed is lost; set it to false",
            )
        )
    if not found and ours:
        fewest = min(least(name) for name in ours)
        found.append(Finding("copies", "ok", f"{fewest} of everything, all in step; one broker may be lost"))
    return found
