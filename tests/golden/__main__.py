"""Writes every golden file into a folder: ``python -m tests.golden tests/golden`` updates them (README.md)."""

import hashlib
import sys
from pathlib import Path

import msgspec

from engine.core.identity import content_of, identity_of, leg_identity_of
from engine.replay import replay
from schemas.codec import decode
from schemas.events import Tick, TransferLeg
from schemas.reasons import Refusal
from tests.golden.records import RECORDS

FOLDER = Path(__file__).parent
LOGS = sorted((FOLDER / "logs").glob("*.ndjson"))


def outputs_of(log: Path) -> tuple[bytes, bytes]:
    """Every output of a log, and the last change of each client: the bytes that ``plimsoll replay`` prints."""
    lines = log.read_bytes().splitlines(keepends=True)
    whole, final = (b"".join(line + b"\n" for line in replay(lines, final=only)) for only in (False, True))
    return whole, final


def identities() -> str:
    """Identity and content of each event of ``events.ndjson``: both are kept for the dedupe window."""
    told = []
    for raw in (FOLDER / "events.ndjson").read_bytes().splitlines():
        event = decode(raw, engine=True)
        assert not isinstance(event, Refusal), raw
        if isinstance(event, Tick):
            continue
        client = getattr(event, "client", "")  # configuration has none
        tag = event.__struct_config__.tag
        told.append(f"{tag}: {identity_of(client, event.source, event.id).hex()} {content_of(event):016x}")
        if isinstance(event, TransferLeg):
            identity = leg_identity_of(event.to, event.from_, event.source, event.id, event.requested_at)
            told.append(f"{tag}, at the receiver: {identity.hex()}")
    return "\n".join(told) + "\n"


def records() -> str:
    """The msgpack bytes of each state record."""
    return "".join(f"{name}: {msgspec.msgpack.encode(record).hex()}\n" for name, record in RECORDS.items())


def files() -> dict[str, bytes]:
    """Every golden file by its name."""
    made: dict[str, bytes] = {}
    for log in LOGS:
        made[f"outputs/{log.stem}.ndjson"], made[f"outputs/{log.stem}.final.ndjson"] = outputs_of(log)
    made["identities.txt"] = identities().encode()
    made["records.txt"] = records().encode()
    digests = {name: hashlib.sha256(content).hexdigest() for name, content in sorted(made.items())}
    made["digests.txt"] = "".join(f"{digest}  {name}\n" for name, digest in digests.items()).encode()
    return made


def main(folder: Path) -> None:
    """Writes the files into the folder."""
    (folder / "outputs").mkdir(parents=True, exist_ok=True)
    for name, content in files().items():
        (folder / name).write_bytes(content)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
