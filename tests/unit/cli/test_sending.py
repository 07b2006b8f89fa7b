"""``plimsoll publish`` and ``plimsoll import`` against a product: totals, refusals, twice the same file."""

import gzip
import json
from pathlib import Path

from click.testing import CliRunner, Result

from engine.cli.entry import commands
from tests.unit.cli.product import running
from tests.unit.importers.samples import sample
from tests.unit.publish.door import Door, charges


def run(*arguments: str) -> Result:
    return CliRunner().invoke(commands, list(arguments))


def test_publish_twice(tmp_path: Path) -> None:
    path = tmp_path / "events.ndjson"
    path.write_bytes(b"\n".join(charges(30)))
    with running(Door().app) as url:
        first = run("publish", str(path), "--url", url)
        second = run("publish", str(path), "--url", url, "--json")
    assert (first.exit_code, first.stdout) == (0, "sent 30, accepted 30, duplicate 0, refused 0\n")
    assert json.loads(second.stdout) == {"sent": 30, "accepted": 0, "duplicate": 30, "refused": {}}


def test_publish_goes_on_from_its_state(tmp_path: Path) -> None:
    path, state = tmp_path / "events.ndjson.gz", str(tmp_path / "state")
    door = Door()
    with running(door.app) as url:
        path.write_bytes(gzip.compress(b"\n".join(charges(5)) + b"\n"))
        run("publish", str(path), "--url", url, "--state", state)
        path.write_bytes(gzip.compress(b"\n".join(charges(8)) + b"\n"))
        result = run("publish", str(path), "--url", url, "--state", state)
    assert result.stdout == "sent 3, accepted 3, duplicate 0, refused 0, sent_earlier 5\n"
    assert [len(request) for request in door.requests] == [5, 3]


def test_refused_events_are_told_listed_and_1(tmp_path: Path) -> None:
    path, rejected = tmp_path / "events.ndjson", tmp_path / "rejected.ndjson"
    path.write_bytes(b"\n".join([charges(1)[0], b"", b"{ nothing"]))
    with running(Door().app) as url:
        result = run("publish", str(path), "--url", url, "--rejected", str(rejected))
    assert result.exit_code == 1
    assert result.stdout == "sent 2, accepted 1, duplicate 0, refused 1 (1 malformed)\n"
    assert result.stderr == f"{path}:3: malformed: no event\n"
    assert json.loads(rejected.read_text()) == {
        "place": f"{path}:3",
        "reason": "malformed",
        "message": "no event",
        "event": "{ nothing",
    }


def test_only_the_first_refusals_are_told_one_by_one(tmp_path: Path) -> None:
    path = tmp_path / "events.ndjson"
    path.write_bytes(b"x\n" * 50)
    with running(Door().app) as url:
        result = run("publish", str(path), "--url", url)
    assert result.stderr.splitlines()[20:] == ["... and 30 more; --rejected FILE lists them all"]


def test_state_of_standard_input_is_wrong_use() -> None:
    result = run("publish", "-", "--state", "s")
    assert (result.exit_code, "--state: expected a file to send" in result.stderr) == (2, True)


def test_import_twice_changes_nothing() -> None:
    door = Door()
    freeswitch = ("import", "freeswitch", sample("freeswitch"), sample("freeswitch.ndjson"))
    asterisk = ("import", "asterisk", sample("Master.csv"), "--time-zone", "Europe/Kyiv")
    with running(door.app) as url:
        more = ("--rates", sample("rates.csv"), "--url", url, "--json")
        first = [json.loads(run(*arguments, *more).stdout) for arguments in (freeswitch, asterisk)]
        taken = dict(door.taken)
        second = [json.loads(run(*arguments, *more).stdout) for arguments in (freeswitch, asterisk)]
    assert first == [
        {
            "records": 10,
            "skipped": {"other_leg": 1, "unanswered": 1},
            "rejected": 3,
            "sent": 5,
            "accepted": 5,
            "duplicate": 0,
            "refused": {},
        },
        {
            "records": 11,
            "skipped": {"unanswered": 3, "not_wanted": 1},
            "rejected": 3,
            "sent": 4,
            "accepted": 4,
            "duplicate": 0,
            "refused": {},
        },
    ]
    assert [(totals["accepted"], totals["duplicate"]) for totals in second] == [(0, 5), (0, 4)]
    assert door.taken == taken


def test_import_writes_events_and_lists_bad_records(tmp_path: Path) -> None:
    rejected, written = tmp_path / "bad.ndjson", tmp_path / "events.ndjson"
    result = run(
        "import", "generic", sample("carrier.csv"), "--mapping", sample("carrier.toml"),
        "--rejected", str(rejected), "--output", str(written),
    )  # fmt: skip
    assert result.exit_code == 1
    assert result.stderr.splitlines()[-1] == "records 6, skipped 1, rejected 3, written 2"
    assert [json.loads(line)["id"] for line in written.read_text().splitlines()] == ["7701/a", "7703/b"]
    places = [json.loads(line)["place"].rpartition(":")[2] for line in rejected.read_text().splitlines()]
    assert places == ["5", "6", "7"]


def test_options_that_a_format_needs() -> None:
    for arguments, sentence in (
        (("asterisk", "f"), "--time-zone: needed for asterisk"),
        (("asterisk", "f", "--time-zone", "Mars/Base"), "--time-zone: expected an IANA time zone"),
        (("generic", "f"), "--mapping FILE: needed for generic"),
        (("freeswitch", "f", "--time-zone", "UTC"), "--time-zone: needed for asterisk"),
    ):
        result = run("import", *arguments)
        assert result.exit_code == 2, arguments
        assert sentence in result.stderr
