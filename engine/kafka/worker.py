"""What a worker has to know of a cluster before it can begin."""

from engine.kafka.clients import Connection, open_admin, visible_topics
from engine.kafka.topics import CHANGELOG, POLICIES, TopicError


async def cluster_of(connection: Connection, prefix: str) -> tuple[str, int]:
    """The cluster's id, and how many partitions every topic has. Raises TopicError where they differ or
    lack, KafkaError where we may not see them."""
    admin = open_admin(connection, "plimsoll-worker")
    try:
        await admin.start()
        cluster = await admin.describe_cluster()
        found = await visible_topics(admin, [prefix + name for name in POLICIES])
    finally:
        await admin.close()
    counts = {name: len(topic["partitions"]) for name, topic in found.items()}
    missing = [prefix + name for name in POLICIES if prefix + name not in counts]
    if missing:
        raise TopicError(f"expected the topic {missing[0]}, found none: run `plimsoll topics create` first")
    if len(set(counts.values())) > 1:
        listed = ", ".join(f"{name} {count}" for name, count in counts.items())
        raise TopicError(f"expected topics with one partition count, found {listed}")
    return str(cluster["cluster_id"]), counts[prefix + CHANGELOG]
