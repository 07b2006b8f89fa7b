"""What `publish` and `import` share: where events go, the progress bar, the list of what was refused, the totals."""

import asyncio
import sys
from collections.abc import Iterable
from types import TracebackType
from typing import IO, TYPE_CHECKING, Any, Final, Self

import click
import msgspec
from click.core import ParameterSource
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TaskProgressColumn, TextColumn, TimeElapsedColumn

from engine.cli.kafka_options import connecting
from engine.cli.options import show_json
from engine.config import Config
from engine.failures import OperationalError, WrongUse
from engine.publish import OnBatch, Piece, PublishOptions, RefusedEvent, Totals, publish

if TYPE_CHECKING:
    from engine.kafka.publishing import KafkaPublishOptions

_TOLD_MAX: Final = 20
"""Refusals told one by one; beyond them a list in a file is what helps."""


class Report:
    """Tells what was refused, on standard error and in a file, and draws the progress where there is a terminal."""

    def __init__(self, rejected: str | None, total_bytes: int | None) -> None:
        self.count = 0
        self._path = rejected
        self._file: IO[bytes] | None = None
        self._console = Console(stderr=True)
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TaskProgressColumn(),
            TimeElapsedColumn(),
            console=self._console,
            disable=not self._console.is_terminal,
            transient=True,
        )
        self._task: TaskID = self._progress.add_task("sending", total=total_bytes)

    def __enter__(self) -> Self:
        if self._path is not None:
            try:
                self._file = open(self._path, "wb")  # closed by __exit__
            except OSError as error:
                raise WrongUse(f"--rejected {self._path}: cannot be written: {error.strerror}") from None
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()
        if self._file is not None:
            self._file.close()
        if kind is None and self.count > _TOLD_MAX:
            where = f"all of them are in {self._path}" if self._path else "--rejected FILE lists them all"
            click.echo(f"... and {self.count - _TOLD_MAX} more; {where}", err=True)

    def refused(self, event: RefusedEvent) -> None:
        """Tells of one refusal. Raises OperationalError where the list cannot be written."""
        self.count += 1
        if self.count <= _TOLD_MAX:
            sentence = f"{event.place}: {event.reason}: {event.message}"
            if self._progress.disable:
                click.echo(sentence, err=True)
            else:
                self._progress.console.print(sentence, markup=False, highlight=False)
        if self._file is not None:
            try:
                self._file.write(msgspec.json.encode(event) + b"\n")
            except OSError as error:
                raise OperationalError(f"{self._path}: cannot be written: {error.strerror}") from None

    def moved(self, totals: Totals, done_bytes: int) -> None:
        """Draws how far it is."""
        self._progress.update(self._task, completed=done_bytes, description=f"{totals.sent:,} sent")


def destination(
    config: Config, app: str | None, url: str, key: str | None, **given: Any
) -> "PublishOptions | KafkaPublishOptions":  # Any: what both kinds of options have
    """Where events go: to the cluster of the configuration, or over HTTP where there is none or --url is given.

    Raises WrongUse where both are asked for.
    """
    context = click.get_current_context()
    asked = {name for name in ("url", "bootstrap") if context.get_parameter_source(name) is ParameterSource.COMMANDLINE}
    if len(asked) == 2:
        raise WrongUse("expected --url or --bootstrap, found both: events go to one place")
    if config.kafka is None or "url" in asked:
        return PublishOptions(url, key, **given)
    with connecting(config.kafka):
        from engine.kafka.publishing import KafkaPublishOptions

        return KafkaPublishOptions(
            connection=config.kafka, app=config.kafka.app_id(app), prefix=config.kafka.prefix, **given
        )


def send(
    pieces: Iterable[Piece],
    options: "PublishOptions | KafkaPublishOptions",
    report: Report,
    taken: OnBatch | None = None,
) -> Totals:
    """Sends everything and reports on the way; ``taken`` is told of each batch first."""

    def on_batch(batch: list[Piece], refused: list[RefusedEvent], totals: Totals) -> None:
        if taken is not None:
            taken(batch, refused, totals)
        for event in refused:
            report.refused(event)
        report.moved(totals, batch[-1].end)

    if isinstance(options, PublishOptions):
        return asyncio.run(publish(pieces, options, on_batch))
    with connecting(options.connection):
        from engine.kafka.publishing import publish_to_kafka

        return asyncio.run(publish_to_kafka(pieces, options, on_batch, lambda told: click.echo(told, err=True)))


def show_totals(totals: dict[str, object], as_json: bool) -> None:
    """The totals as one line of words, or as JSON."""
    if as_json:
        show_json(totals)
        return
    words: list[str] = []
    for name, value in totals.items():
        if isinstance(value, dict):
            reasons = ", ".join(f"{count} {reason}" for reason, count in sorted(value.items()))
            words.append(f"{name} {sum(value.values())}" + (f" ({reasons})" if reasons else ""))
        else:
            words.append(f"{name} {value}")
    click.echo(", ".join(words))


def end(failed: bool) -> None:
    """Ends the command with 1 where something was refused."""
    sys.stdout.flush()
    if failed:
        click.get_current_context().exit(1)
