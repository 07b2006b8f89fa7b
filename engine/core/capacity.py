"""Capacity: how many channels a client may use at once (semantics 3)."""

import msgspec

from engine.core.configuration import Config
from schemas.events import Client, LowBalance


class CapacityRule(msgspec.Struct, frozen=True):
    """Client and template merged field by field; None is missing."""

    capacity: int | None
    threshold: int | None
    low: int | None

    def at(self, available: int | None) -> int | None:
        """The capacity at that available balance (None: unlimited); None is unlimited capacity."""
        if self.threshold is None or self.low is None or available is None or available > self.threshold:
            return self.capacity
        return self.low if self.capacity is None else min(self.low, self.capacity)


_EMPTY = LowBalance()


def capacity_rule(settings: Client, config: Config) -> CapacityRule:
    """The client's value where present, else its template's."""
    template = None if settings.template is None else config.templates[settings.template]
    own = settings.low_balance or _EMPTY
    shared = (template.low_balance if template is not None else None) or _EMPTY
    capacity = settings.capacity
    if capacity is None and template is not None:
        capacity = template.capacity
    return CapacityRule(
        capacity=capacity,
        threshold=shared.threshold if own.threshold is None else own.threshold,
        low=shared.capacity if own.capacity is None else own.capacity,
    )
