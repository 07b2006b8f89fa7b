"""``POST /v1/authorize``: the question as JSON, the answer as it is, problems for what is no question."""

import msgspec
import pytest

from engine.log.ports import Unavailable
from schemas.authorization import Authorization
from schemas.money import MoneyError
from tests.unit.api.doors import Door, problem

ANSWER = Authorization("c-1", True, None, "allowed", 60, 0, None, "5", "EUR", "5", 3, 2)


async def test_the_answer_comes_out_as_it_is(door: Door) -> None:
    door.views.authorizations["c-1"] = ANSWER
    body = {"client": "c-1", "usage": {"type": "call", "unit": "second", "quantity": 60}, "amount": "1"}
    answer = await door.client.post("/v1/authorize", json=body)
    assert answer.status_code == 200
    assert msgspec.json.decode(answer.content, type=Authorization) == ANSWER


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"client": ""},
        {"client": "c-1", "amount": 1.5},
        {"client": "c-1", "usage": {"type": "call", "unit": "fortnight", "quantity": 1}},
        {"client": "c-1", "usage": {"type": "call", "unit": "second", "quantity": -1}},
        {"client": "c-1", "channels_in_use": "two"},
        {"client": "c-1", "currency": "euro"},
        {"client": "c-1", "unknown": 1},
    ],
)
async def test_what_is_no_question_is_a_problem(door: Door, body: dict[str, object]) -> None:
    assert problem(await door.client.post("/v1/authorize", json=body))[0] == 400


async def test_an_amount_that_is_no_money_is_a_problem(door: Door) -> None:
    door.views.failure = MoneyError("expected a decimal string")
    assert problem(await door.client.post("/v1/authorize", json={"client": "c-1", "amount": "x"}))[0] == 422


async def test_an_engine_that_is_away_is_said_to_be(door: Door) -> None:
    door.views.failure = Unavailable("the engine is stopping")
    assert problem(await door.client.post("/v1/authorize", json={"client": "c-1"}))[0] == 503
