"""The mapping of the generic importer: which column of a CSV file is what, and how it is written.

A TOML (or JSON) file, for example::

    source = "carrier-a"
    delimiter = ";"
    time_format = "%d.%m.%Y %H:%M:%S"
    time_zone = "Europe/Kyiv"
    answered_values = ["ok"]

    [columns]
    client = "account"
    id = ["call", "leg"]
    time = "ended"
    started_at = "answered"
    quantity = "seconds"
    destination = "number"
    answered = "status"
"""

from datetime import datetime
from typing import Annotated, Final, Literal

import msgspec

from engine.failures import WrongUse
from engine.tables import Problem, load_table, read_struct
from schemas.times import TimeError, zone

COLUMNS_MAX: Final = 1000
ID_COLUMNS_MAX: Final = 8
TIME_FORMATS: Final = ("rfc3339", "epoch_seconds", "epoch_milliseconds", "epoch_microseconds")

Column = str | Annotated[int, msgspec.Meta(ge=1, le=COLUMNS_MAX)]
"""A column's name in the header, or its number from 1."""


class Columns(msgspec.Struct, frozen=True, kw_only=True):
    """Where each field of a charge stands. ``id``: one column, or several that are its parts.

    ``quantity`` is a duration where the unit is second. Without ``amount`` the usage is priced by the rates, from
    ``destination`` and ``quantity``.
    """

    client: Column
    id: Column | Annotated[list[Column], msgspec.Meta(min_length=1, max_length=ID_COLUMNS_MAX)]
    time: Column
    started_at: Column | None = None
    amount: Column | None = None
    quantity: Column | None = None
    destination: Column | None = None
    usage_type: Column | None = None
    currency: Column | None = None
    answered: Column | None = None


class Mapping(msgspec.Struct, frozen=True, kw_only=True):
    """How a CSV file is read.

    ``time_format``: one of ``TIME_FORMATS``, or a pattern of strptime, which needs ``time_zone`` unless it has ``%z``.
    ``duration_format``: clock is ``[h:]mm:ss``. ``round_amount``: amounts with more than 6 fractional digits are
    rounded half-even to 6, not refused. ``answered_values``: what the answered column says of a call that counts.
    """

    columns: Columns
    source: str | None = None
    delimiter: Annotated[str, msgspec.Meta(min_length=1, max_length=1)] = ","
    header: bool = True
    encoding: Literal["utf-8", "latin-1", "cp1251", "cp1252"] = "utf-8"
    time_format: str = "rfc3339"
    time_zone: str | None = None
    duration_format: Literal["seconds", "milliseconds", "clock"] = "seconds"
    decimal_comma: bool = False
    round_amount: bool = False
    answered_values: Annotated[list[str], msgspec.Meta(max_length=100)] = []
    usage_type: str | None = None
    unit: Literal["event", "second", "byte"] = "second"
    currency: str | None = None

    def __post_init__(self) -> None:
        columns = self.columns
        if columns.amount is None and (columns.quantity is None or columns.destination is None):
            raise ValueError("columns: expected amount, or quantity and destination for the rates")
        if columns.amount is None and self.unit != "second":
            raise ValueError(f"unit: rates price seconds; expected an amount column for {self.unit}")
        if (columns.answered is None) != (not self.answered_values):
            raise ValueError("expected columns.answered and answered_values together")
        if self.time_zone is not None:
            try:
                zone(self.time_zone)
            except TimeError as error:
                raise ValueError(f"time_zone: {error}") from None
        if self.time_format not in TIME_FORMATS:
            self._check_pattern()

    def _check_pattern(self) -> None:
        pattern = self.time_format
        example = datetime(2026, 1, 31, 22, 59, 58)  # noqa: DTZ001  # a wall clock, its zone is the mapping's
        try:
            read = datetime.strptime(example.strftime(pattern).strip() + ("+0000" if "%z" in pattern else ""), pattern)  # noqa: DTZ007
        except ValueError as error:
            kinds = ", ".join(TIME_FORMATS)
            raise ValueError(f"time_format: expected {kinds} or a strptime pattern: {error}") from None
        if read.date() != example.date():
            raise ValueError(f"time_format: expected a pattern with year, month and day, found {pattern!r}")
        if "%z" not in pattern and self.time_zone is None:
            raise ValueError("time_zone: needed for times without an offset, and was not given")


def load_mapping(path: str) -> Mapping:
    """The mapping in a file. Raises WrongUse with every problem found."""
    problems: list[Problem] = []
    mapping = read_struct(load_table(path), Mapping, "", problems)
    if mapping is None:
        raise WrongUse(f"{path}: " + "; ".join(str(problem) for problem in problems))
    return mapping
