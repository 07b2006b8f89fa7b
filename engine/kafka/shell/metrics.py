"""What a worker tells of its place in the group; what its tasks do is in ``engine.kafka.metrics``."""

from prometheus_client import CollectorRegistry, Counter, Gauge

from engine.kafka.shell.holdings import Role


class ShellMetrics:
    """The group as this worker sees it. What begins with ``plimsoll_group`` is said by the leader, others say 0."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.partitions = Gauge(
            "plimsoll_worker_partitions",
            "Partitions that the group has given to this worker",
            ["role"],
            registry=registry,
        )
        for role in Role:
            self.partitions.labels(role.value).set(0)
        self.shares = Counter(
            "plimsoll_worker_shares", "How often the group has given this worker its share", registry=registry
        )
        self.settled = Gauge(
            "plimsoll_worker_settled", "1: a member, and the group is not being shared out anew", registry=registry
        )
        self.release_seconds = Gauge(
            "plimsoll_worker_release_seconds", "How long the last release of partitions took", registry=registry
        )
        self.forwarded = Counter(
            "plimsoll_worker_forwarded_requests", "Questions asked of other workers", ["outcome"], registry=registry
        )
        self.commands = Counter(
            "plimsoll_worker_commands", "Commands of the control topic", ["command"], registry=registry
        )
        self.leader = Gauge("plimsoll_group_leader", "1: this worker is the leader", registry=registry)
        self.workers = Gauge("plimsoll_group_workers", "Workers in the group that answer", registry=registry)
        self.unworked = Gauge(
            "plimsoll_group_unworked_partitions", "Partitions on which no worker works", registry=registry
        )
        self.behind = Gauge(
            "plimsoll_group_behind_partitions", "Partitions that are worked on and not caught up", registry=registry
        )
        self.unwatched = Gauge(
            "plimsoll_group_partitions_without_standby", "Partitions whose state only its owner has", registry=registry
        )
