"""Any CSV of call records, by a mapping (see ``mapping``). One record a line; quotes may not span lines."""

import csv
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Final

from engine.failures import WrongUse
from engine.importers.calls import Call, Terms, amount_of, row_of, whole_number
from engine.importers.local_time import local_instants, micros_of, nearest
from engine.importers.mapping import Column, Mapping
from engine.importers.rows import Rejected, Row, RowError, Skipped
from engine.lines import open_input, read_lines
from schemas.money import divide_half_even, shorten
from schemas.times import TimeError, parse_time, zone

_EPOCH_SCALES: Final = {"epoch_seconds": 1_000_000, "epoch_milliseconds": 1000, "epoch_microseconds": 1}
_LONG_AMOUNT: Final = re.compile(r"(-?)([0-9]{1,19})\.([0-9]{7,30})", re.ASCII)
_CLOCK: Final = re.compile(r"(?:([0-9]{1,4}):)?([0-9]{1,4}):([0-5][0-9])", re.ASCII)

Cells = list[str]


def read_generic(paths: list[str], terms: Terms, mapping: Mapping) -> Iterator[Row]:
    """A row for each line of the files; raises WrongUse where a header lacks a column of the mapping."""
    if not (terms.source or mapping.source):
        raise WrongUse("expected the name of the switch: source in the mapping, or --source")
    for path in paths:
        yield from _rows_of_file(path, terms, mapping)


def _rows_of_file(path: str, terms: Terms, mapping: Mapping) -> Iterator[Row]:
    reader = None if mapping.header else _Reader(mapping, None, path)
    with open_input(path) as stream:
        for line in read_lines(stream, path):
            if not line.data.strip():
                continue
            place = f"{path}:{line.number}"
            try:
                if line.too_long:
                    raise RowError("expected one record a line, found a line that does not end")
                cells = _cells(line.data, mapping)
                if reader is None:
                    reader = _Reader(mapping, cells, place)
                else:
                    yield reader.row(cells, terms, place)
            except RowError as error:
                if reader is None:
                    raise WrongUse(f"{place}: {error}") from None
                yield Rejected(place, str(error), line.data)


def _cells(raw: bytes, mapping: Mapping) -> Cells:
    try:
        text = raw.decode(mapping.encoding)
    except UnicodeDecodeError as error:
        raise RowError(f"expected text in {mapping.encoding}, found a bad byte at {error.start}") from None
    try:
        return [cell.strip() for cell in next(csv.reader([text], delimiter=mapping.delimiter, strict=True))]
    except csv.Error as error:
        raise RowError(f"expected one CSV record a line: {error}") from None


class _Reader:
    """Reads the records of one file: the mapping's columns, found in the file's header."""

    def __init__(self, mapping: Mapping, header: Cells | None, place: str) -> None:
        columns = mapping.columns
        self._mapping = mapping
        self._zone = None if mapping.time_zone is None else zone(mapping.time_zone)
        self._width = None if header is None else len(header)

        def find(column: Column | None) -> int | None:
            if column is None or isinstance(column, int):
                return None if column is None else column - 1
            if header is None:
                raise WrongUse(f"{place}: the mapping says there is no header; expected numbers, found {column!r}")
            if column not in header:
                raise WrongUse(f"{place}: expected a column {column!r}, found {shorten(', '.join(header), 200)}")
            return header.index(column)

        self._client = find(columns.client)
        self._time = find(columns.time)
        self._started_at = find(columns.started_at)
        self._amount = find(columns.amount)
        self._quantity = find(columns.quantity)
        self._destination = find(columns.destination)
        self._usage_type = find(columns.usage_type)
        self._currency = find(columns.currency)
        self._answered = find(columns.answered)
        ids = columns.id if isinstance(columns.id, list) else [columns.id]
        self._ids = [find(column) for column in ids]

    def row(self, cells: Cells, terms: Terms, place: str) -> Row:
        """The row of one record; raises RowError."""
        if self._width is not None and len(cells) != self._width:
            raise RowError(f"expected {self._width} columns as the header has, found {len(cells)}")
        mapping = self._mapping
        if self._answered is not None and _cell(cells, self._answered) not in mapping.answered_values:
            return Skipped(place, "unanswered")
        quantity = self._read_quantity(cells)
        started = None if self._started_at is None else self._instants(_cell(cells, self._started_at), "started_at")
        times = self._instants(_cell(cells, self._time), "time")
        length = quantity * 1_000_000 if mapping.unit == "second" else 0
        started_at = None if started is None else started[0]
        ended_at = nearest(times, None if started_at is None else started_at + length)
        if started is not None:
            started_at = nearest(started, ended_at - length)
        amount = _cell(cells, self._amount)
        parts = [_cell(cells, index) for index in self._ids]
        if not all(parts):
            raise RowError("id: expected the identity of the record, found nothing")
        source = terms.source or mapping.source
        assert source is not None  # checked before the first file
        call = Call(
            source=source,
            id="/".join(parts),
            client=_cell(cells, self._client),
            ended_at=ended_at,
            answered_at=ended_at - length if started_at is None else started_at,
            quantity=quantity,
            destination=_cell(cells, self._destination),
            amount=None if self._amount is None else self._read_amount(amount),
            usage_type=_cell(cells, self._usage_type) or mapping.usage_type,
            currency=_cell(cells, self._currency) or mapping.currency,
            unit=mapping.unit,
        )
        return row_of(call, terms, place)

    def _read_quantity(self, cells: Cells) -> int:
        if self._quantity is None:
            return 1 if self._mapping.unit == "event" else 0
        text = _cell(cells, self._quantity)
        if self._mapping.unit != "second" or self._mapping.duration_format == "seconds":
            return whole_number(text, "quantity")
        if self._mapping.duration_format == "milliseconds":
            return -(-whole_number(text, "quantity") // 1000)  # a second that was begun is a second used
        match = _CLOCK.fullmatch(text)
        if match is None:
            raise RowError(f"quantity: expected a duration such as 1:02:03, found {text[:40]!r}")
        return int(match[1] or 0) * 3600 + int(match[2]) * 60 + int(match[3])

    def _read_amount(self, text: str) -> int:
        if self._mapping.decimal_comma:
            text = text.replace(",", ".")
        match = _LONG_AMOUNT.fullmatch(text) if self._mapping.round_amount else None
        if match is None:
            return amount_of(text)
        micros = divide_half_even(int(match[2] + match[3]), 10 ** (len(match[3]) - 6))
        return -micros if match[1] else micros

    def _instants(self, text: str, what: str) -> tuple[int, ...]:
        pattern = self._mapping.time_format
        try:
            scale = _EPOCH_SCALES.get(pattern)
            if scale is not None:
                return (whole_number(text, what) * scale,)
            if pattern == "rfc3339":
                return (parse_time(text),)
            moment = datetime.strptime(text, pattern)  # noqa: DTZ007  # its zone is the mapping's
            if moment.tzinfo is not None:
                return (micros_of(moment.astimezone(UTC)),)
            assert self._zone is not None  # the mapping was checked to have one
            return local_instants(moment, self._zone)
        except TimeError as error:
            raise RowError(f"{what}: {error}") from None
        except RowError:
            raise
        except (ValueError, OverflowError):
            raise RowError(f"{what}: expected a time as {pattern}, found {text[:40]!r}") from None


def _cell(cells: Cells, index: int | None) -> str:
    if index is None:
        return ""
    if index >= len(cells):
        raise RowError(f"expected at least {index + 1} columns, found {len(cells)}")
    return cells[index]
