"""Call records of real switches, imported twice into a running product: the second time changes nothing."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.crash.audit import audit_folder
from tests.integration.processes import Product, command
from tests.unit.importers.samples import sample

PARTITIONS = 12
IMPORTS = {
    "asterisk": ["import", "asterisk", sample("Master.csv"), "--time-zone", "Europe/Kyiv"],
    "freeswitch": ["import", "freeswitch", sample("freeswitch"), sample("freeswitch.ndjson")],
}
CLIENTS = sorted({json.loads(line)["client"] for line in Path(sample("clients.ndjson")).read_text().splitlines()})


@pytest.fixture
def product(tmp_path: Path) -> Iterator[Product]:
    """A product that knows the clients of the samples."""
    with Product(tmp_path / "data").started() as product:
        code, _, errors = command("publish", sample("clients.ndjson"), "--url", product.url)
        assert code == 0, errors
        yield product


def _imported(product: Product, form: str) -> dict[str, object]:
    arguments = [*IMPORTS[form], "--rates", sample("rates.csv"), "--url", product.url, "--json"]
    _, out, errors = command(*arguments)  # its code is 1: the samples hold records that nothing can be made of
    assert "Traceback" not in errors
    found: dict[str, object] = json.loads(out)
    return found


def _views(product: Product) -> list[dict[str, object]]:
    """What each client has, without "at": the clock of its partition, which a duplicate moves too."""
    views: list[dict[str, object]] = [product.get(f"/v1/clients/{client}").json() for client in CLIENTS]
    return [{name: value for name, value in view.items() if name != "at"} for view in views]


@pytest.mark.parametrize("form", IMPORTS)
def test_a_second_import_changes_nothing(product: Product, form: str, tmp_path: Path) -> None:
    before = _views(product)
    first = _imported(product, form)
    views = _views(product)
    assert first["accepted"] == first["sent"] != 0
    assert views != before
    second = _imported(product, form)
    assert second == {**first, "accepted": 0, "duplicate": first["sent"]}
    assert _views(product) == views
    assert product.stop() == 0
    found = audit_folder(tmp_path / "data", PARTITIONS)
    found.check()
    assert set(found.accepted.values()) <= {1, PARTITIONS}


def test_a_second_publish_changes_nothing(product: Product) -> None:
    views = _views(product)
    code, out, _ = command("publish", sample("clients.ndjson"), "--url", product.url, "--json")
    assert code == 0
    assert json.loads(out)["accepted"] == 0
    assert _views(product) == views
