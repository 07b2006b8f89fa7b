"""What stops ``plimsoll run`` from starting or going on: one sentence that says what to do, exit code 1."""

import os
import random
import shutil
import socket
import subprocess
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from tests.integration.processes import Product, command
from tests.unit.embedded.engines import client, event

ROOT_BOUND_BY_MODES = ("setpriv", "--bounding-set", "-dac_override,-dac_read_search")
NDJSON = {"content-type": "application/x-ndjson"}
LOAD_REQUESTS_MAX = 2_000


def _check_sentence(code: int, errors: list[str], *words: str) -> None:
    assert code == 1, errors
    assert len(errors) == 1, errors
    assert errors[0].startswith("plimsoll: ")
    assert not [word for word in words if word not in errors[0]], errors


def _refused(data: Path, *arguments: str, before: Sequence[str] = ()) -> tuple[int, list[str]]:
    code, _, errors = command("run", "--data", str(data), "--port", "0", *arguments, before=before)
    return code, errors.splitlines()


def _filled(data: Path) -> None:
    """A folder that a product has worked with and that holds files of every kind."""
    with Product(data).started() as product:
        events = [client("c-1"), *(event("charge", f"{n}", client="c-1", amount="0.1") for n in range(500))]
        product.post(b"\n".join(events))
        assert product.stop() == 0


def test_a_second_process_on_the_same_folder(tmp_path: Path) -> None:
    with Product(tmp_path / "data").started():
        code, errors = _refused(tmp_path / "data")
        _check_sentence(code, errors, str(tmp_path / "data"), "in use by another process", "stop it", "--data")


def test_a_port_in_use(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        code, _, errors = command("run", "--data", str(tmp_path / "data"), "--port", port)
        _check_sentence(code, errors.splitlines(), f"port {port} on 127.0.0.1", "in use", "choose another port")
    assert not (tmp_path / "data").exists(), "nothing was begun"


def test_a_folder_that_was_made_with_another_partition_count(tmp_path: Path) -> None:
    _filled(tmp_path / "data")
    code, errors = _refused(tmp_path / "data", "--partitions", "3")
    _check_sentence(code, errors, "made with 12 partitions", "found 3", "set it back")


@pytest.mark.parametrize("there", [False, True])
def test_a_folder_that_cannot_be_written(tmp_path: Path, there: bool) -> None:
    data = tmp_path / "data"
    if there:
        _filled(data)
    for path in (tmp_path, *tmp_path.rglob("*")):
        path.chmod(0o555 if path.is_dir() else 0o444)
    code, errors = _refused(data, before=ROOT_BOUND_BY_MODES if os.getuid() == 0 else ())
    tmp_path.chmod(0o755)
    _check_sentence(code, errors, str(data), "cannot be written", "--data")


def test_a_file_where_the_folder_should_be(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("mine")
    code, errors = _refused(tmp_path / "data")
    _check_sentence(code, errors, str(tmp_path / "data"), "--data")
    assert (tmp_path / "data").read_text() == "mine"


def _damage(path: Path) -> None:
    """Turns bytes in the middle around: what a failing disk does."""
    content = bytearray(path.read_bytes())
    middle = len(content) // 2
    for at in range(max(0, middle - 32), min(len(content), middle + 32)):
        content[at] ^= 0xFF
    path.write_bytes(content)


def _tables(data: Path) -> list[Path]:
    found = sorted(data.glob("*.sst"))
    assert found
    return found


def _manifest(data: Path) -> Path:
    (found,) = data.glob("MANIFEST-*")
    return found


def _damage_tables(data: Path) -> None:
    for path in _tables(data):
        _damage(path)


def _cut_a_table(data: Path) -> None:
    os.truncate(_tables(data)[0], 100)


def _lose_a_table(data: Path) -> None:
    _tables(data)[0].unlink()


def _point_nowhere(data: Path) -> None:
    (data / "CURRENT").write_text("MANIFEST-999999\n")


def _empty_current(data: Path) -> None:
    (data / "CURRENT").write_bytes(b"")


DAMAGES: dict[str, Callable[[Path], None]] = {
    "CURRENT names no file": _point_nowhere,
    "CURRENT is empty": _empty_current,
    "MANIFEST is damaged": lambda data: _damage(_manifest(data)),
    "MANIFEST is gone": lambda data: _manifest(data).unlink(),
    "SST is damaged": _damage_tables,
    "SST is cut short": _cut_a_table,
    "SST is gone": _lose_a_table,
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_store_that_is_damaged(tmp_path: Path, damage: str) -> None:
    _filled(tmp_path / "data")
    DAMAGES[damage](tmp_path / "data")
    code, errors = _refused(tmp_path / "data")
    _check_sentence(code, errors, str(tmp_path / "data"), "damaged", "backup")


@contextmanager
def _small_disk(folder: Path) -> Iterator[Path]:
    """A file system of 24 MB where this user may make one, else the folder itself."""
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=24m", "tmpfs", folder], capture_output=True, check=False
    )
    try:
        yield folder
    finally:
        if mounted.returncode == 0:
            subprocess.run(["umount", "--lazy", folder], check=True)


@pytest.mark.slow
def test_a_disk_that_is_full(tmp_path: Path) -> None:
    with _small_disk(tmp_path / "disk") as disk, Product(disk / "data").started() as product:
        if not os.path.ismount(disk):
            _limit_files(product.popen.pid)
        answered = _send_until_refused(product)
        assert product.ended() == 1
        _check_sentence(1, product.errors, "full", "free some space")
        assert answered > 0
        if os.path.ismount(disk):
            _check_sentence(*_refused(disk / "data"), "full", "free some space")
            shutil.move(disk / "data", tmp_path / "data")
    if (tmp_path / "data").exists():
        with Product(tmp_path / "data").started() as moved:
            view = moved.get("/v1/clients/c-1").json()
            assert view["version"] >= 1 + answered, "what was answered is there"


def _limit_files(process: int) -> None:
    """No file of the process may grow past 4 MB: as near as an ordinary user comes to a full disk."""
    import resource

    resource.prlimit(process, resource.RLIMIT_FSIZE, (4 * 1024 * 1024, 4 * 1024 * 1024))


def _send_until_refused(product: Product) -> int:
    """Sends charges until one is not taken; how many were."""
    chance = random.Random(1)  # the log is packed: what is alike would not fill a disk
    with httpx.Client(base_url=product.url, timeout=120) as sender:
        sender.post("/v1/events", content=client("c-1"), headers={"content-type": "application/json"})
        for number in range(LOAD_REQUESTS_MAX):
            body = b"\n".join(
                event("charge", f"{number}-{n}-{chance.randbytes(50).hex()}", client="c-1", amount="0.1")
                for n in range(100)
            )
            try:
                answer = sender.post("/v1/events", content=body, headers=NDJSON)
            except httpx.TransportError:
                return 100 * number
            if answer.status_code != 200:
                assert answer.status_code == 503, answer.text
                assert "full" in answer.json()["detail"]
                return 100 * number
    raise AssertionError("the disk was never full")
