"""Settings and the pages that explain them: every one is there, with the default that it has."""

import json
import re
from typing import Final

import msgspec
import pytest

from engine.config import KafkaOptions, WorkerOptions
from tests.docs.fences import ROOT, broken_links, fences

PAGE: Final = ROOT / "deploy" / "kafka" / "README.md"
OF_WORKERS: Final = PAGE.read_text(encoding="utf-8").split("`[worker]`")[1].split("\n## ")[0]
ROWS: Final = dict(re.findall(r"^\| `([a-z_]+)` \| (.+?) \|", OF_WORKERS, re.MULTILINE))


@pytest.mark.parametrize("field", msgspec.structs.fields(WorkerOptions), ids=lambda field: field.name)
def test_a_setting_of_a_worker_has_its_row(field: msgspec.structs.FieldInfo) -> None:
    default = "none" if field.default is None else f"`{json.dumps(field.default)}`"
    assert ROWS[field.name] == default


def test_no_row_is_of_a_setting_that_there_is_not() -> None:
    assert [*ROWS] == [*WorkerOptions.__struct_fields__]


def test_every_setting_of_a_cluster_is_named() -> None:
    (block,) = [fence.text for fence in fences(PAGE) if fence.info == "toml"]
    named = re.findall(r"^([a-z_]+) = ", block, re.MULTILINE)
    assert {*KafkaOptions.__struct_fields__} - {*named} == {"key_password"}  # in the words beside key_file
    assert "key_password" in block


def test_links_lead_somewhere() -> None:
    assert broken_links(PAGE) == []
