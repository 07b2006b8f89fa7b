"""What the door counts: requests and events, by labels whose values are bounded; a client's id is never one."""

from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
UNMATCHED: Final = "unmatched"
"""The route of a request that no route took: paths are free text and must not become label values."""

_SECONDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 30.0)
"""Around the bar of 20 ms for an acknowledged event, up to the longest wait of a consumer."""


class Measures:
    """The door's metrics in one registry."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.registry = registry
        self.in_flight = Gauge("plimsoll_http_requests_in_flight", "Requests being answered", registry=registry)
        self.bytes_held = Gauge("plimsoll_http_body_bytes_held", "Bytes of bodies being held", registry=registry)
        self._requests = Counter(
            "plimsoll_http_requests", "Requests answered", ["method", "route", "status"], registry=registry
        )
        self._seconds = Histogram(
            "plimsoll_http_request_duration_seconds",
            "From the request's head to its answer",
            ["route", "status"],
            buckets=_SECONDS,
            registry=registry,
        )
        events = Counter(
            "plimsoll_http_events", "Events answered, by what became of them", ["answer"], registry=registry
        )
        self._accepted = events.labels("accepted")
        self._duplicate = events.labels("duplicate")
        self._refused = events.labels("refused")
        self._children: dict[tuple[str, str, int], tuple[Counter, Histogram]] = {}

    def request(self, method: str, route: str, status: int, seconds: float) -> None:
        """One request that ended; status 499: the caller had left, 0: it was cut off when the door closed."""
        method = method if method in METHODS else "other"
        children = self._children.get((method, route, status))
        if children is None:
            labels = self._requests.labels(method, route, str(status)), self._seconds.labels(route, str(status))
            children = self._children[(method, route, status)] = labels
        children[0].inc()
        children[1].observe(seconds)

    def events(self, accepted: int, duplicate: int, refused: int) -> None:
        """The answers to one request."""
        self._accepted.inc(accepted)
        self._duplicate.inc(duplicate)
        self._refused.inc(refused)
