"""Views in memory: what a test puts in is what a reader gets."""

import msgspec

from schemas.answers import History, Why
from schemas.authorization import Authorization, AuthorizationRequest


class FakeViews:
    """``changes``, ``whys`` and ``histories`` by client id; ``readiness`` is what ``ready`` answers.

    ``failure`` is raised if set.
    """

    def __init__(self) -> None:
        self.changes: dict[str, bytes] = {}
        self.whys: dict[str, Why] = {}
        self.authorizations: dict[str, Authorization] = {}
        self.histories: dict[str, History] = {}
        self.readiness = (True, "all partitions are open")
        self.failure: Exception | None = None

    async def client(self, client: str) -> bytes | None:
        if self.failure is not None:
            raise self.failure
        return self.changes.get(client)

    async def why(self, client: str, rule: str | None) -> Why | None:
        why = self.whys.get(client)
        if why is None or rule is None:
            return why
        rules = [found for found in why.rules if found.rule == rule]
        return msgspec.structs.replace(why, rules=rules) if rules else None

    async def history(self, client: str, limit: int, before: int | None) -> History | None:
        if self.failure is not None:
            raise self.failure
        found = self.histories.get(client)
        if found is None:
            return None
        entries = [entry for entry in found.entries if before is None or entry.entry < before][:limit]
        return msgspec.structs.replace(found, entries=entries)

    async def authorize(self, request: AuthorizationRequest) -> Authorization:
        if self.failure is not None:
            raise self.failure
        return self.authorizations[request.client]

    def ready(self) -> tuple[bool, str]:
        return self.readiness
