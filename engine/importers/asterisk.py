"""Asterisk ``cdr_csv``: the rows of Master.csv, in local time unless ``usegmtime=yes``.

Columns (cdr_csv.c, "build_csv_record"): sixteen, then ``uniqueid`` (``loguniqueid=yes``), ``userfield``
(``loguserfield=yes``), and ``peeraccount, linkedid, sequence`` (``newcdrcolumns=yes``), each where it is configured.
Asterisk writes several rows with one uniqueid (queues, forks, transfers), so an identity is the uniqueid with the
sequence, or, where that is not logged, with a digest of what tells the legs apart: stable across files and runs.
Rows that are not ANSWERED owe nothing; nor do those whose amaflags are OMIT.
"""

import csv
import re
from collections.abc import Iterator
from datetime import datetime
from functools import lru_cache
from typing import Final
from zoneinfo import ZoneInfo

import xxhash

from engine.failures import WrongUse
from engine.importers.calls import Call, Terms, amount_of, row_of, whole_number
from engine.importers.local_time import local_instants, nearest
from engine.importers.rows import Rejected, Row, RowError, Skipped
from engine.lines import open_input, read_lines

_COLUMNS: Final = (
    "accountcode", "src", "dst", "dcontext", "clid", "channel", "dstchannel", "lastapp", "lastdata",
    "start", "answer", "end", "duration", "billsec", "disposition", "amaflags",
)  # fmt: skip
_NEW_COLUMNS: Final = ("peeraccount", "linkedid", "sequence")
_FIELDS: Final = (*_COLUMNS, "uniqueid", "userfield", *_NEW_COLUMNS)
_UNIQUEID: Final = re.compile(r"(?:(?P<system>.+)-)?(?P<epoch>[0-9]{9,11})\.[0-9]+", re.ASCII)
_TIME: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2} [0-9]{2}:[0-9]{2}:[0-5][0-9]", re.ASCII)

Record = dict[str, str]


def read_asterisk(paths: list[str], terms: Terms, zone: ZoneInfo) -> Iterator[Row]:
    """A row for each line of the files. ``zone``: the time zone that the switch wrote its times in.

    Raises WrongUse where the terms name a column that Asterisk does not have.
    """
    for field in (terms.client_field, terms.amount_field, terms.destination_field):
        if field is not None and field not in _FIELDS:
            raise WrongUse(f"{field} is not a column of Asterisk's CSV; expected one of {', '.join(_FIELDS)}")
    for path in paths:
        with open_input(path) as stream:
            for line in read_lines(stream, path):
                if not line.data.strip():
                    continue
                place = f"{path}:{line.number}"
                try:
                    yield _row_of_line(line.data, line.too_long, terms, zone, place)
                except RowError as error:
                    yield Rejected(place, str(error), line.data)


def _row_of_line(raw: bytes, too_long: bool, terms: Terms, zone: ZoneInfo, place: str) -> Row:
    if too_long:
        raise RowError("expected one record a line, found a line that does not end")
    record = _record(_cells(raw))
    disposition = record["disposition"].strip().upper()
    if disposition != "ANSWERED":
        return Skipped(place, "unanswered")
    if record["amaflags"].strip().upper() == "OMIT":
        return Skipped(place, "not_wanted")
    uniqueid = record["uniqueid"]
    match = _UNIQUEID.fullmatch(uniqueid)
    source = terms.source or (match["system"] if match else None)
    if not source:
        raise RowError("expected the name of the switch: give it with --source, the record has none")
    field = terms.client_field or "accountcode"
    if not record[field]:
        raise RowError(f"{field}: expected the client, found nothing; --client-field names another column")
    billsec = whole_number(record["billsec"], "billsec")
    started_near = int(match["epoch"]) * 1_000_000 if match else None
    ended_at, answered_at = _instants(record, billsec, started_near, zone)
    amount = record[terms.amount_field] if terms.amount_field else ""
    call = Call(
        source=source,
        id=_identity(record),
        client=record[field],
        ended_at=ended_at,
        answered_at=answered_at,
        quantity=billsec,
        destination=record[terms.destination_field or "dst"],
        amount=amount_of(amount) if amount else None,
    )
    return row_of(call, terms, place)


def _cells(raw: bytes) -> list[str]:
    try:
        return next(csv.reader([raw.decode()], strict=True))
    except UnicodeDecodeError as error:
        raise RowError(f"expected text in UTF-8, found a bad byte at {error.start}") from None
    except csv.Error as error:
        raise RowError(f"expected one CSV record a line: {error}") from None


def _record(cells: list[str]) -> Record:
    """The cells by column; columns that are not logged are empty."""
    if not len(_COLUMNS) <= len(cells) <= len(_FIELDS):
        raise RowError(f"expected {len(_COLUMNS)} to {len(_FIELDS)} columns of cdr_csv, found {len(cells)}")
    record = dict.fromkeys(_FIELDS, "")
    record.update(zip(_COLUMNS, cells, strict=False))
    rest = cells[len(_COLUMNS) :]
    if len(rest) >= len(_NEW_COLUMNS):
        record.update(zip(_NEW_COLUMNS, rest[-len(_NEW_COLUMNS) :], strict=True))
        rest = rest[: -len(_NEW_COLUMNS)]
    if rest and (len(rest) == 2 or _UNIQUEID.fullmatch(rest[0])):
        record["uniqueid"] = rest.pop(0)
    if rest:
        record["userfield"] = rest[0]
    return record


def _identity(record: Record) -> str:
    uniqueid = record["uniqueid"]
    if not uniqueid:
        raise RowError("expected a uniqueid, found none: set loguniqueid=yes in cdr.conf")
    if record["sequence"]:
        return f"{uniqueid}/{record['sequence']}"
    legs = "\0".join(record[name] for name in ("channel", "dstchannel", "dst", "start", "answer"))
    return f"{uniqueid}/{xxhash.xxh64_hexdigest(legs.encode())[:8]}"


def _instants(record: Record, billsec: int, started_near: int | None, zone: ZoneInfo) -> tuple[int, int | None]:
    """End and answer. Where the clocks were set back, the uniqueid's own instant and the durations decide."""
    started_at = nearest(_local(record, "start", zone), started_near)
    duration = whole_number(record["duration"], "duration") * 1_000_000
    ended_at = nearest(_local(record, "end", zone), started_at + duration)
    if not record["answer"]:
        return ended_at, None
    return ended_at, nearest(_local(record, "answer", zone), ended_at - billsec * 1_000_000)


def _local(record: Record, name: str, zone: ZoneInfo) -> tuple[int, ...]:
    text = record[name]
    if _TIME.fullmatch(text) is None:
        raise RowError(f"{name}: expected a time such as 2026-01-31 10:00:00, found {text[:40]!r}")
    try:
        instants = _minute(text[:16], zone)
    except RowError as error:
        raise RowError(f"{name}: {error}") from None
    micros = int(text[17:]) * 1_000_000
    return tuple(at + micros for at in instants)


@lru_cache(maxsize=4096)
def _minute(text: str, zone: ZoneInfo) -> tuple[int, ...]:
    """The instants at which that minute begins; remembered, for calls come in the order of time."""
    try:
        wall = datetime.fromisoformat(text)
    except ValueError:
        raise RowError(f"expected a time such as 2026-01-31 10:00:00, found {text!r}") from None
    return local_instants(wall, zone)
