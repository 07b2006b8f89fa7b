"""``plimsoll topics create`` on a real cluster."""

import json

import pytest

from tests.integration.processes import command

pytestmark = pytest.mark.kafka

NAMES = [
    *("events", "changes", "notifications", "journal", "rejections", "deliveries", "configuration", "state-changelog")
]


def test_topics_are_made_once_and_differences_are_told(broker: str, prefix: str) -> None:
    arguments = ("topics", "create", "--bootstrap", broker, "--prefix", prefix, "--app", "a", "--json")
    made = [(prefix + name, "3 partitions") for name in (*NAMES, "control")]
    made.append((f"{prefix}a-__assignor-__leader", "1 partition"))

    code, out, err = command(*arguments, "--partitions", "3")
    assert (code, err) == (0, "")
    assert json.loads(out) == [{"topic": name, "state": "created", "detail": detail} for name, detail in made]

    code, out, err = command(*arguments, "--partitions", "3")
    assert (code, err) == (0, "")
    assert json.loads(out) == [{"topic": name, "state": "exists", "detail": detail} for name, detail in made]

    code, out, err = command(*arguments, "--partitions", "4")
    assert (code, err) == (1, "")
    *differ, leader = json.loads(out)
    assert {finding["state"] for finding in differ} == {"differs"}
    assert differ[0]["detail"] == "partitions: expected 4, found 3"
    assert leader["state"] == "exists"


def test_what_is_no_address_is_one_sentence() -> None:
    code, out, err = command("topics", "create", "--bootstrap", "kafka")
    assert (code, out) == (2, "")
    assert err == "plimsoll: --bootstrap: expected HOST:PORT, with commas between several, found 'kafka'\n"
