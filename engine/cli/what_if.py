"""``plimsoll what-if``: the same history against a changed profile or plan (contract, "Commands")."""

from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Final, Literal

import click
import msgspec

from engine.cli.options import json_option, show_json, show_table
from engine.collector import spare_collector
from engine.core.fold import Record
from engine.failures import WrongUse
from engine.lines import STDIN, InputLine, open_input, read_lines
from engine.what_if import Changed, Experiment
from schemas.answers import WhatIf, WhatIfNotification, WhatIfTotal
from schemas.codec import decode, decode_line
from schemas.events import Profile, TimeBalancePlan
from schemas.readers import tag_of
from schemas.reasons import Refusal
from schemas.times import TimeError, parse_time

_LINES_MAX: Final = 10_000  # of a file of definitions: a log that was given in its place is told early
_LIMIT_MAX: Final = 100_000
_LINE_BYTES_MAX: Final = 64 * 1024 * 1024  # as in `replay`
_FILLED: Final = {
    "id": msgspec.Raw(b'"what-if"'),
    "source": msgspec.Raw(b'"what-if"'),
    "time": msgspec.Raw(b'"1970-01-01T00:00:00Z"'),
}  # what defines it may be left out: it takes the place, and the identity, of what it replaces
_decode_fields = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode


@click.command("what-if", short_help="What a changed profile or plan would have sent.")
@click.argument("log")
@click.option("--profile", "profiles", metavar="FILE", multiple=True, help="The changed profile, as its event.")
@click.option("--plan", "plans", metavar="FILE", multiple=True, help="The changed plan, as its event.")
@click.option("--since", metavar="TIME", help="From when it applies (RFC 3339). Default: wherever the log defines it.")
@click.option(
    "--limit", type=click.IntRange(0, _LIMIT_MAX), default=20, show_default=True, help="How many of each list."
)
@json_option
def what_if(
    log: str, profiles: tuple[str, ...], plans: tuple[str, ...], since: str | None, limit: int, as_json: bool
) -> None:
    """Folds LOG twice, as it was and with the changed profile or plan, and compares what was sent.

    LOG is a file of events as for replay ("-": standard input), or the data folder of a stopped product. FILE holds
    the event that defines the profile or plan, one a line or one object; id, source and time may be left out.

    \b
    plimsoll what-if --profile stricter.json history.ndjson
    plimsoll what-if --plan plan.json --since 2026-03-01T00:00:00Z plimsoll-data
    """
    changed = [definition for file in profiles for definition in _definitions(file, "profile")]
    changed += [definition for file in plans for definition in _definitions(file, "time_balance_plan")]
    if not changed:
        raise WrongUse("nothing is changed: give --profile or --plan")
    experiment = Experiment(changed, _instant(since))
    spare_collector()
    _fold(log, experiment)
    answer = experiment.answer(limit=limit)
    if as_json:
        show_json(answer)
    else:
        _show(answer)


def _fold(log: str, experiment: Experiment) -> None:
    if log != STDIN and Path(log).is_dir():
        from engine.embedded.stored_log import stored_logs

        with stored_logs(Path(log)) as partitions:
            for records in partitions:
                experiment.fold(records, legs_at_once=False)
        return
    with open_input(log) as stream:
        lines = read_lines(stream, "standard input" if log == STDIN else log, line_bytes_max=_LINE_BYTES_MAX)
        experiment.fold(_records(lines), legs_at_once=True)


def _records(lines: Iterator[InputLine]) -> Iterator[Record]:
    for line in lines:
        raw = line.data
        if raw and not raw.isspace():
            decoded = decode_line(raw)
            yield Record(decoded.at, decoded.event, raw)


def _instant(since: str | None) -> int | None:
    if since is None:
        return None
    try:
        return parse_time(since)
    except TimeError as error:
        raise WrongUse(f"--since: {error}") from None


def _definitions(file: str, kind: Literal["profile", "time_balance_plan"]) -> list[Changed]:
    """The definitions in a file: one JSON object over several lines, or one a line."""
    with open_input(file) as stream:
        lines = [line.data for line in islice(read_lines(stream, file), _LINES_MAX + 1) if line.data.strip()]
    if len(lines) > _LINES_MAX:
        raise WrongUse(f"{file}: expected the event that defines a {kind}, found more than {_LINES_MAX} lines")
    if not lines:
        raise WrongUse(f"{file}: expected the event that defines a {kind}, found nothing")
    return [_definition(file, kind, raw) for raw in ([b"\n".join(lines)] if _is_one(lines) else lines)]


def _is_one(lines: list[bytes]) -> bool:
    """Whether the first line alone is no JSON: then all of them are one object."""
    try:
        _decode_fields(lines[0])
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return True
    return False


def _definition(file: str, kind: Literal["profile", "time_balance_plan"], raw: bytes) -> Changed:
    try:
        given = _decode_fields(raw)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise WrongUse(f"{file}: expected the event that defines a {kind} as a JSON object: {error}") from None
    filled = {"type": msgspec.Raw(msgspec.json.encode(kind)), **_FILLED}
    event = decode(msgspec.json.encode(filled | given), unknown_refused=True)
    if isinstance(event, Refusal):
        raise WrongUse(f"{file}: {event.message}")
    if not isinstance(event, Profile | TimeBalancePlan) or tag_of(type(event)) != kind:
        raise WrongUse(f"{file}: expected an event of type {kind}, found {tag_of(type(event))}")
    return event


def _show(answer: WhatIf) -> None:
    total = answer.total
    since = "wherever the log defines it" if answer.since is None else f"from {answer.since} on"
    click.echo(f"{answer.events} events, twice; changed: {', '.join(answer.changed)}, {since}")
    click.echo(
        f"{total.was} notifications were sent, {total.would_be} would have been: {total.added} added, "
        f"{total.dropped} dropped"
    )
    if answer.sentence is not None:
        click.echo(f"not exact: {answer.sentence}")
    _show_totals("day", answer.days)
    _show_totals("rule", answer.rules)
    _show_list("added", answer.added, total.added)
    _show_list("dropped", answer.dropped, total.dropped)


def _show_totals(name: str, totals: list[WhatIfTotal]) -> None:
    if not totals:
        return
    click.echo()
    columns = [name, "was", "would be", "added", "dropped"]
    rows = [[total.name, total.was, total.would_be, total.added, total.dropped] for total in totals]
    show_table(columns, rows, numbers=columns[1:])


def _show_list(name: str, sent: list[WhatIfNotification], count: int) -> None:
    if not sent:
        return
    more = f" (the first {len(sent)} of {count})" if len(sent) < count else ""
    click.echo(f"\n{name}{more}")
    rows = [[one.at, one.client, one.kind, one.rule, one.channel, one.available, one.threshold] for one in sent]
    show_table(["at", "client", "kind", "rule", "channel", "available", "threshold"], rows)
