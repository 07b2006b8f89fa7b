"""Events in: one, an array, lines; and what is answered for each."""

import json

import pytest

from engine.log.ports import Overloaded, Unavailable
from tests.fakes.ingest import charge
from tests.unit.api.doors import Door, problem

LINES = "application/x-ndjson"
CLIENT_1_PARTITION = 11


def _results(body: dict[str, object]) -> list[str]:
    results = body["results"]
    assert isinstance(results, list)
    return [result["status"] for result in results]


async def test_one_event_is_answered_by_its_place(door: Door) -> None:
    answer = await door.events(charge("1"))
    assert (answer.status_code, answer.text) == (200, '{"status":"accepted","partition":11,"offset":0}')


async def test_one_event_twice_is_a_duplicate(door: Door) -> None:
    await door.events(charge("1"))
    answer = await door.events(charge("1"))
    assert (answer.status_code, answer.text) == (200, '{"status":"duplicate"}')


async def test_one_refused_event_is_a_problem_with_its_reason(door: Door) -> None:
    answer = await door.events(charge("1", amount=0.12))
    assert problem(answer) == (422, "event_refused")
    assert answer.json()["reason"] == "bad_amount"


async def test_an_event_reaches_the_ingest_as_its_bytes(door: Door) -> None:
    raw = b'{"type" : "charge",\n "id":"1\xd1\x8f","source":"s","client":"c","time":"2026-01-31T10:00Z","amount":"1"}'
    await door.events(b"\xef\xbb\xbf  " + raw + b"\r\n")
    assert door.ingest.submitted == [raw]


async def test_an_array_is_answered_in_order(door: Door) -> None:
    body = b" [" + b" , ".join([charge("1"), b"42", charge("1"), charge("2")]) + b"]\n"
    answer = await door.events(body)
    assert answer.status_code == 200
    assert answer.json() == {
        "results": [
            {"status": "accepted", "partition": CLIENT_1_PARTITION, "offset": 0},
            {"status": "refused", "reason": "malformed", "message": "expected one JSON object, found the number 42"},
            {"status": "duplicate"},
            {"status": "accepted", "partition": CLIENT_1_PARTITION, "offset": 1},
        ],
        "accepted": 2,
        "duplicate": 1,
        "refused": 1,
    }


async def test_an_empty_array_is_an_empty_batch(door: Door) -> None:
    answer = await door.events(b"[]")
    assert answer.json() == {"results": [], "accepted": 0, "duplicate": 0, "refused": 0}


async def test_lines_are_split_without_blank_ones_a_bom_and_crs(door: Door) -> None:
    body = b"\xef\xbb\xbf" + b"\r\n".join([charge("1"), b"", b"  ", charge("2")]) + b"\r\n\r\n"
    answer = await door.events(body, LINES)
    assert _results(answer.json()) == ["accepted", "accepted"]
    assert door.ingest.submitted == [charge("1"), charge("2")]


@pytest.mark.parametrize("line", [b"{", b"\xff\xfe\x00", b"[1]", b"null", b'{"type":"charge"'])
async def test_a_bad_line_is_refused_where_it_stands(door: Door, line: bytes) -> None:
    answer = await door.events(b"\n".join([charge("1"), line, charge("2")]), LINES)
    assert _results(answer.json()) == ["accepted", "refused", "accepted"]
    assert answer.json()["results"][1]["reason"] == "malformed"


async def test_only_refused_items_are_listed_where_asked(door: Door) -> None:
    body = b"\n".join([charge("1"), b"", b"{", charge("1"), charge("2", amount="-1")])
    answer = await door.events(body, LINES, "?answers=refused")
    refused = [(item["index"], item["status"], item["reason"]) for item in answer.json()["results"]]
    assert refused == [(1, "refused", "malformed"), (3, "refused", "bad_amount")]
    assert (answer.json()["accepted"], answer.json()["duplicate"], answer.json()["refused"]) == (1, 1, 2)


