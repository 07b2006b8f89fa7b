"""Whether a command line is one that the command takes: parsed as it would be, and not run."""

from collections.abc import Sequence

import click

from engine.cli.entry import commands


def parse(arguments: Sequence[str]) -> click.Context:
    """The context of the innermost command. Raises click.UsageError, or WrongUse, where the line is not accepted."""
    context = commands.make_context("plimsoll", list(arguments), resilient_parsing=False)
    command: click.Command = commands
    while isinstance(command, click.Group):
        left = [*context._protected_args, *context.args]
        name, found, left = command.resolve_command(context, left)
        assert found is not None
        command, context = found, found.make_context(name, left, parent=context)
    return context
