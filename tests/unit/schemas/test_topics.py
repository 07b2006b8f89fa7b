"""Topic names and Kafka's partitioner."""

import pytest

from schemas.topics import Topic, murmur2, partition_of


def test_topics_have_their_names_for_ever() -> None:
    names = ["events", "changes", "notifications", "journal", "rejections", "deliveries"]
    assert [topic.value for topic in Topic] == names


@pytest.mark.parametrize(
    ("key", "hashed"),
    [
        # org.apache.kafka.common.utils.UtilsTest.testMurmur2, and the empty key; signed there, as here by mask.
        (b"21", -973932308),
        (b"foobar", -790332482),
        (b"a-little-bit-long-string", -985981536),
        (b"a-little-bit-longer-string", -1486304829),
        (b"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58897971),
        (b"abc", 479470107),
        (b"", 275646681),
    ],
)
def test_murmur2_is_that_of_kafka(key: bytes, hashed: int) -> None:
    assert murmur2(key) == hashed % 2**32


@pytest.mark.parametrize(
    ("client", "partitions", "partition"),
    [
        # (hash & 0x7fffffff) % partitions, from the values above
        ("21", 12, (-973932308 & 0x7FFFFFFF) % 12),
        ("abc", 12, 479470107 % 12),
        ("foobar", 1, 0),
        ("foobar", 64, (-790332482 & 0x7FFFFFFF) % 64),
    ],
)
def test_partition_is_that_of_kafkas_default_partitioner(client: str, partitions: int, partition: int) -> None:
    assert partition_of(client, partitions) == partition


def test_key_is_the_client_in_utf_8() -> None:
    assert partition_of("клієнт", 2**31) == murmur2("клієнт".encode()) & 0x7FFFFFFF
