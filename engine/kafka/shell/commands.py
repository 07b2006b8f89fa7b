"""Commands to workers, by the control topic: each record goes to whoever has the partition of the same number.

They are for the moment: one that is older than some minutes is not acted on, and a pause ends when the partition goes
to another worker. Each may be taken twice.
"""

import logging
from collections.abc import Callable
from typing import Final, Literal

import msgspec

from engine.kafka.shell.holdings import Holdings
from engine.kafka.task import PartitionTask, wall_clock
from engine.store.ports import StoreError

LEVELS: Final = ("debug", "info", "warning", "error")
AGE_SECONDS_MAX: Final = 300

Name = Literal["pause", "resume", "checkpoint", "log-level"]


class Command(msgspec.Struct, frozen=True, omit_defaults=True):
    """``level``: of log-level, for the whole process of the worker."""

    command: Name
    level: Literal["debug", "info", "warning", "error"] | None = None


_decode = msgspec.json.Decoder(Command).decode


def encode_command(command: Command) -> bytes:
    """The value of a record of the control topic."""
    return msgspec.json.encode(command)


class Commands:
    """Does what a worker is told. ``failed`` hears of a store that could not be written."""

    def __init__(
        self,
        holdings: Holdings,
        tell: Callable[[str], None],
        failed: Callable[[Exception], None],
        counted: Callable[[str], None],
        clock: Callable[[], int] = wall_clock,
    ) -> None:
        self._holdings = holdings
        self._tell = tell
        self._failed = failed
        self._counted = counted
        self._clock = clock

    def take(self, number: int, value: bytes, at_ms: int) -> None:
        """One record of the control topic: partition, value, milliseconds."""
        try:
            command = _decode(value)
        except (msgspec.MsgspecError, UnicodeDecodeError):
            self._counted("unknown")
            self._tell(f"partition {number}: a command that this version does not know; nothing was done")
            return
        if self._clock() // 1000 - at_ms > AGE_SECONDS_MAX * 1000:
            self._counted("too_old")
            return
        self._counted(command.command)
        self._tell(f"partition {number}: {self._done(number, command)}")

    def _done(self, number: int, command: Command) -> str:
        match command.command:
            case "pause" | "resume":
                self._holdings.pause(number, paused=command.command == "pause")
                return "paused" if command.command == "pause" else "goes on"
            case "checkpoint":
                return self._checkpoint(number)
            case "log-level":
                level = command.level or "warning"
                logging.getLogger().setLevel(level.upper())
                return f"logs from level {level} on"

    def _checkpoint(self, number: int) -> str:
        holding = self._holdings.find(number)
        work = None if holding is None else holding.work
        try:
            synced = isinstance(work, PartitionTask) and work.checkpoint()
        except StoreError as error:
            self._failed(error)
            return f"no checkpoint: {error}"
        return "its store is on the disk" if synced else "no checkpoint: it has no store open now"