@pytest.mark.parametrize(
    ("media", "body"),
    [
        ("application/json", b""),
        ("application/json", b" \n"),
        ("application/json", b"\xef\xbb\xbf"),
        (LINES, b""),
        (LINES, b"\n \r\n"),
        ("application/cloudevents+json", b" "),
        ("application/cloudevents-batch+json", b" "),
    ],
)
async def test_an_empty_body_is_refused(door: Door, media: str, body: bytes) -> None:
    assert problem(await door.events(body, media)) == (400, "body_empty")


@pytest.mark.parametrize("body", [b"[", b"[1,]", b"[{}", b"[{}] x", b"[NaN]", b"[" * 100_000])
async def test_a_broken_array_is_no_batch(door: Door, body: bytes) -> None:
    answer = await door.events(body)
    assert problem(answer) == (400, "json_invalid")
    assert answer.json()["reason"] == "malformed"
    assert door.ingest.submitted == []


@pytest.mark.parametrize("body", [b"{", b"nonsense", b"42", b"\xff", b"{}{}", b'{"a":1e999999}x'])
async def test_what_is_no_event_is_a_bad_request(door: Door, body: bytes) -> None:
    answer = await door.events(body)
    assert problem(answer) == (400, "event_refused")
    assert answer.json()["reason"] == "malformed"
    assert door.ingest.submitted == [body], "the engine records the rejection"


@pytest.mark.parametrize(
    "media",
    ["", "text/plain", "application/x-www-form-urlencoded", "application/json; charset=latin-1", "application/jsonx"],
)
async def test_other_media_are_unsupported(door: Door, media: str) -> None:
    answer = await door.events(charge("1"), media)
    assert problem(answer) == (415, "media_unsupported")
    assert "application/x-ndjson" in answer.headers["accept-post"]


@pytest.mark.parametrize("media", ["application/json;charset=UTF-8", 'Application/JSON; charset="utf-8"'])
async def test_json_in_utf8_may_say_so(door: Door, media: str) -> None:
    assert (await door.events(charge("1"), media)).status_code == 200


async def test_an_encoded_body_is_unsupported(door: Door) -> None:
    headers = {"content-type": "application/json", "content-encoding": "gzip"}
    answer = await door.client.post("/v1/events", content=charge("1"), headers=headers)
    assert problem(answer) == (415, "encoding_unsupported")


async def test_a_full_queue_asks_to_come_back(door: Door) -> None:
    door.ingest.failure = Overloaded(7)
    answer = await door.events(charge("1"))
    assert problem(answer) == (429, "overloaded")
    assert answer.headers["retry-after"] == "7"


async def test_an_engine_that_stops_asks_to_come_back(door: Door) -> None:
    door.ingest.failure = Unavailable("the engine is stopping; send this again in a moment")
    answer = await door.events(charge("1"))
    assert problem(answer) == (503, "unavailable")
    assert answer.headers["retry-after"] == "2"
    assert answer.json()["detail"] == "the engine is stopping; send this again in a moment"


@pytest.mark.parametrize("query", ["?answers=some", "?answer=refused", "?answers=all&answers=all", "?answers=%ff"])
async def test_other_parameters_are_refused(door: Door, query: str) -> None:
    assert problem(await door.events(charge("1"), query=query)) == (400, "query_invalid")
    assert door.ingest.submitted == []


async def test_answers_are_counted(door: Door) -> None:
    await door.events(b"\n".join([charge("1"), charge("1"), charge("2"), b"{"]), LINES)
    counts = [
        door.metric("plimsoll_http_events_total", answer=answer) for answer in ("accepted", "duplicate", "refused")
    ]
    assert counts == [2, 1, 1]


async def test_no_client_shows_in_the_metrics(door: Door) -> None:
    await door.events(charge("1", client="c-secret"))
    await door.client.get("/v1/clients/c-secret")
    await door.client.get("/c-secret")
    assert "c-secret" not in (await door.client.get("/metrics")).text


async def test_json_text_of_a_batch_is_compact(door: Door) -> None:
    answer = await door.events(json.dumps([json.loads(charge("1"))]).encode())
    assert answer.text == (
        '{"results":[{"status":"accepted","partition":11,"offset":0}],"accepted":1,"duplicate":0,"refused":0}'
    )
