"""``plimsoll balance``, ``why`` and ``history`` against a product."""

import json

from click.testing import CliRunner, Result
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from engine.cli.entry import commands
from projections.api.problems import Problem, problem_response
from tests.unit.cli.product import running

VIEW = {
    "output": "change", "client": "c/42", "version": 7, "at": "2026-01-01T00:00:00Z", "cause": None,
    "currency": "EUR", "model": "postpaid", "live": "-12.5",
    "credit": {"permanent": "100", "temporary": "20", "valid_until": "2026-02-01T00:00:00Z"},
    "available": "107.5", "status": "active", "capacity": None, "unallocated": "0",
    "time_balances": [
        {"plan": "p", "grant": "g", "granted": 60, "used": 10, "left": 50, "closes_at": None, "expires_at": None}
    ],
}  # fmt: skip
RULE = {
    "rule": "low", "profile": "std", "threshold": "5", "threshold_currency": "EUR", "inactivity_days": None,
    "below": True, "episode": 2, "count": 1, "max": 3, "last_sent": "2026-01-01T00:00:00Z",
    "next_at": "2026-01-02T00:00:00Z", "evaluated_at": "2026-01-01T00:00:00Z", "available": "4",
    "verdict": "waiting_for_period", "sentence": "1 of 3 was sent; the next one is due in a day.",
}  # fmt: skip
WHY = {
    "client": "c/42", "asleep": False, "available": "4", "live": "4", "credit": "0", "currency": "EUR",
    "charged_at": None, "rules": [RULE],
}  # fmt: skip
HISTORY = {
    "entries": [
        {
            "at": "2026-01-01T00:00:00Z",
            "type": "charge",
            "cause": {"source": "s", "id": "e-1"},
            "live": "4",
            "note": "[x]",
        }
    ]
}


async def answer(request: Request) -> Response:
    if request.headers.get("authorization") != "Bearer k":
        return problem_response(Problem("Unauthorized", 401, "key_needed", "a key is needed"))
    if request.scope["raw_path"].split(b"/")[3] != b"c%2F42":
        return problem_response(Problem("Not Found", 404, "not_found", "no such client"))
    what = request.scope["raw_path"].split(b"/")[4:]
    if what == [b"why"]:
        return JSONResponse(WHY)
    if what == [b"history"]:
        assert request.query_params["limit"] == "5"
        return JSONResponse(HISTORY)
    return JSONResponse(VIEW)


APP = Starlette(routes=[Route("/v1/clients/{rest:path}", answer)])


def run(*arguments: str, key: str = "k") -> Result:
    with running(APP) as url:
        return CliRunner().invoke(commands, [*arguments, "--url", url], env={"PLIMSOLL_KEY": key})


def test_balance_in_words() -> None:
    result = run("balance", "c/42")
    assert result.exit_code == 0
    assert result.stdout == (
        "client            c/42\n"
        "model             postpaid\n"
        "status            active\n"
        "available         107.5 EUR\n"
        "live              -12.5 EUR\n"
        "credit            100 EUR\n"
        "temporary credit  20 EUR until 2026-02-01T00:00:00Z\n"
        "capacity          unlimited\n"
        "version           7\n"
        "as of             2026-01-01T00:00:00Z\n"
        "\n"
        "plan\tgrant\tgranted\tused\tleft\tcloses_at\texpires_at\n"
        "p\tg\t60\t10\t50\t\t\n"
    )


def test_balance_as_json() -> None:
    assert json.loads(run("balance", "c/42", "--json").stdout) == VIEW


def test_why_in_sentences() -> None:
    assert run("why", "c/42").stdout == (
        "c/42: available 4 EUR\n"
        "\n"
        "std / low: 1 of 3 was sent; the next one is due in a day.\n"
        "  threshold 5 EUR, episode 2, 1 of 3 sent, last sent 2026-01-01T00:00:00Z, next 2026-01-02T00:00:00Z\n"
    )


def test_history_as_a_table() -> None:
    assert run("history", "c/42", "--limit", "5").stdout == (
        "at\ttype\tsource\tid\tlive\n2026-01-01T00:00:00Z\tcharge\ts\te-1\t4\n"
    )


def test_unknown_client_is_a_sentence() -> None:
    result = run("balance", "c-9")
    assert result.exit_code == 1
    assert result.stderr.startswith("plimsoll: c-9: no such client (asked http://127.0.0.1:")


def test_missing_key_is_a_sentence() -> None:
    result = run("balance", "c/42", key="")
    assert result.exit_code != 0
    result = run("balance", "c/42", key="other")
    assert result.exit_code == 1
    assert "wants a key: give it with --key or PLIMSOLL_KEY" in result.stderr
