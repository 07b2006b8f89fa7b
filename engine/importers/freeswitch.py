"""FreeSWITCH ``mod_json_cdr``: a record a file, folders of such files, or one record a line.

What is read of a record (mod_json_cdr, "generate_json_cdr"): ``switchname``; of ``variables`` ``uuid``,
``end_uepoch``, ``answer_uepoch``, ``billsec``, ``accountcode``; the number that the caller dialled from the first
caller profile of ``callflow``. Values may be percent-encoded, as the module writes them by default. The second leg
of a bridged call (``log-b-leg``) names its originator and is skipped: the first leg is the one that pays.
"""

import os
from collections.abc import Iterator
from typing import Final, cast
from urllib.parse import unquote

import msgspec

from engine.failures import WrongUse
from engine.importers.calls import Call, Terms, amount_of, row_of, whole_number
from engine.importers.rows import Rejected, Row, RowError, Skipped
from engine.lines import InputLine, open_input, read_lines

DOCUMENT_BYTES_MAX: Final = 4 * 1024 * 1024
"""The largest record: one with every variable, SDP and application is about 100 KiB."""
_SUFFIXES: Final = (".json", ".json.gz")

Record = dict[str, object]


def read_freeswitch(paths: list[str], terms: Terms) -> Iterator[Row]:
    """A row for each record of the files; of a folder, its ``.json`` files by name, and its folders'."""
    for path in paths:
        for file in _files(path):
            yield from _rows_of_file(file, terms)


def _files(path: str) -> Iterator[str]:
    if not os.path.isdir(path):
        yield path
        return
    try:
        names = sorted(os.listdir(path))
    except OSError as error:
        raise WrongUse(f"{path}: cannot be listed: {error.strerror}") from None
    for name in names:
        inner = os.path.join(path, name)
        if os.path.isdir(inner):
            yield from _files(inner)
        elif name.endswith(_SUFFIXES):
            yield inner


def _rows_of_file(path: str, terms: Terms) -> Iterator[Row]:
    """One record a line where the first line is one, or the second begins one; else the file is one record."""
    pending: list[InputLine] = []
    pending_bytes = 0
    by_line = False
    with open_input(path) as stream:
        for line in read_lines(stream, path, line_bytes_max=DOCUMENT_BYTES_MAX):
            if not line.data.strip():
                continue
            if not by_line and (_begins_record(line, pending) or (not pending and _decoded(line.data))):
                by_line = True
                for earlier in pending:
                    yield _row_of_text(earlier.data, terms, f"{path}:{earlier.number}", earlier.too_long)
                pending = []
            if by_line:
                yield _row_of_text(line.data, terms, f"{path}:{line.number}", line.too_long)
                continue
            pending.append(line)
            pending_bytes += len(line.data)
            if pending_bytes > DOCUMENT_BYTES_MAX:
                break
    if pending:
        document = b"\n".join(line.data for line in pending)
        yield _row_of_text(document, terms, f"{path}:{pending[0].number}", pending_bytes > DOCUMENT_BYTES_MAX)


def _begins_record(line: InputLine, pending: list[InputLine]) -> bool:
    return len(pending) == 1 and line.data.lstrip().startswith(b"{")


def _decoded(raw: bytes) -> Record | None:
    try:
        value = msgspec.json.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def _row_of_text(raw: bytes, terms: Terms, place: str, too_long: bool) -> Row:
    if too_long:
        return Rejected(place, f"expected a record of at most {DOCUMENT_BYTES_MAX} bytes", raw)
    record = _decoded(raw)
    if record is None:
        return Rejected(place, "expected a JSON object of mod_json_cdr, found no JSON object", raw)
    try:
        return _row_of_record(record, terms, place)
    except RowError as error:
        return Rejected(place, str(error), raw)


def _row_of_record(record: Record, terms: Terms, place: str) -> Row:
    variables = record.get("variables")
    if not isinstance(variables, dict):
        raise RowError("variables: expected the object of mod_json_cdr, found none")
    if _text(variables, "originator") or _text(variables, "originating_leg_uuid"):
        return Skipped(place, "other_leg")
    uuid = _text(variables, "uuid")
    if not uuid:
        raise RowError("variables.uuid: expected the identity of the call, found none")
    source = terms.source or _text(record, "switchname") or _text(variables, "FreeSWITCH-Switchname")
    if not source:
        raise RowError("switchname: expected the name of the switch, found none; give it with --source")
    field = terms.client_field or "accountcode"
    client = _text(variables, field)
    if not client:
        raise RowError(f"variables.{field}: expected the client, found none; --client-field names another variable")
    answered_at = _instant(variables, "answer")
    ended_at = _instant(variables, "end")
    if ended_at is None:
        raise RowError("variables.end_uepoch: expected the end of the call, found none")
    amount = _text(variables, terms.amount_field) if terms.amount_field else ""
    billsec = _text(variables, "billsec")
    if billsec:
        seconds = whole_number(billsec, "variables.billsec")
    else:
        seconds = 0 if answered_at is None else max(0, ended_at - answered_at) // 1_000_000
    call = Call(
        source=source,
        id=uuid,
        client=client,
        ended_at=ended_at,
        answered_at=answered_at,
        quantity=seconds,
        destination=_destination(record, variables, terms),
        amount=amount_of(amount) if amount else None,
    )
    return row_of(call, terms, place)


def _text(table: Record, name: str) -> str:
    value = table.get(name)
    if isinstance(value, bool) or not isinstance(value, (str, int)):
        return ""
    return unquote(str(value))


def _instant(variables: Record, name: str) -> int | None:
    """Microseconds of ``{name}_uepoch``, or of ``{name}_epoch`` in seconds; 0 and absent are none."""
    for field, scale in ((f"{name}_uepoch", 1), (f"{name}_epoch", 1_000_000)):
        text = _text(variables, field)
        if text and text != "0":
            return whole_number(text, f"variables.{field}") * scale
    return None


def _destination(record: Record, variables: Record, terms: Terms) -> str:
    if terms.destination_field:
        return _text(variables, terms.destination_field)
    number = _text(variables, "destination_number")
    callflow = record.get("callflow")
    if number or not isinstance(callflow, list) or not callflow:
        return number
    first = callflow[-1]  # the latest profile comes first; the last one is what the caller dialled
    profile = first.get("caller_profile") if isinstance(first, dict) else None
    return _text(cast(Record, profile), "destination_number") if isinstance(profile, dict) else ""
