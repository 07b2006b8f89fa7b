"""The group of commands, and the one place where an exception becomes a sentence and an exit code.

0: done. 1: failed. 2: wrong use. A user's mistake never shows a traceback; a defect of ours is one sentence too, with
the way to see more.
"""

import errno
import importlib
import os
import sys
import traceback
from collections.abc import Mapping, Sequence
from typing import Any, Final

import click

COMMANDS: Final[Mapping[str, str]] = {
    "run": "engine.cli.run:run",
    "publish": "engine.cli.publish:publish",
    "import": "engine.cli.importing:import_records",
    "balance": "engine.cli.balance:balance",
    "history": "engine.cli.history:history",
    "why": "engine.cli.why:why",
    "replay": "engine.cli.replay:replay",
    "what-if": "engine.cli.what_if:what_if",
    "check": "engine.cli.check:check",
    "mailer": "engine.cli.mailer:mailer",
    "sms": "engine.cli.sms:sms",
    "topics": "engine.cli.topics:topics",
    "move": "engine.cli.move:move",
    "worker": "engine.cli.worker:worker",
    "control": "engine.cli.control:control",
}
"""Each command by where it is; a module is imported only when its command or the list of all is asked for."""

_HINTS: Final = {
    errno.ENOSPC: "the disk is full: free some space; nothing that was answered is lost",
    errno.EROFS: "the file system is read-only",
    errno.EADDRINUSE: "the port is in use: stop the other process, or choose another with --port",
}


class Commands(click.Group):
    """Finds commands where ``COMMANDS`` says, and turns what they raise into sentences."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        place = COMMANDS.get(cmd_name)
        if place is None:
            return None
        module, _, name = place.partition(":")
        command = getattr(importlib.import_module(module), name)
        assert isinstance(command, click.Command)
        return command

    def invoke(self, ctx: click.Context) -> Any:
        """Runs a command; a reader that has enough (`| head`) ends it without a word."""
        try:
            return super().invoke(ctx)
        except BrokenPipeError:  # caught here, because click would make it a failure
            _silence_stdout()
            return 0

    def main(  # type: ignore[override]  # click overloads it by the value of standalone_mode, which is always ours
        self, args: Sequence[str] | None = None, prog_name: str | None = None, **extra: Any
    ) -> Any:
        """Runs a command line and raises SystemExit with its code."""
        given = list(sys.argv[1:] if args is None else args)
        extra["standalone_mode"] = False
        try:
            code = super().main(given, prog_name, **extra)
        except click.ClickException as error:
            error.show()
            code = error.exit_code
        except (click.Abort, KeyboardInterrupt):
            _tell("interrupted")
            code = 1
        except Exception as error:
            code = _failed(error, "--debug" in given)
        sys.exit(code if isinstance(code, int) else 0)


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="plimsoll", prog_name="plimsoll")
@click.option("--debug", is_flag=True, help="Show the traceback of an unexpected failure.")
def commands(debug: bool) -> None:
    """A real-time balance engine: charges in; balances, capacity and notifications out.

    \b
    plimsoll run --demo              the whole product with sample traffic
    plimsoll publish events.ndjson   send events to it
    plimsoll balance c-42            what a client has
    """


def _failed(error: Exception, debug: bool) -> int:
    if debug:
        traceback.print_exception(error)
    if hasattr(error, "retriable"):  # the mark of a failure in operation, ours and the ports'
        _tell(str(error))
        code = getattr(error, "exit_code", 1)
        return code if isinstance(code, int) else 1
    if isinstance(error, OSError) and error.strerror:
        where = "" if error.filename is None else f"{error.filename}: "
        _tell(f"{where}{_HINTS.get(error.errno or 0, error.strerror)}")
        return 1
    _tell(f"an unexpected failure: {type(error).__name__}: {error}")
    if not debug:
        _tell("run it again as `plimsoll --debug ...` for the traceback, and report it")
    return 1


def _tell(sentence: str) -> None:
    for line in sentence.splitlines() or [""]:
        click.echo(f"plimsoll: {line}", err=True)


def _silence_stdout() -> None:
    """Python flushes stdout at its end; a closed pipe would then be told about once more."""
    try:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except (OSError, ValueError):
        return
