"""Any CSV, by a mapping: formats of times, durations and amounts, and what is said of a wrong mapping."""

import json
from pathlib import Path

import pytest

from engine.failures import WrongUse
from engine.importers.calls import Terms
from engine.importers.generic import read_generic
from engine.importers.mapping import load_mapping
from engine.importers.rating import load_rates
from engine.importers.rows import Imported, Rejected
from tests.unit.importers.samples import outline, sample

PLAIN = """
source = "s"
{more}
[columns]
client = "client"
id = "id"
time = "time"
amount = "amount"
"""


def read_one(tmp_path: Path, mapping: str, row: str, header: str = "client,id,time,amount") -> dict[str, object] | str:
    """The event of one row, or the sentence of its rejection."""
    (tmp_path / "map.toml").write_text(mapping)
    (tmp_path / "calls.csv").write_text(f"{header}\n{row}\n")
    (found,) = read_generic([str(tmp_path / "calls.csv")], Terms(), load_mapping(str(tmp_path / "map.toml")))
    if isinstance(found, Rejected):
        return found.message
    assert isinstance(found, Imported)
    event: dict[str, object] = json.loads(found.event)
    return event


def test_sample_with_odd_rows() -> None:
    rows = read_generic([sample("carrier.csv")], Terms(), load_mapping(sample("carrier.toml")))
    assert outline(rows) == [
        ("2", "7701/a", "c-100", "0.0529", "call", "92"),
        ("3", "skipped", "unanswered"),
        ("4", "7703/b", "c-101", "1.2", "call", "1200"),
        ("5", "rejected", "quantity: expected a duration such as 1:02:03, found 'two minutes'"),
        ("6", "rejected", "amount: an amount of 0 or more is needed, found -400000 micro-units"),
        ("7", "rejected", "expected 9 columns as the header has, found 3"),
    ]


@pytest.mark.parametrize(
    ("settings", "written", "time"),
    [
        ("", "2026-03-02T10:00:00+02:00", "2026-03-02T08:00:00Z"),
        ('time_format = "epoch_seconds"', "1772438400", "2026-03-02T08:00:00Z"),
        ('time_format = "epoch_milliseconds"', "1772438400125", "2026-03-02T08:00:00.125Z"),
        ('time_format = "%Y%m%d%H%M%S"\ntime_zone = "Europe/Kyiv"', "20260302100000", "2026-03-02T08:00:00Z"),
        ('time_format = "%Y%m%d%H%M%S%z"', "20260302100000+0200", "2026-03-02T08:00:00Z"),
    ],
)
def test_time_formats(tmp_path: Path, settings: str, written: str, time: str) -> None:
    event = read_one(tmp_path, PLAIN.format(more=settings), f"c-1,1,{written},0.5")
    assert isinstance(event, dict), event
    assert event["time"] == time


@pytest.mark.parametrize(
    ("settings", "written", "amount"),
    [
        ("", "0.5", "0.5"),
        ("", "0.1234567", "amount: expected a decimal string with at most 6 fractional digits, found '0.1234567'"),
        ("round_amount = true", "0.1234565", "0.123456"),
        ("round_amount = true", "0.12345650001", "0.123457"),
        (
            "round_amount = true",
            "1e3",
            "amount: expected a decimal string with at most 6 fractional digits, found '1e3'",
        ),
        ("decimal_comma = true", '"0,25"', "0.25"),
    ],
)
def test_amounts(tmp_path: Path, settings: str, written: str, amount: str) -> None:
    event = read_one(tmp_path, PLAIN.format(more=settings), f"c-1,1,2026-03-02T10:00:00Z,{written}")
    assert (event["amount"] if isinstance(event, dict) else event) == amount


def test_records_without_a_price_are_priced_by_the_rates(tmp_path: Path) -> None:
    (tmp_path / "map.json").write_text(
        '{"source": "s", "header": false, "duration_format": "milliseconds",'
        ' "columns": {"client": 1, "id": 2, "time": 3, "quantity": 4, "destination": 5}}'
    )
    (tmp_path / "calls.csv").write_text("c-1,1,2026-03-02T10:00:00Z,91001,380445551234\n")
    terms = Terms(rates=load_rates(sample("rates.csv")))
    rows = read_generic([str(tmp_path / "calls.csv")], terms, load_mapping(str(tmp_path / "map.json")))
    assert outline(rows) == [("1", "1", "c-1", "0.0552", "kyiv", "92")]


def test_messages_and_bytes_are_usage_too(tmp_path: Path) -> None:
    event = read_one(
        tmp_path,
        PLAIN.format(more='unit = "event"\nusage_type = "sms"\ncurrency = "EUR"'),
        "c-1,1,2026-03-02T10:00:00Z,0.05",
    )
    assert isinstance(event, dict)
    assert event["usage"] == {"type": "sms", "quantity": 1, "unit": "event", "started_at": "2026-03-02T10:00:00Z"}
    assert event["currency"] == "EUR"


@pytest.mark.parametrize(
    ("mapping", "message"),
    [
        ("columns = 3", "columns: expected object"),
        ('source = "s"', "columns is needed and was not given"),
        ("[columns]\nclient = 1", "columns.id is needed and was not given; columns.time is needed and was not given"),
        (PLAIN.format(more='sorce = "x"'), "sorce is not a setting; did you mean source?"),
        (PLAIN.format(more='unit = "furlong"'), "unit: "),
        (PLAIN.format(more='delimiter = ";;"'), "delimiter: expected str of length <= 1, found ';;'"),
        (PLAIN.format(more='time_format = "%H:%M"'), "expected a pattern with year, month and day"),
        (PLAIN.format(more='time_format = "%Y-%m-%d %H:%M:%S"'), "time_zone: needed for times without an offset"),
        (PLAIN.format(more='time_zone = "Europe/Atlantis"'), "time_zone: expected an IANA time zone"),
        (PLAIN.format(more='answered_values = ["ok"]'), "expected columns.answered and answered_values together"),
        ("[columns]\nclient = 1\nid = 2\ntime = 3\nquantity = 4", "expected amount, or quantity and destination"),
        ("= x", "expected TOML"),
    ],
)
def test_wrong_mapping_is_refused_with_a_sentence(tmp_path: Path, mapping: str, message: str) -> None:
    path = tmp_path / "map.toml"
    path.write_text(mapping)
    with pytest.raises(WrongUse) as caught:
        load_mapping(str(path))
    assert message in str(caught.value)


def test_header_without_a_mapped_column_is_wrong_use(tmp_path: Path) -> None:
    with pytest.raises(WrongUse, match="expected a column 'amount', found client, id, time"):
        read_one(tmp_path, PLAIN.format(more=""), "c-1,1", header="client,id,time")
