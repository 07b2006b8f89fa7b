"""``plimsoll check`` against a real cluster: what is right, what differs, and producers with other partitioners."""

import asyncio
import json
import zlib
from typing import Any, Final

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.admin import NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from engine.kafka.clients import open_admin, security
from engine.kafka.facts import read_facts
from schemas.topics import Topic, partition_of
from tests.integration.kafka.cluster import Cluster
from tests.integration.kafka.test_worker import event, opening, traffic
from tests.integration.processes import command

pytestmark = pytest.mark.kafka

PARTITIONS = 3

OF_BROKERS: Final = {
    "auto.create.topics.enable",
    "group.min.session.timeout.ms",
    "offsets.retention.minutes",
    "offsets.topic.replication.factor",
    "transaction.abort.timed.out.transaction.cleanup.interval.ms",
    "transaction.max.timeout.ms",
    "transaction.state.log.min.isr",
    "transaction.state.log.replication.factor",
}


def checked(cluster: Cluster, *arguments: str) -> tuple[int, dict[str, tuple[str, str]]]:
    """The exit code, and each finding's state and sentence by what it is about."""
    code, out, err = command(
        "check", "--bootstrap", cluster.bootstrap, "--prefix", cluster.prefix, "--json", *arguments
    )
    assert err == ""
    found: list[Any] = json.loads(out)["findings"]
    return code, {
        finding["what"].removeprefix(cluster.prefix): (finding["state"], finding["detail"]) for finding in found
    }


async def placed(cluster: Cluster, topic: str, keys: list[tuple[str | None, int]]) -> None:
    """Charges with that key, each in that partition."""
    producer = AIOKafkaProducer(**security(cluster.connection))
    await producer.start()
    for number, (key, partition) in enumerate(keys):
        line = event(number, type="charge", client=key or "c-nobody", amount="1")
        await producer.send(topic, line, key=None if key is None else key.encode(), partition=partition)
    await producer.stop()


async def test_a_cluster_as_it_should_be(broker: str, prefix: str) -> None:
    async with Cluster(broker, prefix, PARTITIONS) as cluster:
        await cluster.produce([*opening(), *traffic(10, 60)])
        code, found = await asyncio.to_thread(checked, cluster)
    assert code == 0
    assert found["cluster"][0] == "ok"
    assert found["topics"] == ("ok", "8 with 3 partitions each, policies as needed")
    assert found["limits"] == ("ok", "sizes, times and transactions are as needed")
    # One node is what a test has; on a cluster that is worth a warning.
    assert found["copies"][0] == "warning"
    assert found["copies"][1].startswith("one copy only of ")
    state, sentence = found[f"partitioner of {prefix}events"]
    assert state == "ok"
    assert sentence.endswith(" records, each in the partition that murmur2 gives")


async def test_what_is_read_of_brokers_and_topics_has_these_names(broker: str, prefix: str) -> None:
    """A setting that brokers do not have counts as one that is as needed."""
    async with Cluster(broker, prefix, PARTITIONS) as cluster:
        facts = await read_facts(cluster.connection, prefix, prefix + "plimsoll")
    for settings in facts.brokers.values():
        assert OF_BROKERS - settings.keys() == set()
    assert {"max.message.bytes", "message.timestamp.before.max.ms"} - facts.settings[
        Topic.CHANGES.value
    ].keys() == set()


