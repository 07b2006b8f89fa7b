"""``plimsoll publish``: a file of events to a running product."""

import os

import click

from engine.cli.options import door_options, json_option
from engine.cli.sending import Report, end, send, show_totals
from engine.failures import WrongUse
from engine.lines import STDIN, open_input, read_lines
from engine.publish import Piece, PublishOptions, RefusedEvent, Totals, pieces_of
from engine.publish_state import PublishState


@click.command(short_help="Send a file of events to a running product.")
@click.argument("file")
@door_options
@click.option("--state", metavar="FILE", help="Remember here how far it came, and go on from there next time.")
@click.option("--rejected", metavar="FILE", help="Write what was refused here, one JSON object a line.")
@click.option("--batch", type=click.IntRange(1, 10_000), default=1000, show_default=True, help="Events of one request.")
@click.option(
    "--give-up",
    "give_up_seconds",
    type=click.IntRange(1, 86_400),
    default=300,
    show_default=True,
    help="Seconds in which nothing is taken, after which it ends.",
)
@json_option
def publish(
    file: str,
    url: str,
    key: str | None,
    state: str | None,
    rejected: str | None,
    batch: int,
    give_up_seconds: int,
    as_json: bool,
) -> None:
    """Sends FILE, one event a line, plain or gzip ("-": standard input), in order.

    A second run changes nothing: an event is applied once, whatever is sent again. Exit 1 where anything was refused.

    \b
    plimsoll publish events.ndjson
    plimsoll publish history.ndjson.gz --state history.state --url http://10.0.0.5:8080 --key $KEY
    """
    if state is not None and file == STDIN:
        raise WrongUse("--state: expected a file to send, found standard input, which cannot be gone on with")
    options = PublishOptions(url, key, batch_events_max=batch, give_up_seconds=float(give_up_seconds))
    sent = None if state is None else PublishState(state)
    with open_input(file) as stream, Report(rejected, _bytes_of(file)) as report:
        pieces = pieces_of(read_lines(stream, file), file)

        def taken(done: list[Piece], _: list[RefusedEvent], __: Totals) -> None:
            if sent is not None:
                sent.taken(done)

        totals = send(pieces if sent is None else sent.remaining(pieces), options, report, taken)
    earlier = {} if sent is None else {"sent_earlier": sent.earlier.events}
    show_totals(
        {
            "sent": totals.sent,
            "accepted": totals.accepted,
            "duplicate": totals.duplicate,
            "refused": totals.refused,
            **earlier,
        },
        as_json,
    )
    end(failed=totals.refused_count > 0)


def _bytes_of(file: str) -> int | None:
    """The size to draw progress against; none for a stream or packed data, whose end is not known."""
    if file == STDIN or file.endswith(".gz"):
        return None
    return os.path.getsize(file)
