"""What a cluster says of itself against what is needed: each rule alone, from facts written down here."""

from collections.abc import Mapping, Sequence

import pytest

from engine.connection import Connection
from engine.findings import Finding
from engine.kafka.checking import cluster_findings
from engine.kafka.facts import ClusterFacts, PartitionFacts
from engine.kafka.partitioning import Placed, placement_finding
from engine.kafka.topics import POLICIES, SHELL_POLICY
from schemas.topics import partition_of

CONNECTION = Connection(bootstrap="kafka-1:9092")
GOOD = {"min.insync.replicas": "2", "max.message.bytes": "1048588", "unclean.leader.election.enable": "false"}
BROKER = {
    "transaction.max.timeout.ms": "900000",
    "offsets.retention.minutes": "10080",
    "transaction.abort.timed.out.transaction.cleanup.interval.ms": "1000",
}
ABORT = "transaction.abort.timed.out.transaction.cleanup.interval.ms"
STATE = "__transaction_state"
FACTOR = "transaction.state.log.replication.factor"
SHELL = ("control", "-__assignor-__leader")
THREE = [PartitionFacts(leader=1, replicas=3, in_sync=3)] * 2


def facts(
    *,
    topics: Mapping[str, Sequence[PartitionFacts] | None] | None = None,
    settings: Mapping[str, Mapping[str, str]] | None = None,
    broker: Mapping[str, str] | None = None,
    hidden: Sequence[str] = (),
) -> ClusterFacts:
    """A good cluster of three brokers, but for what is given; a topic that is None is not there."""
    names = [*POLICIES, *SHELL, "__consumer_offsets", "__transaction_state"]
    policies = {**POLICIES, **dict.fromkeys(SHELL, SHELL_POLICY)}
    changed = topics or {}
    there = {**{name: THREE for name in names}, SHELL[1]: THREE[:1], **changed}
    return ClusterFacts(
        cluster="id",
        brokers={number: {**BROKER, **(broker or {})} for number in (1, 2, 3)},
        topics={name: found for name, found in there.items() if found is not None},
        settings={name: {**GOOD, **policies.get(name, {}), **(settings or {}).get(name, {})} for name in names},
        hidden=hidden,
    )


def amiss(found: ClusterFacts) -> list[Finding]:
    return [
        finding for finding in cluster_findings(found, CONNECTION, "p-", "p-plimsoll", 10.0) if finding.state != "ok"
    ]


def test_a_good_cluster_has_no_problem() -> None:
    assert amiss(facts()) == []


