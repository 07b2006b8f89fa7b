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
    "temporary_credit_max": {"amount": "50", "days": 3, "valid_until": "2026-01-04T00:00:00Z"},
    "runway": {"zero_seconds": 184_000, "thresholds": [{"rule": "low", "seconds": 180_000}]},
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
    "client": "c/42",
    "before": 2,
    "cut": False,
    "sentence": None,
    "entries": [
        {
            "entry": 3, "at": "2026-01-01T00:00:02Z", "type": "charge", "source": "s", "id": "e-3",
            "outcome": "refused", "version": 2, "amount": "0", "live": "4", "credit_before": None, "credit": None,
            "available": None, "capacity_before": 3, "capacity": 3, "held": "0", "units": [], "notifications": [],
            "reason": "no_rate", "message": "no exchange rate",
        },
        {
            "entry": 2, "at": "2026-01-01T00:00:00Z", "type": "charge", "source": "s", "id": "e-1",
            "outcome": "accepted", "version": 2, "amount": "-1", "live": "4", "credit_before": "0", "credit": None,
            "available": "4", "capacity_before": 3, "capacity": 1, "held": "0",
            "units": [{"plan": "p", "grant": "g[1]", "moved": -2, "left": 58}],
            "notifications": [{"notification": "n", "kind": "low_balance", "rule": "low", "channel": "email"}],
            "reason": None, "message": None,
        },
    ],
}  # fmt: skip
CUT: dict[str, object] = {"client": "c/42", "entries": [], "before": None, "cut": True, "sentence": "too long a log"}


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
        return JSONResponse(CUT if request.query_params.get("before") == "9" else HISTORY)
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
        "may be raised     by 50 EUR at the most, for 3 days: until 2026-01-04T00:00:00Z\n"
        "capacity          unlimited\n"
        "lasts             about 2 d 3 h at the rate of recent charges (an estimate)\n"
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
    result = run("history", "c/42", "--limit", "5")
    assert result.stdout == (
        "entry\tat\ttype\tsource\tid\tamount\tlive\tcredit\tavailable\tcapacity\tunits\tnotes\n"
        "3\t2026-01-01T00:00:02Z\tcharge\ts\te-3\t\t4\t\tunlimited\t\t\trefused: no_rate\n"
        "2\t2026-01-01T00:00:00Z\tcharge\ts\te-1\t-1\t4\t0 -> unlimited\t4\t3 -> 1\tg[1] -2 = 58\t"
        "low_balance low (email)\n"
    )
    assert result.stderr == "there is more: --before 2\n"


def test_history_that_is_cut_is_a_sentence() -> None:
    result = run("history", "c/42", "--limit", "5", "--before", "9")
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr == "plimsoll: too long a log\n"


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
