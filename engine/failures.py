"""Operational failures that a user can mend: one clear sentence and an exit code, never a traceback.

The command line also treats any exception that has a ``retriable`` attribute (the ports' own) this way.
"""


class OperationalError(Exception):
    """Something outside the program's own logic went wrong. ``str`` says what was found and what to do.

    ``retriable``: the same call may work later. ``exit_code``: 1 failed, 2 wrong use, 3 another process
    does this work now.
    """

    retriable = False
    exit_code = 1


class WrongUse(OperationalError):  # noqa: N818  # it names what was done, not what broke
    """What was asked for cannot be done as asked: a file that is not there, options that do not fit."""

    exit_code = 2
