"""``plimsoll publish``: a file of events to a running product."""

import os
from collections.abc import Iterator, Sequence

import click
import msgspec

from engine.cli.kafka_options import cluster_options
from engine.cli.options import app_option, door_options, json_option
from engine.cli.sending import Report, destination, end, send, show_totals
from engine.config import Config
from engine.failures import WrongUse
from engine.lines import STDIN, open_input, read_lines
from engine.publish import Piece, RefusedEvent, Totals, pieces_of
from engine.publish_state import PublishState


@click.command(short_help="Send files of events to a running product.")
@click.argument("files", metavar="FILE...", nargs=-1, required=True)
@door_options
@cluster_options
@app_option
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
    files: tuple[str, ...],
    url: str,
    key: str | None,
    config: Config,
    app: str | None,
    state: str | None,
    rejected: str | None,
    batch: int,
    give_up_seconds: int,
    as_json: bool,
) -> None:
    """Sends each FILE, one event a line, plain or gzip ("-": standard input), in order.

    Over HTTP, or to `events` of a Kafka cluster where one is given or configured: then accepted means that the log has
    it, and what the engine refuses later is in `rejections`. Configuration goes to every partition at once and is
    answered by them. A second run changes nothing: an event is applied once, whatever is sent again. Exit 1 where
    anything was refused.

    \b
    plimsoll publish events.ndjson
    plimsoll publish history.ndjson.gz --state history.state --url http://10.0.0.5:8080 --key $KEY
    plimsoll publish events.ndjson --bootstrap kafka-1:9092,kafka-2:9092
    """
    if state is not None and (len(files) > 1 or files[0] == STDIN):
        found = "standard input, which cannot be gone on with" if len(files) == 1 else f"{len(files)} files"
        raise WrongUse(f"--state: expected a file to send, found {found}")
    options = destination(config, app, url, key, batch_events_max=batch, give_up_seconds=float(give_up_seconds))
    sent = None if state is None else PublishState(state)
    for file in files:
        if file != STDIN:
            with open_input(file):  # one that is not there is told before anything is sent
                pass
    with Report(rejected, _bytes_of(files)) as report:
        pieces = _pieces(files)

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


def _pieces(files: Sequence[str]) -> Iterator[Piece]:
    """The events of the files, one file after the other; each piece ends where it does in all of them together."""
    before = end = 0
    for file in files:
        with open_input(file) as stream:
            for piece in pieces_of(read_lines(stream, file), file):
                end = before + piece.end
                yield msgspec.structs.replace(piece, end=end) if before else piece
        before = end


def _bytes_of(files: Sequence[str]) -> int | None:
    """The size to draw progress against; none for a stream or packed data, whose end is not known."""
    if any(file == STDIN or file.endswith(".gz") or not os.path.isfile(file) for file in files):
        return None
    return sum(os.path.getsize(file) for file in files)
