"""What the edges ask of the rest of the product to answer a reader: the views of clients, and whether it is ready."""

from typing import Protocol

from schemas.answers import History, Why
from schemas.authorization import Authorization, AuthorizationRequest


class Views(Protocol):
    """Committed state as a reader sees it; never waits for what is in flight."""

    async def client(self, client: str) -> bytes | None:
        """The client's current view as the JSON of ``schemas.outputs.Change``; None for an unknown client."""
        ...

    async def why(self, client: str, rule: str | None) -> Why | None:
        """Why the client was or was not notified, for one rule or for all; None where client or rule is unknown."""
        ...

    async def history(self, client: str, limit: int, before: int | None) -> History | None:
        """The client's latest ``limit`` entries, of those before entry ``before`` if given; None: unknown client.

        Raises ``Unavailable`` where too many are being read.
        """
        ...

    async def authorize(self, request: AuthorizationRequest) -> Authorization:
        """Whether a usage may begin. Raises MoneyError where the amount is no money."""
        ...

    def ready(self) -> tuple[bool, str]:
        """Whether work is taken now, and a sentence that says what is missing or that nothing is."""
        ...