@pytest.mark.parametrize(
    ("found", "what", "state", "sentence"),
    [
        (facts(topics={"changes": None}), "topics", "problem", "found none: p-changes: run `plimsoll topics create`"),
        (facts(topics={"moving": THREE}), "topics", "problem", "p-moving is there: a history is being moved"),
        (facts(topics={"journal": THREE[:1]}), "partitions", "problem", "expected one number for all topics, found"),
        (
            facts(settings={"events": {"message.timestamp.type": "CreateTime"}}),
            "p-events",
            "problem",
            "message.timestamp.type: expected LogAppendTime, found CreateTime; the time of an event is when",
        ),
        (
            facts(settings={"events": {"retention.ms": "604800000"}}),
            "p-events",
            "problem",
            "retention.ms: expected -1, found 604800000; it is the history, and would be deleted: `kafka-configs.sh",
        ),
        (
            facts(settings={"state-changelog": {"cleanup.policy": "delete"}}),
            "p-state-changelog",
            "problem",
            "cleanup.policy: expected compact, found delete; a worker that restores",
        ),
        (
            facts(settings={"events": {"error": "not allowed"}}),
            "p-events",
            "warning",
            "its settings cannot be seen: not allowed; grant this client DescribeConfigs on Topic",
        ),
        (
            facts(topics={"journal": None}, hidden=["journal"]),
            "topics",
            "problem",
            "this client may not see p-journal: grant Describe on Topic",
        ),
        (
            facts(topics={"__transaction_state": None}, hidden=["__transaction_state"]),
            "topics",
            "warning",
            "this client may not see __transaction_state: grant Describe on Topic",
        ),
        (
            facts(topics={"events": [PartitionFacts(-1, 3, 0), *THREE[:1]]}),
            "copies",
            "problem",
            "partitions without a leader in p-events",
        ),
        (
            facts(topics={"events": [PartitionFacts(1, 3, 2), *THREE[:1]]}),
            "copies",
            "warning",
            "copies that are behind in p-events",
        ),
        (
            facts(
                topics={"__transaction_state": [PartitionFacts(1, 1, 1)]},
                settings={"__transaction_state": {"min.insync.replicas": "1"}},
            ),
            "copies",
            "warning",
            "one copy only of __transaction_state",
        ),
        (
            facts(settings={"events": {"min.insync.replicas": "1"}}),
            "copies",
            "warning",
            "min.insync.replicas is 1 for p-events",
        ),
        (
            facts(settings={"events": {"min.insync.replicas": "3"}}),
            "copies",
            "warning",
            "min.insync.replicas is the number of copies of p-events",
        ),
        (
            facts(settings={"events": {"min.insync.replicas": "4"}}),
            "copies",
            "problem",
            "min.insync.replicas above the number of copies in p-events",
        ),
        (
            facts(settings={"events": {"unclean.leader.election.enable": "true"}}),
            "copies",
            "problem",
            "unclean.leader.election.enable is true for p-events",
        ),
        (
            facts(settings={"events": {"max.message.bytes": "1000000"}}),
            "message size",
            "problem",
            "max.message.bytes: expected 1048576 or more, found 1000000 for p-events",
        ),
        (
            facts(broker={"transaction.max.timeout.ms": "5000"}),
            "broker 1",
            "problem",
            "transaction.max.timeout.ms: expected 10000 or more, found 5000",
        ),
        (
            facts(broker={"offsets.retention.minutes": "60"}),
            "broker 1",
            "warning",
            "offsets.retention.minutes: expected 1440 or more, found 60",
        ),
        (
            facts(broker={"auto.create.topics.enable": "true"}),
            "broker 1",
            "warning",
            "auto.create.topics.enable: expected false, found true",
        ),
        (
            facts(broker={ABORT: "10000"}),
            "broker 1",
            "warning",
            f"{ABORT}: expected 1000, found 10000: after a writer was killed, whoever reads what it had written to"
            " waits up to 20 s instead of 11 s; set it to 1000",
        ),
        (
            facts(broker={"group.min.session.timeout.ms": "15000"}),
            "broker 1",
            "problem",
            "group.min.session.timeout.ms: expected 10000 or less, found 15000: no worker is let into the group",
        ),
        (
            facts(topics={STATE: None}, broker={FACTOR: "4"}),
            "broker 1",
            "problem",
            f"{FACTOR}: expected 3 or less, found 4: with 3 brokers the topic {STATE} cannot be made, and no",
        ),
        (
            facts(topics={STATE: None}, broker={FACTOR: "1", "transaction.state.log.min.isr": "2"}),
            "broker 1",
            "problem",
            "transaction.state.log.min.isr: expected 1 or less, as many as there are copies, found 2: no transaction",
        ),
        (
            facts(topics={STATE: None}, broker={FACTOR: "1"}),
            "broker 1",
            "warning",
            f"{FACTOR}: expected 3, found 1: {STATE} will be made with its first use, and is lost with a broker",
        ),
        (
            facts(settings={"changes": {"message.timestamp.before.max.ms": "604800000"}}),
            "message age",
            "warning",
            "message.timestamp.before.max.ms: expected no limit, found 604800000 for p-changes: outputs have",
        ),
        (
            facts(topics={"control": None}),
            "group",
            "warning",
            "found none: p-control: the first worker makes them where it may",
        ),
        (
            facts(topics={"control": THREE[:1]}),
            "p-control",
            "problem",
            "expected 2 partitions, found 1: no worker joins the group; delete it",
        ),
        (
            facts(topics={SHELL[1]: THREE}),
            "p-plimsoll-__assignor-__leader",
            "problem",
            "expected 1 partition, found 2: no worker joins the group",
        ),
        (
            facts(settings={"control": {"cleanup.policy": "compact"}}),
            "p-control",
            "problem",
            "cleanup.policy: expected delete, found compact; commands have no key",
        ),
        (
            facts(
                topics={"control": [PartitionFacts(1, 1, 1)] * 2}, settings={"control": {"min.insync.replicas": "1"}}
            ),
            "copies",
            "warning",
            "one copy only of p-control",
        ),
        (facts(broker={"error": "not allowed"}), "brokers", "warning", "the settings of broker 1 cannot be seen"),
    ],
    ids=lambda value: value.split(":")[0][:40] if isinstance(value, str) else None,
)
def test_what_differs_is_told(found: ClusterFacts, what: str, state: str, sentence: str) -> None:
    told = amiss(found)
    assert (told[0].what, told[0].state) == (what, state)
    assert told[0].detail.startswith(sentence)


