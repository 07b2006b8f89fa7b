"""Fenced blocks of a Markdown document, in order, each with what stands after the opening fence."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[2]

_FENCE = re.compile(r"^```(?P<info>[^\n`]*)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"\]\(([^)\s]+)\)")


class Fence(NamedTuple):
    """One block: ``ndjson in``, ``scenario``, ``sh``, …; its text with the last line feed; the line it starts on."""

    info: str
    text: str
    line: int


def fences(path: Path) -> Sequence[Fence]:
    """Every fenced block of a document."""
    document = path.read_text(encoding="utf-8")
    return [
        Fence(found["info"].strip(), found["text"], document.count("\n", 0, found.start()) + 1)
        for found in _FENCE.finditer(document)
    ]


def prose(path: Path) -> str:
    """The document without its fenced blocks."""
    return _FENCE.sub("", path.read_text(encoding="utf-8"))


def anchors(path: Path) -> set[str]:
    """What GitHub makes of a document's headings."""
    headings = re.findall(r"^#+ (.+)$", prose(path), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def broken_links(path: Path) -> list[str]:
    """Links of a document to a file or a heading of this repository that is not there."""
    broken: list[str] = []
    for target in _LINK.findall(prose(path)):
        if "://" in target or target.startswith("mailto:"):
            continue
        name, _, anchor = target.partition("#")
        file = (path.parent / name).resolve() if name else path
        if not file.exists() or (anchor and file.suffix == ".md" and anchor not in anchors(file)):
            broken.append(target)
    return broken
