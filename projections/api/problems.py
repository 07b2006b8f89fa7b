"""What a caller is told when something is not done: problem details (RFC 9457), one sentence each."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Final

import msgspec
from starlette.responses import Response

PROBLEM_MEDIA: Final = "application/problem+json"


_PHRASES: Final = {413: "Content Too Large", 422: "Unprocessable Content"}
"""As RFC 9110 has them; Python before 3.13 has the older ones, and clients should see the same from every version."""


class Problem(msgspec.Struct, frozen=True, omit_defaults=True):
    """``code`` is stable and for programs, ``detail`` is for people; ``reason`` is the contract's, where an event was
    refused; ``id`` finds a failure of ours in the log. ``type`` is absent, which is ``about:blank``.
    """

    title: str
    status: int
    code: str
    detail: str
    reason: str | None = None
    id: str | None = None


class ProblemError(Exception):
    """Ends a request with a problem. ``closing``: the rest of the request is not wanted, the connection ends too."""

    def __init__(
        self,
        status: int,
        code: str,
        detail: str,
        *,
        reason: str | None = None,
        headers: Mapping[str, str] | None = None,
        closing: bool = False,
    ) -> None:
        super().__init__(detail)
        self.problem = Problem(phrase_of(status), status, code, detail, reason)
        self.headers = dict(headers or {})
        if closing:
            self.headers["connection"] = "close"


def phrase_of(status: int) -> str:
    """The phrase of an HTTP status."""
    return _PHRASES.get(status) or HTTPStatus(status).phrase


_encode = msgspec.json.Encoder().encode


def problem_response(problem: Problem, headers: Mapping[str, str] | None = None) -> Response:
    """The problem as a response with its status and media type."""
    return Response(_encode(problem), problem.status, headers, PROBLEM_MEDIA)


def json_response(value: object, status: int = 200) -> Response:
    """Anything msgspec can encode, as a JSON response."""
    return Response(_encode(value), status, media_type="application/json")