def test_nothing_there_is_one_sentence() -> None:
    told = amiss(facts(topics=dict.fromkeys([*POLICIES, *SHELL, "__consumer_offsets", "__transaction_state"])))
    assert [finding.detail for finding in told] == [
        "expected the topics of the engine, found none with the prefix 'p-': run `plimsoll topics create`, or say"
        " --prefix"
    ]


def record(client: str | None, partition: int, key: str | None = "") -> Placed:
    key = client if key == "" else key
    return Placed(partition, None if key is None else key.encode(), client)


def test_records_of_no_client_are_anywhere() -> None:
    assert placement_finding("events", 3, [record(None, 2)]).detail == "no records of clients to look at yet"


@pytest.mark.parametrize(
    ("placed", "sentence"),
    [
        ([record("c-1", 0, None)], "1 of 1 records have no key, first of c-1 in 0"),
        ([record("c-1", 0, "x")], "1 of 1 records have another key than their client, as 'x' for c-1"),
        (
            [record("c-1", 0), record("c-2", 0)],
            "2 of 2 records are in another partition than murmur2 gives: c-1 in 0, expected 2; c-2 in 0, expected 1; ",
        ),
    ],
)
def test_producers_that_split_clients_are_told(placed: list[Placed], sentence: str) -> None:
    finding = placement_finding("events", 3, placed)
    assert (finding.state, finding.detail[: len(sentence)]) == ("problem", sentence)


def test_a_key_in_two_wrong_partitions_goes_by_no_key() -> None:
    wrong = [number for number in range(5) if number != partition_of("c-1", 5)]
    finding = placement_finding("events", 5, [record("c-1", number) for number in wrong])
    assert finding.detail.endswith("the producer does not go by the key: set its partitioner to murmur2")


def test_saramas_default_is_named() -> None:
    """Partitions as librdkafka's own fnv1a_random gives them for seven partitions."""
    given = {"c-0": 5, "c-13": 5, "c-14": 5, "c-21": 5, "c-28": 5}
    finding = placement_finding("events", 7, [record(client, number) for client, number in given.items()])
    assert "it is fnv1a, the default of Sarama" in finding.detail


def test_librdkafkas_default_is_named() -> None:
    """Partitions as librdkafka gives them, asked with no partitioner set, for seven partitions."""
    given = {"c-1": 0, "c-7": 0, "c-13": 0, "c-21": 0, "c-29": 0}
    finding = placement_finding("events", 7, [record(client, number) for client, number in given.items()])
    assert "set partitioner=murmur2_random in that producer" in finding.detail
