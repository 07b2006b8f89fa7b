"""The venv of the peers that are not in the project's own: made once from their lock, in the user's cache folder."""

import hashlib
import os
import subprocess
import sys
from pathlib import Path
from typing import Final

LOCK: Final = Path(__file__).with_name("requirements.lock")


class PeerMissing(Exception):  # noqa: N818  # it names a state
    """A peer could not be installed; the sentence says why, and belongs into the report."""


def interpreter() -> str:
    """The python of a venv that holds exactly what the lock names. Raises PeerMissing."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "plimsoll"
    named = hashlib.sha256(LOCK.read_bytes() + sys.version.encode()).hexdigest()[:12]
    folder = cache / f"peers-{named}"
    python = folder / "bin" / "python"
    done = folder / ".installed"
    if not done.exists():
        pip = [str(python), "-m", "pip", "install"]
        for command in (
            [sys.executable, "-m", "venv", "--clear", str(folder)],
            [*pip, "--quiet", "--require-hashes", "--only-binary", ":all:", "--requirement", str(LOCK)],
        ):
            made = subprocess.run(command, capture_output=True, text=True, check=False)
            if made.returncode != 0:
                last = (made.stderr.strip().splitlines() or ["nothing was said"])[-1]
                raise PeerMissing(f"Quix Streams could not be installed from {LOCK.name}: {last}")
        done.touch()
    return str(python)


def quix_version(python: str) -> str:
    """What is installed there."""
    code = "import importlib.metadata as m; print(m.version('quixstreams'))"
    return subprocess.run([python, "-c", code], capture_output=True, text=True, check=True).stdout.strip()
