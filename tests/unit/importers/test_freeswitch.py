"""mod_json_cdr: one record a file, a folder of them, one a line; odd records among good ones."""

import json
from pathlib import Path
from typing import Any

import pytest

from engine.failures import WrongUse
from engine.importers.calls import Terms
from engine.importers.freeswitch import read_freeswitch
from engine.importers.rating import load_rates
from engine.importers.rows import Imported, Rejected
from tests.unit.importers.samples import outline, sample

UUID = "c1a7c3de-2a7c-4a39-8b50-6f6f36c0f00"
TERMS = Terms(rates=load_rates(sample("rates.csv")))

Record = dict[str, Any]  # a record of a switch is arbitrary JSON


def record() -> Record:
    """The first record of the samples, to be changed."""
    found: Record = json.loads(Path(sample(f"freeswitch/a_{UUID}1.cdr.json")).read_text())
    return found


def only_event(rows: list[Any]) -> Record:
    (row,) = rows
    assert isinstance(row, Imported), row
    event: Record = json.loads(row.event)
    return event


def test_record_becomes_a_priced_charge() -> None:
    (row,) = read_freeswitch([sample(f"freeswitch/a_{UUID}1.cdr.json")], TERMS)
    assert isinstance(row, Imported)
    assert json.loads(row.event) == {
        "type": "charge",
        "id": f"{UUID}1",
        "source": "fs1",
        "client": "c-100",
        "time": "2026-03-02T08:16:41.557418Z",
        "amount": "0.0552",  # 0.0345 a minute for 96 s: 30 and then eleven times 6
        "usage": {"type": "kyiv", "quantity": 92, "unit": "second", "started_at": "2026-03-02T08:15:09.557418Z"},
    }


def test_folder_is_read_by_name_and_second_legs_are_skipped() -> None:
    assert outline(read_freeswitch([sample("freeswitch")], TERMS)) == [
        ("1", f"{UUID}1", "c-100", "0.0552", "kyiv", "92"),
        ("1", "skipped", "other_leg"),
    ]


def test_records_one_a_line_with_odd_ones() -> None:
    assert outline(read_freeswitch([sample("freeswitch.ndjson")], TERMS)) == [
        ("1", f"{UUID}3", "c-101", "0.123457", "mobile", "60"),
        ("2", "skipped", "unanswered"),
        ("3", f"{UUID}5", "c-102", "0", "free", "10"),
        ("4", "rejected", "expected a JSON object of mod_json_cdr, found no JSON object"),
        ("5", f"{UUID}6", "c-102", "0.5", "international", "61"),
        (
            "6",
            "rejected",
            "variables.accountcode: expected the client, found none; --client-field names another variable",
        ),
        ("7", f"{UUID}8", "c-103", "0.0132", "international", "61"),
        ("8", "rejected", "variables.billsec: expected a whole number, found '-1'"),
    ]


def test_same_file_gives_the_same_bytes() -> None:
    def read() -> list[Any]:
        return list(read_freeswitch([sample("freeswitch"), sample("freeswitch.ndjson")], TERMS))

    assert read() == read()


def test_first_line_may_be_the_bad_one(tmp_path: Path) -> None:
    path = tmp_path / "calls.ndjson"
    path.write_text('{"core-uuid":\n' + json.dumps(record()) + "\n")
    assert [line[:2] for line in outline(read_freeswitch([str(path)], TERMS))] == [("1", "rejected"), ("2", f"{UUID}1")]


def test_broken_pretty_printed_record_is_one_rejection(tmp_path: Path) -> None:
    path = tmp_path / "call.json"
    path.write_text(json.dumps(record(), indent=2)[:-40])
    (row,) = read_freeswitch([str(path)], TERMS)
    assert isinstance(row, Rejected)


def test_field_options_choose_other_variables(tmp_path: Path) -> None:
    changed = record()
    changed["variables"] |= {"nibble_total_billed": "0.173250", "account_id": "acme%2F7"}
    path = tmp_path / "call.json"
    path.write_text(json.dumps(changed))
    terms = Terms(source="edge", client_field="account_id", amount_field="nibble_total_billed", currency="EUR")
    event = only_event(list(read_freeswitch([str(path)], terms)))
    assert (event["source"], event["client"], event["amount"], event["currency"]) == (
        "edge",
        "acme/7",
        "0.17325",
        "EUR",
    )


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"uuid": ""}, "variables.uuid: expected the identity"),
        ({"end_uepoch": "0", "end_epoch": "0"}, "variables.end_uepoch: expected the end of the call"),
        ({"answer_uepoch": "soon"}, "variables.answer_uepoch: expected a whole number, found 'soon'"),
        ({"accountcode": "two%20words"}, "client: expected 1 to 128 visible characters"),
        ({"billsec": "99999999999"}, "expected a duration from 0 to"),
    ],
)
def test_odd_record_is_rejected_with_what_was_expected(tmp_path: Path, change: Record, message: str) -> None:
    changed = record()
    changed["variables"] |= change
    path = tmp_path / "call.json"
    path.write_text(json.dumps(changed))
    (row,) = read_freeswitch([str(path)], TERMS)
    assert isinstance(row, Rejected)
    assert message in row.message


def test_without_rates_and_amount_the_sentence_says_what_to_give() -> None:
    (row,) = read_freeswitch([sample(f"freeswitch/a_{UUID}1.cdr.json")], Terms())
    assert isinstance(row, Rejected)
    assert "expected a table of rates" in row.message


def test_missing_file_ends_the_import_with_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(WrongUse, match="there is no such file"):
        list(read_freeswitch([str(tmp_path / "none.json")], TERMS))
