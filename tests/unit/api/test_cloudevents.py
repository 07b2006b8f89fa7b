"""CloudEvents 1.0: structured, batch and binary mode; attributes fill what the data lacks."""

import base64
from typing import Any

import msgspec
import pytest

from tests.unit.api.doors import Door, problem

STRUCTURED = "application/cloudevents+json"
BATCH = "application/cloudevents-batch+json"


def _envelope(data: Any, **attributes: Any) -> dict[str, Any]:  # Any: arbitrary JSON
    whole = {
        "specversion": "1.0",
        "type": "charge",
        "source": "/sbc/1",
        "id": "e-1",
        "time": "2026-01-31T10:00:00Z",
        "subject": "c-42",
        **attributes,
    }
    if data is not None:
        whole["data"] = data
    return {name: value for name, value in whole.items() if value is not None}


def _submitted(door: Door) -> list[dict[str, Any]]:
    return [msgspec.json.decode(raw) for raw in door.ingest.submitted]


FILLED = {
    "type": "charge",
    "id": "e-1",
    "source": "/sbc/1",
    "time": "2026-01-31T10:00:00Z",
    "client": "c-42",
    "amount": "0.12",
}


async def test_attributes_fill_what_the_data_lacks(door: Door) -> None:
    answer = await door.events(msgspec.json.encode(_envelope({"amount": "0.12"})), STRUCTURED)
    assert answer.json()["status"] == "accepted"
    assert _submitted(door) == [FILLED]


async def test_what_the_data_says_stays(door: Door) -> None:
    data = b'{"type":"charge","id":"own","source":"own","time":"2026-02-01T00:00:00Z","client":"own", "amount":"1.50"}'
    envelope = {**_envelope(None), "data": msgspec.Raw(data)}
    await door.events(msgspec.json.encode(envelope), STRUCTURED)
    assert door.ingest.submitted == [data]


async def test_configuration_gets_no_client(door: Door) -> None:
    envelope = _envelope({"user": "u-1"}, type="user", subject="u-1")
    answer = await door.events(msgspec.json.encode(envelope), STRUCTURED)
    assert answer.json()["status"] == "accepted"
    assert "client" not in _submitted(door)[0]


async def test_data_may_be_base64(door: Door) -> None:
    envelope = _envelope(None, data_base64=base64.b64encode(b'{"amount":"0.12"}').decode())
    await door.events(msgspec.json.encode(envelope), STRUCTURED)
    assert _submitted(door) == [FILLED]


async def test_a_batch_is_answered_item_by_item(door: Door) -> None:
    items = [
        _envelope({"amount": "0.12"}),
        _envelope({"amount": "0.12"}),
        _envelope([1]),
        _envelope({"amount": "0.12"}, id="e-2"),
    ]
    answer = await door.events(msgspec.json.encode(items), BATCH)
    assert [item["status"] for item in answer.json()["results"]] == ["accepted", "duplicate", "refused", "accepted"]


@pytest.mark.parametrize(
    "envelope",
    [
        {"id": "1"},
        _envelope({"amount": "1"}, specversion="0.3"),
        _envelope({"amount": "1"}, id=None),
        _envelope({"amount": "1"}, datacontenttype="text/xml"),
        _envelope({"amount": "1"}, data_base64="e30="),
        _envelope(None, data_base64="?"),
        _envelope("text"),
        _envelope({"type": 1}),
        [],
    ],
)
async def test_what_is_no_cloudevent_is_malformed(door: Door, envelope: object) -> None:
    answer = await door.events(msgspec.json.encode(envelope), STRUCTURED)
    assert problem(answer) == (400, "event_refused")
    assert answer.json()["reason"] == "malformed"
    assert door.ingest.submitted == []


async def test_binary_mode_takes_attributes_from_headers(door: Door) -> None:
    headers = {
        "content-type": "application/json",
        "ce-specversion": "1.0",
        "ce-type": "charge",
        "ce-source": "/sbc/1",
        "ce-id": "e%2D1",
        "ce-time": "2026-01-31T10:00:00Z",
        "ce-subject": "c-42",
    }
    answer = await door.client.post("/v1/events", content=b'{"amount":"0.12"}', headers=headers)
    assert answer.json()["status"] == "accepted"
    assert _submitted(door) == [FILLED]


async def test_binary_mode_needs_its_attributes(door: Door) -> None:
    headers = {"content-type": "application/json", "ce-specversion": "1.0", "ce-type": "charge"}
    answer = await door.client.post("/v1/events", content=b"{}", headers=headers)
    assert problem(answer) == (400, "event_refused")
