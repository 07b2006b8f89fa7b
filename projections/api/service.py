"""What every endpoint works with: the ports, the limits and the state of the door itself."""

import asyncio
from dataclasses import dataclass, field
from typing import Final, TypeVar
from urllib.parse import parse_qsl

import msgspec
from starlette.requests import Request

from engine.log.ports import Ingest, NotificationLog, Unavailable
from projections.api.bodies import Bodies
from projections.api.keys import Gate
from projections.api.measures import Measures
from projections.api.options import ApiOptions
from projections.api.problems import ProblemError
from projections.ports import Views

_QUERY_FIELDS_MAX: Final = 16

T = TypeVar("T", bound=msgspec.Struct)


@dataclass(slots=True)
class Service:
    """One door. ``stopping`` is set when it closes, so that those who wait are answered at once."""

    ingest: Ingest
    views: Views
    notification_log: NotificationLog
    options: ApiOptions
    measures: Measures
    gate: Gate
    bodies: Bodies
    stopping: asyncio.Event = field(default_factory=asyncio.Event)
    waits: int = 0

    def unavailable(self, error: Unavailable) -> ProblemError:
        """The problem for an engine that takes or gives nothing now."""
        return ProblemError(
            503,
            "unavailable",
            str(error) or "the engine is not available now; send this again",
            headers={"retry-after": str(self.options.retry_after_seconds)},
        )


def query_of(request: Request, query: type[T]) -> T:
    """The query parameters as a Struct, each given once; raises ProblemError 400 where they do not fit."""
    raw: bytes = request.scope["query_string"]
    try:
        if not raw:
            return msgspec.convert({}, query)
        pairs = parse_qsl(
            raw.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=_QUERY_FIELDS_MAX
        )
        values = dict(pairs)
        if len(values) < len(pairs):
            raise ValueError("a parameter is given twice")
        return msgspec.convert(values, query, strict=False)
    except (ValueError, msgspec.ValidationError) as error:
        raise ProblemError(400, "query_invalid", f"query parameters: {str(error)[:200]}") from None


class NoQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An endpoint without query parameters."""
