"""The local stores of workers that do not run: where they stand, and what they hold."""

import asyncio
import shutil
from pathlib import Path
from typing import Final

import msgspec

from engine.kafka.task import PartitionTask, TaskOptions
from engine.partition import keys
from engine.store.ports import LOG, STATE
from engine.store.rocks import RocksStore

_SECONDS_MAX: Final = 120.0
_LONG_AGO: Final = 1
"""A clock that makes no timer due: a task that only restores asks for no tick."""

Held = dict[tuple[str, bytes], bytes]


def folder_of(data: Path, prefix: str, number: int) -> Path:
    """Where a worker keeps a partition."""
    return data / f"{prefix}partition-{number}"


def meta_of(data: Path, prefix: str, number: int) -> bytes | None:
    """Meta in the store of a worker that was killed; None: there is none. It is looked at in a copy, since opening it
    would do the recovery that is under test."""
    folder = folder_of(data, prefix, number)
    if not (folder / "CURRENT").exists():
        return None
    copy = data.with_name(f"{data.name}.copy-{number}")
    shutil.copytree(folder, copy)
    try:
        store = RocksStore(copy)
        try:
            return store.get(STATE, keys.prefix(number, keys.META))
        finally:
            store.close()
    finally:
        shutil.rmtree(copy)


def held(data: Path, prefix: str, number: int) -> Held:
    """All that a store holds, by family and key, but for what is a store's own: how far it is in the changelog."""
    store = RocksStore(folder_of(data, prefix, number))
    own = keys.prefix(number, keys.STANDING)
    try:
        return {
            (family, key): value
            for family in store.families()
            if family != LOG
            for key, value in store.scan(family, b"", b"\xff" * 64)
            if family != STATE or key != own
        }
    finally:
        store.close()


async def restore(options: TaskOptions, number: int) -> None:
    """A partition from its changelog into an empty folder, by the engine's own task, which then works on nothing."""
    stop = asyncio.Event()

    def tell(sentence: str) -> None:
        if "works from" in sentence:
            stop.set()  # at once: a record that is left in the log is not to be worked on

    task = PartitionTask(options, number, tell, clock=lambda: _LONG_AGO)
    await asyncio.wait_for(task.run(stop), _SECONDS_MAX)


def first_difference(running: Held, restored: Held) -> str:
    """What a failure shows of two stores that should hold the same."""
    for name in sorted(running.keys() | restored.keys()):
        if running.get(name) != restored.get(name):
            return f"{name}: running {_shown(running.get(name))}, restored {_shown(restored.get(name))}"
    return "none"


def _shown(value: bytes | None) -> object:
    if not value:
        return value
    try:
        return msgspec.msgpack.decode(value)
    except (msgspec.DecodeError, UnicodeDecodeError):  # not every value is msgpack: an identity's bits may look like it
        return value
