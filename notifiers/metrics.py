"""What the notifiers count. Labels are bounded: two channels, four outcomes, four kinds of failure."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from schemas.events import Channel
from schemas.outputs import DeliveryOutcome

_LATENCY_SECONDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 60.0, 600.0, 3600.0, 86_400.0)
_OUTCOMES: tuple[DeliveryOutcome, ...] = ("sent", "failed", "superseded")
_FAILURES = ("down", "unavailable", "deferred")


class NotifierMetrics:
    """The metrics of both channels in one registry; made once a process."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.deliveries = Counter(
            "plimsoll_deliveries_total",
            "Notifications with an outcome that was recorded.",
            ("channel", "outcome"),
            registry=registry,
        )
        self.retries = Counter(
            "plimsoll_delivery_retries_total",
            "Attempts that will be made again, by the kind of failure.",
            ("channel", "failure"),
            registry=registry,
        )
        self.repeats = Counter(
            "plimsoll_delivery_repeats_total",
            "Notifications read again that already had an outcome, and were not sent again.",
            ("channel",),
            registry=registry,
        )
        self.latency = Histogram(
            "plimsoll_delivery_latency_seconds",
            "From the instant of a notification to its acceptance by the peer.",
            ("channel",),
            buckets=_LATENCY_SECONDS,
            registry=registry,
        )
        self.lag = Gauge(
            "plimsoll_delivery_lag_seconds",
            "Age of the oldest notification without an outcome; 0 where there is none.",
            ("channel",),
            registry=registry,
        )
        self.pending = Gauge(
            "plimsoll_delivery_pending",
            "Notifications read and without an outcome.",
            ("channel",),
            registry=registry,
        )
        self.peer_up = Gauge(
            "plimsoll_delivery_peer_up",
            "1 while the mail server or the SMS gateway takes messages, 0 while it does not.",
            ("channel",),
            registry=registry,
        )

    def start(self, channel: Channel) -> None:
        """Shows every series of a channel from its start on, so that a rate has a zero to begin from."""
        for outcome in _OUTCOMES:
            self.deliveries.labels(channel, outcome)
        for failure in _FAILURES:
            self.retries.labels(channel, failure)
        self.repeats.labels(channel)
        self.latency.labels(channel)
        self.lag.labels(channel).set(0)
        self.pending.labels(channel).set(0)
        self.peer_up.labels(channel).set(1)
