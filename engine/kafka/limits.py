"""Sizes and times that brokers and topics hold us to, against what the engine needs (`plimsoll check`)."""

from collections.abc import Iterator
from typing import Final

from engine.findings import Finding
from engine.kafka.clients import BATCH_BYTES_MAX, TRANSACTION_MS_MAX
from engine.kafka.facts import ClusterFacts, Settings, few
from engine.kafka.ledger import REFRESH_SECONDS
from engine.kafka.topics import POLICIES

_MESSAGE_BYTES_MIN: Final = 2 * BATCH_BYTES_MAX
"""What a topic has to take in one batch: ours, and one record that is larger than that."""
_ABORT_MS_MAX: Final = 2_000  # a look a second costs a broker nothing
_LATE_MS_MIN: Final = 10 * 366 * 86_400_000  # of a history that is moved; less than this is somebody's limit
_COPIES: Final = 3
_ABORT: Final = "transaction.abort.timed.out.transaction.cleanup.interval.ms"
_FACTORS: Final = {
    "__consumer_offsets": "offsets.topic.replication.factor",
    "__transaction_state": "transaction.state.log.replication.factor",
}


def limit_findings(facts: ClusterFacts, prefix: str, session_seconds: float) -> list[Finding]:
    """Everything of them; ``session_seconds``: of the workers."""
    found = [*_of_topics(facts, prefix)]
    hidden = {number: settings["error"] for number, settings in facts.brokers.items() if "error" in settings}
    if hidden:
        number, told = next(iter(hidden.items()))
        sentence = f"the settings of broker {number} cannot be seen, and were not checked: {told}"
        found.append(Finding("brokers", "warning", f"{sentence}; allow DescribeConfigs on the cluster"))
    for number, settings in facts.brokers.items():
        problems = [*_refused(settings, session_seconds), *_internal(facts, settings)]
        found += [Finding(f"broker {number}", "problem", sentence) for sentence in problems]
        found += [Finding(f"broker {number}", "warning", sentence) for sentence in _costly(facts, settings)]
    if not found and facts.brokers:
        found.append(Finding("limits", "ok", "sizes, times and transactions are as needed"))
    return found


def _of_topics(facts: ClusterFacts, prefix: str) -> Iterator[Finding]:
    small = {
        prefix + name: int(limit)
        for name in POLICIES
        if (limit := facts.settings.get(name, {}).get("max.message.bytes")) and int(limit) < _MESSAGE_BYTES_MIN
    }
    if small:
        yield Finding(
            "message size",
            "problem",
            f"max.message.bytes: expected {_MESSAGE_BYTES_MIN} or more, found"
            f" {few([f'{limit} for {name}' for name, limit in small.items()])}: a commit that is larger could"
            " never be written, and its partition would stand still; raise it, or message.max.bytes of the brokers",
        )
    late = {
        prefix + name: int(limit)
        for name in POLICIES
        if (limit := facts.settings.get(name, {}).get("message.timestamp.before.max.ms"))
        and int(limit) < _LATE_MS_MIN
        and facts.settings[name].get("message.timestamp.type") != "LogAppendTime"
    }
    if late:
        yield Finding(
            "message age",
            "warning",
            f"message.timestamp.before.max.ms: expected no limit, found"
            f" {few([f'{limit} for {name}' for name, limit in late.items()])}: outputs have the log time of their"
            " event, so after a longer outage, or of a history that was moved, none could be written; remove it",
        )


def _refused(settings: Settings, session_seconds: float) -> Iterator[str]:
    """What keeps the engine from working at all."""
    longest = int(settings.get("transaction.max.timeout.ms", TRANSACTION_MS_MAX))
    if longest < TRANSACTION_MS_MAX:
        yield (
            f"transaction.max.timeout.ms: expected {TRANSACTION_MS_MAX} or more, found {longest}: it refuses"
            " the engine's transactions; raise it"
        )
    session_ms = int(session_seconds * 1000)
    shortest = int(settings.get("group.min.session.timeout.ms", session_ms))
    if shortest > session_ms:
        yield (
            f"group.min.session.timeout.ms: expected {session_ms} or less, found {shortest}: no worker is let into"
            " the group; lower it, or raise worker.session_seconds"
        )


def _internal(facts: ClusterFacts, settings: Settings) -> Iterator[str]:
    """Topics that the brokers make at their first use: with settings that cannot be, they never come to be."""
    count = len(facts.brokers)
    told_of = {*facts.topics, *facts.hidden}
    for topic, setting in _FACTORS.items():
        copies = int(settings.get(setting, 1))
        if topic not in told_of and copies > count:
            what = "transaction" if topic == "__transaction_state" else "group"
            yield (
                f"{setting}: expected {count} or less, found {copies}: with {count} broker{'s' if count != 1 else ''}"
                f" the topic {topic} cannot be made, and no {what} ever begins; lower it, or add brokers"
            )
    copies = int(settings.get("transaction.state.log.replication.factor", 1))
    least = int(settings.get("transaction.state.log.min.isr", 1))
    if "__transaction_state" not in told_of and least > copies:
        yield (
            f"transaction.state.log.min.isr: expected {copies} or less, as many as there are copies, found {least}: no"
            " transaction ever begins; lower it, or raise transaction.state.log.replication.factor"
        )


def _costly(facts: ClusterFacts, settings: Settings) -> Iterator[str]:
    """What works, and costs something on a bad day."""
    looks_ms = int(settings.get(_ABORT, _ABORT_MS_MAX))
    if looks_ms > _ABORT_MS_MAX:
        yield (
            f"{_ABORT}: expected 1000, found {looks_ms}: after a writer was killed, whoever reads what it had written"
            f" to waits up to {(TRANSACTION_MS_MAX + looks_ms) / 1000:g} s instead of"
            f" {(TRANSACTION_MS_MAX + 1000) / 1000:g} s; set it to 1000"
        )
    for topic, setting in _FACTORS.items():
        copies = int(settings.get(setting, _COPIES))
        if topic not in (*facts.topics, *facts.hidden) and copies < _COPIES <= len(facts.brokers):
            yield (
                f"{setting}: expected {_COPIES}, found {copies}: {topic} will be made with its first use, and is lost"
                f" with a broker; set it to {_COPIES} before"
            )
    minutes = int(settings.get("offsets.retention.minutes", 7 * 24 * 60))
    if minutes * 60 < 2 * REFRESH_SECONDS:
        yield (
            f"offsets.retention.minutes: expected {int(2 * REFRESH_SECONDS / 60)} or more, found {minutes}: a"
            " mailer that is down for longer begins again at the oldest notification; raise it"
        )
    if settings.get("auto.create.topics.enable") == "true":
        yield (
            "auto.create.topics.enable: expected false, found true: a wrong --prefix makes topics with wrong policies"
            " instead of an error; set it to false"
        )
