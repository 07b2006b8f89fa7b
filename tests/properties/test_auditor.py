"""What comes out adds up, by arithmetic that knows no rule of the engine; and the auditor notices what does not."""

import pytest

from engine.core.state import State
from tests.properties.auditor import Auditor
from tests.properties.drafts import Json
from tests.properties.histories import history
from tests.properties.runs import HISTORIES, folded

CHANGE: Json = {
    "output": "change",
    "client": "c",
    "version": 1,
    "at": "2026-03-02T10:00:00Z",
    "cause": {"source": "s", "id": "1"},
    "currency": "EUR",
    "model": "prepaid",
    "live": "5",
    "credit": {"permanent": "0", "temporary": "0", "valid_until": None},
    "available": "5",
    "status": "active",
    "capacity": None,
    "unallocated": "5",
    "time_balances": [],
}
PAYMENT: Json = {"type": "payment", "client": "c", "amount": "5"}
ROW: Json = {"plan": "m", "grant": "g", "granted": 10, "used": 1, "left": 8, "closes_at": None, "expires_at": None}


@pytest.mark.parametrize("seed", range(2_000_000, 2_000_000 + 2 * HISTORIES))
def test_everything_adds_up(seed: int) -> None:
    auditor = Auditor()
    for one in folded(history(seed), State()):
        auditor.look(one.event, one.outputs)
    auditor.close()


@pytest.mark.parametrize(
    "wrong",
    [
        {"version": 2},
        {"live": "5.000001", "available": "5.000001"},
        {"available": "4"},
        {"status": "exhausted"},
        {"unallocated": "-1"},
        {"time_balances": [ROW]},
        {"time_balances": [{**ROW, "left": 9}]},
    ],
    ids=str,
)
def test_the_auditor_notices(wrong: Json) -> None:
    Auditor().look(PAYMENT, [CHANGE])
    with pytest.raises(AssertionError):
        Auditor().look(PAYMENT, [{**CHANGE, **wrong}])
