"""Folds a long history line by line, audits every output, and counts what the auditor then has to confirm."""

import hashlib
import json
import resource
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

import msgspec

from engine.core.fold import Record
from engine.core.state import State
from engine.replay import fold_whole
from schemas.codec import decode_line
from schemas.money import format_money
from schemas.outputs import Change, Notification, Rejection, encode_output
from tests.properties.auditor import Auditor, micros
from tests.properties.drafts import Json

_DIGEST_BYTES = 16


class LongReport(msgspec.Struct):
    """Totals of a history. Money by currency, units over all plans; ``digest`` is of every output line, in order."""

    events: int
    types: dict[str, int]
    answers: dict[str, int]
    refused: dict[str, int]
    outputs: dict[str, int]
    notifications: dict[str, int]
    money_in: str
    money_out: str
    live: dict[str, str]
    units: dict[str, int]
    until: str
    digest: str
    resident_mib: int


class LongRun:
    """Takes lines; ``report`` closes the books. Every finding is an AssertionError."""

    def __init__(self) -> None:
        self._state = State()
        self._auditor = Auditor()
        self._digest = hashlib.blake2b(digest_size=_DIGEST_BYTES)
        self._types: Counter[str] = Counter()
        self._answers: Counter[str] = Counter()
        self._refused: Counter[str] = Counter()
        self._outputs: Counter[str] = Counter()
        self._notifications: Counter[str] = Counter()
        self._live: dict[str, tuple[str, int]] = {}
        self._versions: dict[str, int] = {}
        self._until = ""
        self.events = 0

    def take(self, line: bytes) -> None:
        """Folds the next line, with the legs of a transfer at once, and audits what comes out."""
        decoded = decode_line(line)
        out = fold_whole(self._state, Record(decoded.at, decoded.event, line))
        event = _object_of(line)
        self.events += 1
        self._types[str(event.get("type")) if event is not None else "no JSON object"] += 1
        answer = out.answers[0]
        self._answers[getattr(answer, "name", "refused")] += 1
        outputs: list[Json] = []
        for output in out.outputs:
            encoded = encode_output(output)
            self._digest.update(encoded + b"\n")
            plain = json.loads(encoded)
            outputs.append(plain)
            self._outputs[str(plain["output"])] += 1
            match output:
                case Change():
                    self._live[output.client] = output.currency, micros(output.live)
                    self._versions[output.client] = output.version
                    self._until = output.at
                case Notification():
                    self._notifications[output.kind] += 1
                case Rejection():
                    self._refused[output.reason] += 1
                case _:
                    pass
        self._auditor.look(event, outputs)

    def report(self) -> LongReport:
        """Confirms the totals against the auditor's books, and gives them."""
        auditor = self._auditor
        auditor.close()
        assert {name: books.live for name, books in auditor.books.items()} == {
            name: live for name, (_, live) in self._live.items()
        }
        assert self._outputs["change"] == sum(self._versions.values()), "a version is missing, or there twice"
        sums: Counter[str] = Counter()
        for currency, live in self._live.values():
            sums[currency] += live
        assert sum(sums.values()) == auditor.paid_in - auditor.paid_out
        return LongReport(
            events=self.events,
            types=_sorted(self._types),
            answers=_sorted(self._answers),
            refused=_sorted(self._refused),
            outputs=_sorted(self._outputs),
            notifications=_sorted(self._notifications),
            money_in=format_money(auditor.paid_in),
            money_out=format_money(auditor.paid_out),
            live={currency: format_money(live) for currency, live in sorted(sums.items())},
            units=_sorted(auditor.units),
            until=self._until,
            digest=self._digest.hexdigest(),
            resident_mib=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
        )


def digest_of(lines: Iterable[bytes]) -> str:
    """Of output lines, each with its line feed."""
    digest = hashlib.blake2b(digest_size=_DIGEST_BYTES)
    for line in lines:
        digest.update(line)
    return digest.hexdigest()


def lines_of(path: Path) -> Iterator[bytes]:
    """The lines of a file, without their ends."""
    with path.open("rb") as stream:
        for line in stream:
            yield line.rstrip(b"\n")


def _object_of(line: bytes) -> Json | None:
    try:
        event = json.loads(line)
    except ValueError:
        return None
    return event if isinstance(event, dict) else None


def _sorted(counts: Counter[str]) -> dict[str, int]:
    return dict(sorted(counts.items()))