async def test_each_difference_is_told_with_what_mends_it(broker: str, prefix: str) -> None:
    async with Cluster(broker, prefix, PARTITIONS) as cluster:
        admin = open_admin(cluster.connection)
        await admin.start()
        await admin.delete_topics([prefix + Topic.JOURNAL.value])
        await admin.create_topics([NewTopic(prefix + Topic.JOURNAL.value, 5, 1)])
        changed = {
            Topic.EVENTS.value: {"message.timestamp.type": "CreateTime", "retention.ms": "-1", "retention.bytes": "-1"},
            Topic.CHANGES.value: {"cleanup.policy": "compact", "max.message.bytes": "1000"},
        }
        for name, settings in changed.items():
            await admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, prefix + name, settings)])
        await admin.delete_topics([prefix + Topic.REJECTIONS.value])
        await admin.close()
        code, found = await asyncio.to_thread(checked, cluster)
    assert code == 1
    assert found["topics"] == (
        "problem",
        f"found none: {prefix}rejections: run `plimsoll topics create` to make them",
    )
    assert found["partitions"][0] == "problem"
    assert f"{prefix}events 3" in found["partitions"][1]
    assert f"{prefix}journal 5" in found["partitions"][1]
    state, sentence = found["events"]
    assert state == "problem"
    assert sentence.startswith("message.timestamp.type: expected LogAppendTime, found CreateTime; ")
    assert sentence.endswith(f"--alter --topic {prefix}events --add-config message.timestamp.type=LogAppendTime`")
    assert found["journal"][1].startswith("retention.ms: expected -1, found 604800000; it is the history")
    assert found["message size"][0] == "problem"
    assert f"found 1000 for {prefix}changes" in found["message size"][1]


async def test_topics_that_are_not_there_at_all(broker: str, prefix: str) -> None:
    code, out, err = await asyncio.to_thread(command, "check", "--bootstrap", broker, "--prefix", prefix)
    assert (code, err) == (1, "")
    assert f"problem  topics: expected the topics of the engine, found none with the prefix '{prefix}'" in out
    assert out.endswith("1 problem\n")


async def test_a_producer_with_librdkafkas_default_is_named(broker: str, prefix: str) -> None:
    async with Cluster(broker, prefix, PARTITIONS) as cluster:
        await cluster.produce(traffic(10, 100))
        clients = [f"c-{number}" for number in range(50)]
        await placed(
            cluster,
            prefix + Topic.EVENTS.value,
            [(client, zlib.crc32(client.encode()) % PARTITIONS) for client in clients],
        )
        code, found = await asyncio.to_thread(checked, cluster)
    astray = [
        client for client in clients if zlib.crc32(client.encode()) % PARTITIONS != partition_of(client, PARTITIONS)
    ]
    state, sentence = found[f"partitioner of {prefix}events"]
    assert (code, state) == (1, "problem")
    assert sentence.startswith(f"{len(astray)} of ")
    assert "librdkafka's default (consistent_random" in sentence
    assert sentence.endswith("set partitioner=murmur2_random in that producer")


async def test_a_trial_of_a_producer_is_looked_at_in_a_topic_of_its_own(broker: str, prefix: str) -> None:
    async with Cluster(broker, prefix, PARTITIONS) as cluster:
        admin = open_admin(cluster.connection)
        await admin.start()
        await admin.create_topics([NewTopic(prefix + "trial", 4, 1)])
        await admin.close()
        await placed(
            cluster, prefix + "trial", [(f"c-{number}", partition_of(f"c-{number}", 4)) for number in range(9)]
        )
        code, found = await asyncio.to_thread(checked, cluster, "--sample", prefix + "trial")
        assert (code, found[f"partitioner of {prefix}trial"]) == (
            0,
            ("ok", "9 records, each in the partition that murmur2 gives"),
        )
        await placed(cluster, prefix + "trial", [(None, 1)])
        code, found = await asyncio.to_thread(checked, cluster, "--sample", prefix + "trial")
        assert code == 1
        assert found[f"partitioner of {prefix}trial"][1].startswith(
            "1 of 10 records have no key, first of c-nobody in 1"
        )
        code, found = await asyncio.to_thread(checked, cluster, "--sample", prefix + "nowhere")
        assert found[f"partitioner of {prefix}nowhere"][0] == "problem"


async def test_a_cluster_that_does_not_answer_is_one_finding() -> None:
    code, out, err = await asyncio.to_thread(command, "check", "--bootstrap", "127.0.0.1:1")
    assert (code, err) == (1, "")
    assert "problem  cluster: the Kafka cluster at 127.0.0.1:1 could not be reached: 127.0.0.1:1: " in out
