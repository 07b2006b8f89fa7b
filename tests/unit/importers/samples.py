"""The sample files, and how rows are shown in expectations."""

import json
from collections.abc import Iterable
from pathlib import Path

from engine.importers.rows import Imported, Rejected, Row, Skipped

CDR = Path(__file__).resolve().parents[2] / "data" / "cdr"


def sample(name: str) -> str:
    return str(CDR / name)


def outline(rows: Iterable[Row]) -> list[tuple[str, ...]]:
    """Each row by its line: its identity, client, amount, usage type and seconds; or why there is none."""
    return [_outline(row) for row in rows]


def _outline(row: Row) -> tuple[str, ...]:
    line = row.place.rpartition(":")[2]
    match row:
        case Imported():
            event = json.loads(row.event)
            usage = event["usage"]
            return (line, event["id"], event["client"], event["amount"], usage["type"], str(usage["quantity"]))
        case Skipped():
            return (line, "skipped", row.reason)
        case Rejected():
            return (line, "rejected", row.message)
