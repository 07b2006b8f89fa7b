"""The golden files: the same bytes in every process, today as when they were written."""

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import get_args

import msgspec
import pytest

from schemas.codec import decode
from schemas.events import EVENT_TYPES
from schemas.outputs import Kind
from schemas.readers import tag_of
from schemas.reasons import Reason
from tests.golden.__main__ import FOLDER, LOGS
from tests.golden.records import RECORDS

ROOT = FOLDER.parents[1]
NAMES = sorted(
    [path.relative_to(FOLDER).as_posix() for path in FOLDER.glob("outputs/*")]
    + ["digests.txt", "identities.txt", "records.txt"]
)


@pytest.fixture(scope="module", params=["1", "2"])
def written(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files as another process writes them, with hashes of strings of its own."""
    folder = tmp_path_factory.mktemp("golden")
    subprocess.run(
        [sys.executable, "-m", "tests.golden", str(folder)],
        cwd=ROOT,
        env={**os.environ, "PYTHONHASHSEED": request.param},
        check=True,
    )
    return folder


@pytest.mark.parametrize("name", NAMES)
def test_bytes_are_the_golden_ones(written: Path, name: str) -> None:
    assert (written / name).read_bytes().decode() == (FOLDER / name).read_bytes().decode()


def test_no_file_is_left_out(written: Path) -> None:
    assert sorted(path.relative_to(written).as_posix() for path in written.rglob("*.*")) == NAMES


def test_digests_are_those_of_the_files() -> None:
    lines = (FOLDER / "digests.txt").read_text(encoding="ascii").splitlines()
    for digest, name in (line.split("  ") for line in lines):
        assert hashlib.sha256((FOLDER / name).read_bytes()).hexdigest() == digest, name


def _outputs() -> list[dict[str, object]]:
    return [json.loads(line) for log in LOGS for line in (FOLDER / "outputs" / log.name).read_bytes().splitlines()]


def test_logs_hold_every_type_of_event() -> None:
    events = [decode(line, engine=True) for log in LOGS for line in log.read_bytes().splitlines()]
    assert {type(event) for event in events} >= set(EVENT_TYPES)


def test_outputs_hold_every_kind() -> None:
    outputs = _outputs()
    kinds = {"change", "notification", "credit_history", "usage_rejected", "units_expired", "rejection"}
    assert {output["output"] for output in outputs} == kinds
    notified = {output["kind"] for output in outputs if output["output"] == "notification"}
    assert notified == set(get_args(Kind))
    expired = {output["reason"] for output in outputs if output["output"] == "units_expired"}
    assert expired == {"expired", "renewal", "cancelled", "refund_lost"}


def test_rejections_hold_every_reason() -> None:
    reasons = {output["reason"] for output in _outputs() if output["output"] == "rejection"}
    assert reasons == {reason.value for reason in Reason}


def test_identities_are_those_of_every_type_but_the_tick() -> None:
    lines = (FOLDER / "identities.txt").read_text(encoding="ascii").splitlines()
    named = {line.partition(":")[0].removesuffix(", at the receiver") for line in lines}
    assert named == {tag_of(cls) for cls in EVENT_TYPES} - {"tick"}


def _golden_records() -> dict[str, bytes]:
    lines = (FOLDER / "records.txt").read_text(encoding="ascii").splitlines()
    return {name: bytes.fromhex(digits) for name, digits in (line.split(": ") for line in lines)}


@pytest.mark.parametrize("name", RECORDS)
def test_golden_record_reads_back(name: str) -> None:
    assert msgspec.msgpack.decode(_golden_records()[name], type=type(RECORDS[name])) == RECORDS[name]


@pytest.mark.parametrize("name", [name for name in RECORDS if name.endswith(", whole")])
def test_record_of_an_earlier_version_reads_with_defaults(name: str) -> None:
    """Fields are only appended: an array that ends early is a record written before its last fields were added."""
    cls = type(RECORDS[name])
    array = msgspec.msgpack.decode(_golden_records()[name])
    fields = msgspec.structs.fields(cls)
    required = sum(field.required for field in fields)
    for length in range(required, len(array)):
        read = msgspec.msgpack.decode(msgspec.msgpack.encode(array[:length]), type=cls)
        for field in fields[length:]:
            default = field.default_factory() if field.default is msgspec.NODEFAULT else field.default
            assert getattr(read, field.name) == default


@pytest.mark.parametrize("name", [name for name in RECORDS if name.endswith(", whole")])
def test_record_of_a_later_version_still_reads(name: str) -> None:
    """A roll-back meets records with fields that it does not know: they are ignored."""
    array = msgspec.msgpack.decode(_golden_records()[name])
    read = msgspec.msgpack.decode(msgspec.msgpack.encode([*array, "later"]), type=type(RECORDS[name]))
    assert read == RECORDS[name]
