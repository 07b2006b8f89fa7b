"""``POST /v1/authorize``: may a usage begin, and how much of it? Read from committed state; nothing is held."""

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from engine.log.ports import Unavailable
from projections.api.notifications import decoded
from projections.api.problems import ProblemError, json_response
from projections.api.service import NoQuery, Service, query_of
from schemas.authorization import AuthorizationRequest
from schemas.money import MoneyError

_decoder = msgspec.json.Decoder(AuthorizationRequest)


async def post_authorize(service: Service, request: Request) -> Response:
    """One answer; 200 whether it is yes or no."""
    query_of(request, NoQuery)
    async with service.bodies.read(request) as body:
        asked = decoded(_decoder, body, request)
    try:
        return json_response(await service.views.authorize(asked))
    except MoneyError as error:
        raise ProblemError(422, "body_invalid", f"amount: {error}") from None
    except Unavailable as error:
        raise service.unavailable(error) from None
