"""Master.csv: columns as configured, local times across daylight saving, one uniqueid on several rows."""

import json
from pathlib import Path

import pytest

from engine.failures import WrongUse
from engine.importers.asterisk import read_asterisk
from engine.importers.calls import Terms
from engine.importers.rating import load_rates
from engine.importers.rows import Imported, Rejected
from schemas.times import zone
from tests.unit.importers.samples import outline, sample

TERMS = Terms(rates=load_rates(sample("rates.csv")))
KYIV = zone("Europe/Kyiv")

BASE = (
    '"c-1","100","380445551234","ctx","100","PJSIP/100-1","PJSIP/t-2","Dial","",'
    '"{start}","{answer}","{end}",{duration},{billsec},"ANSWERED","DOCUMENTATION"'
)


def line(
    start: str = "2026-03-02 10:00:00",
    answer: str = "2026-03-02 10:00:10",
    end: str = "2026-03-02 10:01:10",
    duration: int = 70,
    billsec: int = 60,
) -> str:
    return BASE.format(start=start, answer=answer, end=end, duration=duration, billsec=billsec)


def rows_of(tmp_path: Path, text: str, terms: Terms = TERMS) -> list[Imported | Rejected]:
    path = tmp_path / "Master.csv"
    path.write_text(text)
    return [row for row in read_asterisk([str(path)], terms, KYIV) if isinstance(row, (Imported, Rejected))]


def event_of(tmp_path: Path, text: str, terms: Terms = TERMS) -> dict[str, object]:
    (row,) = rows_of(tmp_path, text, terms)
    assert isinstance(row, Imported), row
    event: dict[str, object] = json.loads(row.event)
    return event


def test_sample_with_odd_rows() -> None:
    assert outline(read_asterisk([sample("Master.csv")], TERMS, KYIV)) == [
        ("1", "pbx1-1772439302.42/5cc75767", "c-100", "0.0552", "kyiv", "92"),
        ("2", "skipped", "unanswered"),
        ("3", "skipped", "unanswered"),
        ("4", "pbx1-1772442000.46/8cb849cb", "c-101", "0.5", "international", "120"),
        ("5", "pbx1-1772442000.46/2bc1f8b8", "c-101", "0.25", "international", "30"),
        ("6", "pbx1-1792890600.48/02ea4777", "c-102", "0.09", "international", "120"),
        (
            "7",
            "rejected",
            "start: 2026-03-29 03:30:00 does not exist in Europe/Kyiv, where the clocks skip it: "
            "is the time zone right?",
        ),
        ("8", "rejected", "accountcode: expected the client, found nothing; --client-field names another column"),
        ("9", "skipped", "not_wanted"),
        ("10", "rejected", "expected one CSV record a line: unexpected end of data"),
        ("11", "skipped", "unanswered"),
    ]


def test_local_times_become_instants(tmp_path: Path) -> None:
    event = event_of(tmp_path, line() + ',"pbx1-1772438400.1",""\n')
    assert event["time"] == "2026-03-02T08:01:10Z"
    assert event["usage"] == {
        "type": "kyiv",
        "quantity": 60,
        "unit": "second",
        "started_at": "2026-03-02T08:00:10Z",
    }
    assert event["source"] == "pbx1"


@pytest.mark.parametrize(
    ("uniqueid", "ended_at"),
    [
        ("pbx1-1792888200.1", "2026-10-25T00:31:10Z"),  # the first 03:30, still in summer time
        ("pbx1-1792891800.1", "2026-10-25T01:31:10Z"),  # the second one
    ],
)
def test_time_that_happens_twice_is_told_by_the_uniqueid(tmp_path: Path, uniqueid: str, ended_at: str) -> None:
    day = "2026-10-25 03:3"
    text = line(f"{day}0:00", f"{day}0:10", f"{day}1:10") + f',"{uniqueid}",""\n'
    assert event_of(tmp_path, text)["time"] == ended_at


def test_end_after_the_clocks_went_back_follows_from_the_duration(tmp_path: Path) -> None:
    text = line("2026-10-25 02:50:00", "2026-10-25 02:50:00", "2026-10-25 03:10:00", 4800, 4800)
    event = event_of(tmp_path, text + ',"pbx1-1792885800.1",""\n')
    assert event["time"] == "2026-10-25T01:10:00Z"


@pytest.mark.parametrize(
    ("tail", "identity"),
    [
        (',"pbx1-1772438400.1",""', "pbx1-1772438400.1/65a9d543"),
        (',"pbx1-1772438400.1"', "pbx1-1772438400.1/65a9d543"),
        (',"pbx1-1772438400.1","note","","pbx1-1772438400.1",17', "pbx1-1772438400.1/17"),
        (',"pbx1-1772438400.1","","pbx1-1772438400.1",18', "pbx1-1772438400.1/18"),
    ],
)
def test_identity_under_each_column_configuration(tmp_path: Path, tail: str, identity: str) -> None:
    assert event_of(tmp_path, line() + tail + "\n")["id"] == identity


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (line() + "\n", "expected the name of the switch"),
        (line() + ',"note"\n', "expected the name of the switch"),
        ("a,b,c\n", "expected 16 to 21 columns of cdr_csv, found 3"),
        (line(end="yesterday") + ',"p-1772438400.1",""\n', "end: expected a time such as"),
        (line(end="2026-02-30 10:00:00") + ',"p-1772438400.1",""\n', "end: expected a time such as"),
    ],
)
def test_odd_row_is_rejected_with_what_was_expected(tmp_path: Path, text: str, message: str) -> None:
    (row,) = rows_of(tmp_path, text)
    assert isinstance(row, Rejected)
    assert message in row.message


def test_row_without_uniqueid_names_the_setting(tmp_path: Path) -> None:
    (row,) = rows_of(tmp_path, line() + "\n", Terms(source="pbx", rates=TERMS.rates))
    assert isinstance(row, Rejected)
    assert "set loguniqueid=yes in cdr.conf" in row.message


def test_amount_may_stand_in_a_column(tmp_path: Path) -> None:
    terms = Terms(amount_field="userfield", client_field="src")
    event = event_of(tmp_path, line() + ',"p-1772438400.1","0.125"\n', terms)
    assert (event["client"], event["amount"]) == ("100", "0.125")


def test_unknown_column_is_wrong_use() -> None:
    with pytest.raises(WrongUse, match="price is not a column of Asterisk's CSV"):
        list(read_asterisk([sample("Master.csv")], Terms(amount_field="price"), KYIV))
