"""Importing a file twice changes nothing: shown with the core itself, not with a stand-in for its dedupe."""

import json
from pathlib import Path

from engine.importers.asterisk import read_asterisk
from engine.importers.calls import Terms
from engine.importers.freeswitch import read_freeswitch
from engine.importers.generic import read_generic
from engine.importers.mapping import load_mapping
from engine.importers.rating import load_rates
from engine.importers.rows import Imported
from engine.replay import replay
from schemas.times import zone
from tests.unit.importers.samples import sample


def imported() -> list[bytes]:
    """Every event of every sample."""
    terms = Terms(rates=load_rates(sample("rates.csv")))
    rows = [
        *read_freeswitch([sample("freeswitch"), sample("freeswitch.ndjson")], terms),
        *read_asterisk([sample("Master.csv")], terms, zone("Europe/Kyiv")),
        *read_generic([sample("carrier.csv")], Terms(), load_mapping(sample("carrier.toml"))),
    ]
    return [row.event for row in rows if isinstance(row, Imported)]


def at_once(events: list[bytes]) -> list[bytes]:
    """The events with one log time, as an import brings them: the dedupe window counts from there."""
    return [json.dumps({**json.loads(event), "at": "2026-11-01T00:00:00Z"}).encode() for event in events]


def test_second_import_changes_nothing() -> None:
    clients = Path(sample("clients.ndjson")).read_bytes().splitlines()
    events = at_once(imported())
    assert len(events) == 11
    once = list(replay([*clients, *events]))
    assert list(replay([*clients, *events, *events])) == once
    assert [json.loads(output)["output"] for output in once] == ["change"] * (len(clients) + len(events))


def test_what_is_left_is_what_was_paid_less_the_calls() -> None:
    clients = Path(sample("clients.ndjson")).read_bytes().splitlines()
    final = [json.loads(output) for output in replay([*clients, *at_once(imported())], final=True)]
    assert {view["client"]: view["live"] for view in final} == {
        "c-100": "9.8367",  # 10 - 0.0552 - 0.0552 - 0.0529
        "c-101": "7.926543",  # 10 - 0.123457 - 0.5 - 0.25 - 1.2
        "c-102": "9.41",  # 10 - 0 - 0.5 - 0.09
        "c-103": "9.9868",
        "c-104": "10",
        "c-105": "10",
    }
