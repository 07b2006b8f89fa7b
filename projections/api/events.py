"""``POST /v1/events``: events in, an answer for each once it is durable."""

from typing import Literal

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from engine.log.ports import Answer, Overloaded, Unavailable
from projections.api.intake import intake_of
from projections.api.problems import ProblemError, json_response
from projections.api.service import Service, query_of
from schemas.reasons import Reason


class EventsQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``answers=refused``: a batch is answered with its counts and only the refused items."""

    answers: Literal["all", "refused"] = "all"


class Answers(msgspec.Struct, frozen=True):
    """The answer to a batch: one result per item, in order, and their counts."""

    results: list[Answer]
    accepted: int
    duplicate: int
    refused: int


class RefusedItem(msgspec.Struct, frozen=True):
    """A refused item of a batch; ``index`` counts the items (of NDJSON: the lines that are not blank) from 0."""

    index: int
    status: Literal["refused"]
    reason: str | None
    message: str | None


class RefusedAnswers(msgspec.Struct, frozen=True):
    """The short answer to a batch: what was refused, and the counts."""

    results: list[RefusedItem]
    accepted: int
    duplicate: int
    refused: int


async def post_events(service: Service, request: Request) -> Response:
    """Submits the events of one request and answers each."""
    query = query_of(request, EventsQuery)
    async with service.bodies.read(request) as body:
        intake = intake_of(body, request.headers, service.options.limits)
        answers = intake.answers(await _submit(service, intake.events))
    statuses = [answer.status for answer in answers]
    accepted, duplicate = statuses.count("accepted"), statuses.count("duplicate")
    refused = len(statuses) - accepted - duplicate
    service.measures.events(accepted, duplicate, refused)
    if intake.single:
        return _single(answers[0])
    if query.answers == "all":
        return json_response(Answers(answers, accepted, duplicate, refused))
    items = [] if refused == 0 else _refused_items(answers)
    return json_response(RefusedAnswers(items, accepted, duplicate, refused))


async def _submit(service: Service, events: list[bytes]) -> list[Answer]:
    if not events:
        return []
    try:
        return await service.ingest.submit(events)
    except Overloaded as error:
        raise ProblemError(
            429, "overloaded", str(error), headers={"retry-after": str(max(1, error.retry_after_seconds))}
        ) from None
    except Unavailable as error:
        raise service.unavailable(error) from None


def _single(answer: Answer) -> Response:
    """A refusal is 422, or 400 where the body is no event at all: the engine has recorded the rejection either way."""
    if answer.status != "refused":
        return json_response(answer)
    status = 400 if answer.reason == Reason.MALFORMED.value else 422
    raise ProblemError(status, "event_refused", answer.message or "the event was refused", reason=answer.reason)


def _refused_items(answers: list[Answer]) -> list[RefusedItem]:
    return [
        RefusedItem(index, "refused", answer.reason, answer.message)
        for index, answer in enumerate(answers)
        if answer.status == "refused"
    ]
