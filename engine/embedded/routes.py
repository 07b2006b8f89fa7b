"""Which partition a client's events go to, remembered: the hash costs more than the rest of routing."""

from sys import intern
from typing import Final

from schemas.topics import partition_of

_ROUTES_MAX: Final = 262_144  # at some 50 bytes each


class Routes(dict[str, int]):
    """Partition by client: ``routes[client]`` works it out where it is not remembered."""

    def __init__(self, partitions: int) -> None:
        super().__init__()
        self._partitions = partitions

    def __missing__(self, client: str) -> int:
        if len(self) >= _ROUTES_MAX:
            self.clear()
        number = self[intern(client)] = partition_of(client, self._partitions)
        return number
