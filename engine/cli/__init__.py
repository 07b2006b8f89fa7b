"""The command line: one command, ``plimsoll``, with a subcommand a module."""

from engine.cli.entry import commands


def main() -> None:
    """Runs the command line of this process and ends the process with its exit code."""
    commands.main(prog_name="plimsoll")


__all__ = ["commands", "main"]
