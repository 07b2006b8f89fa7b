"""``plimsoll import``: call records of switches to a running product."""

from collections.abc import Iterator

import click

from engine.cli.kafka_options import cluster_options
from engine.cli.options import app_option, door_options, json_option
from engine.cli.sending import Report, destination, end, send, show_totals
from engine.config import Config
from engine.failures import WrongUse
from engine.importers.asterisk import read_asterisk
from engine.importers.calls import Terms
from engine.importers.freeswitch import read_freeswitch
from engine.importers.generic import read_generic
from engine.importers.mapping import load_mapping
from engine.importers.rating import load_rates
from engine.importers.rows import Imported, Rejected, Row, Skipped
from engine.publish import Piece, RefusedEvent, Totals
from schemas.times import TimeError, zone

_RAW_CHARACTERS_MAX = 64 * 1024  # a rejected record is kept to be mended; one that is longer is damaged anyway


@click.command("import", short_help="Send call records of switches: freeswitch, asterisk, generic.")
@click.argument("form", metavar="FORMAT", type=click.Choice(["freeswitch", "asterisk", "generic"]))
@click.argument("files", metavar="FILE...", nargs=-1, required=True)
@click.option("--rates", metavar="FILE", help="Price records that carry no amount: CSV of prefixes.")
@click.option("--source", help="Name of the switch, where the records have none.")
@click.option("--time-zone", metavar="ZONE", help="asterisk: the zone its local times are in (usegmtime=yes: UTC).")
@click.option("--mapping", metavar="FILE", help="generic: which column is what (TOML or JSON).")
@click.option("--currency", help="Currency of the amounts. Default: the client's own.")
@click.option("--usage-type", default="call", show_default=True, help="Usage type, where the rates name none.")
@click.option("--client-field", help="Variable or column of the client. Default: accountcode.")
@click.option("--amount-field", help="Variable or column of an amount that the switch rated.")
@click.option("--destination-field", help="Variable or column of the number that was called.")
@click.option("--rejected", metavar="FILE", help="Write what was refused here, one JSON object a line.")
@click.option("--output", metavar="FILE", type=click.File("wb"), help='Write the events here ("-") and send nothing.')
@door_options
@cluster_options
@app_option
@json_option
def import_records(
    form: str,
    files: tuple[str, ...],
    rates: str | None,
    source: str | None,
    time_zone: str | None,
    mapping: str | None,
    currency: str | None,
    usage_type: str,
    client_field: str | None,
    amount_field: str | None,
    destination_field: str | None,
    rejected: str | None,
    output: click.utils.LazyFile | None,
    url: str,
    key: str | None,
    config: Config,
    app: str | None,
    as_json: bool,
) -> None:
    """Sends the call records in FILE... as charges, over HTTP or to Kafka. Importing a file twice changes nothing.

    freeswitch: mod_json_cdr, one record a file (or folders of them) or a line. asterisk: Master.csv of cdr_csv.
    generic: any CSV, by a mapping. A bad record is told and counted, never stops the rest; exit 1 where there was
    one. Calls that were not answered owe nothing and are skipped.

    \b
    plimsoll import freeswitch /var/log/freeswitch/json_cdr --rates rates.csv
    plimsoll import asterisk Master.csv --rates rates.csv --time-zone Europe/Kyiv --source pbx1
    plimsoll import generic carrier.csv --mapping carrier.toml
    plimsoll import asterisk Master.csv --rates rates.csv --time-zone UTC --output - | plimsoll replay -
    """
    terms = Terms(
        source=source,
        currency=currency,
        usage_type=usage_type,
        rates=None if rates is None else load_rates(rates),
        client_field=client_field,
        amount_field=amount_field,
        destination_field=destination_field,
    )
    counts: dict[str, dict[str, int]] = {"skipped": {}, "rejected": {}}
    with Report(rejected, None) as report:
        events = _events(_rows(form, list(files), terms, time_zone, mapping), counts, report)
        totals = send(events, destination(config, app, url, key), report) if output is None else _write(events, output)
    bad = sum(counts["rejected"].values())
    shown: dict[str, object] = {"records": totals.sent + bad + sum(counts["skipped"].values())}
    shown |= {"skipped": counts["skipped"], "rejected": bad, "sent": totals.sent}
    if output is None:
        shown |= {"accepted": totals.accepted, "duplicate": totals.duplicate, "refused": totals.refused}
        show_totals(shown, as_json)
    else:
        shown["written"] = shown.pop("sent")
        click.echo(", ".join(f"{name} {_sum(value)}" for name, value in shown.items()), err=True)
    end(failed=bad + totals.refused_count > 0)


def _rows(form: str, files: list[str], terms: Terms, time_zone: str | None, mapping: str | None) -> Iterator[Row]:
    if (mapping is not None) != (form == "generic"):
        raise WrongUse("--mapping FILE: needed for generic, and for nothing else")
    if (time_zone is not None) != (form == "asterisk"):
        raise WrongUse("--time-zone: needed for asterisk, whose times are local, and for nothing else")
    if form == "freeswitch":
        return read_freeswitch(files, terms)
    if mapping is not None:
        return read_generic(files, terms, load_mapping(mapping))
    assert time_zone is not None
    try:
        return read_asterisk(files, terms, zone(time_zone))
    except TimeError as error:
        raise WrongUse(f"--time-zone: {error}") from None


def _events(rows: Iterator[Row], counts: dict[str, dict[str, int]], report: Report) -> Iterator[Piece]:
    for row in rows:
        match row:
            case Imported():
                yield Piece(row.event, row.place)
            case Skipped():
                skipped = counts["skipped"]
                skipped[row.reason] = skipped.get(row.reason, 0) + 1
            case Rejected():
                counts["rejected"]["record"] = counts["rejected"].get("record", 0) + 1
                raw = row.raw[:_RAW_CHARACTERS_MAX].decode(errors="replace")
                report.refused(RefusedEvent(row.place, "record", row.message, raw))


def _write(events: Iterator[Piece], output: click.utils.LazyFile) -> Totals:
    totals = Totals()
    for event in events:
        output.write(event.raw + b"\n")
        totals.sent += 1
    return totals


def _sum(value: object) -> object:
    return sum(value.values()) if isinstance(value, dict) else value
