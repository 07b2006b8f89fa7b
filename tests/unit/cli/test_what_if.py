"""``plimsoll what-if`` over a file, standard input and a data folder."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from engine.cli.entry import commands
from tests.unit.core.histories import at, event, lines_of
from tests.unit.core.test_what_if import CLIENT, DAYS, PAID, PROFILE, RULE, charge
from tests.unit.embedded.running import running

STRICTER = {"profile": "p", "max_qty": 3, "period_seconds": 86_400, "rules": [{**RULE, "threshold": "7"}]}


def run(*arguments: str, given: bytes | None = None) -> Result:
    return CliRunner().invoke(commands, ["what-if", *arguments], input=given)


@pytest.fixture
def stricter(tmp_path: Path) -> str:
    path = tmp_path / "stricter.json"
    path.write_text(json.dumps(STRICTER, indent=2), encoding="utf-8")
    return str(path)


@pytest.fixture
def log(tmp_path: Path) -> str:
    path = tmp_path / "days.ndjson"
    path.write_bytes(b"\n".join(lines_of(DAYS)) + b"\n")
    return str(path)


def test_as_a_table(stricter: str, log: str) -> None:
    result = run("--profile", stricter, "--limit", "1", log)
    assert result.exit_code == 0, result.output
    assert result.stdout == (
        "6 events, twice; changed: profile p, wherever the log defines it\n"
        "3 notifications were sent, 3 would have been: 3 added, 3 dropped\n"
        "\n"
        "day\twas\twould be\tadded\tdropped\n"
        "2026-03-02\t1\t1\t1\t1\n"
        "2026-03-03\t1\t1\t1\t1\n"
        "2026-03-04\t1\t1\t1\t1\n"
        "\n"
        "rule\twas\twould be\tadded\tdropped\n"
        "low_balance low\t3\t3\t3\t3\n"
        "\n"
        "added (the first 1 of 3)\n"
        "at\tclient\tkind\trule\tchannel\tavailable\tthreshold\n"
        f"{at('d0 10:00')}\tc\tlow_balance\tlow\temail\t6\t7\n"
        "\n"
        "dropped (the first 1 of 3)\n"
        "at\tclient\tkind\trule\tchannel\tavailable\tthreshold\n"
        f"{at('d0 11:00')}\tc\tlow_balance\tlow\temail\t4\t5\n"
    )


def test_as_json_from_standard_input(stricter: str) -> None:
    result = run("--profile", stricter, "--json", "-", given=b"\n".join(lines_of(DAYS)))
    answer = json.loads(result.stdout)
    assert (answer["events"], answer["exact"], answer["total"]["added"]) == (6, True, 3)
    assert answer["added"][0]["to"] == ["c@c.example"]


def test_since(stricter: str, log: str) -> None:
    result = run("--profile", stricter, "--since", at("d1 00:00"), "--json", log)
    answer = json.loads(result.stdout)
    assert [sent["at"] for sent in answer["added"]] == [at("d1 00:00"), at("d2 00:00")]
    assert [sent["at"] for sent in answer["dropped"]] == [at("d1 11:00"), at("d2 11:00")]
    assert "from 2026-03-03T00:00:00Z on" in run("--profile", stricter, "--since", at("d1 00:00"), log).stdout


def test_definitions_one_a_line(tmp_path: Path, log: str) -> None:
    both = tmp_path / "both.ndjson"
    other = {**STRICTER, "type": "profile", "profile": "q"}
    both.write_text(f"{json.dumps(STRICTER)}\n{json.dumps(other)}\n", encoding="utf-8")
    answer = json.loads(run("--profile", str(both), "--since", at("d0 00:00"), "--json", log).stdout)
    assert answer["changed"] == ["profile p", "profile q"]


async def test_a_data_folder_says_the_same_as_the_file(tmp_path: Path, stricter: str) -> None:
    other = event("d0 09:00", "client", "o", currency="EUR", profile="p", billing_email="o@o.example", id="o")
    transfer = event("d0 12:00", "transfer", "c", to="o", amount="3")
    events = [PROFILE, CLIENT, other, PAID, charge("d0 10:00", "3.5"), transfer]
    log = tmp_path / "events.ndjson"
    log.write_bytes(b"\n".join(lines_of(events)))
    data = tmp_path / "data"
    async with running(data) as product:
        await product.send(events)
    told = [json.loads(run("--profile", stricter, "--json", place).stdout) for place in (str(log), str(data))]
    assert told[0]["total"] == told[1]["total"]
    assert told[0]["added"] == told[1]["added"] != []
    assert told[1]["exact"]


async def test_a_data_folder_in_use_is_a_sentence(tmp_path: Path, stricter: str) -> None:
    async with running(tmp_path / "data"):
        result = run("--profile", stricter, str(tmp_path / "data"))
    assert result.exit_code == 1
    assert "is in use by another process: stop it" in result.stderr


async def test_transfers_that_a_plan_would_have_decided_otherwise_are_told(tmp_path: Path) -> None:
    """The log has the legs as they were: what a data folder cannot show is said, not guessed."""
    other = event("d0 09:00", "client", "o", currency="EUR", id="o")
    plan = event("d0 08:00", "time_balance_plan", plan="m", unit="event", units=10, usage_types=["sms"])
    grant = event("d0 09:40", "time_balance", "c", action="grant", plan="m", grant="g")
    usage = {"type": "sms", "quantity": 10, "unit": "event"}
    spent = event("d0 10:00", "charge", "c", amount="10", usage=usage)
    transfer = event("d0 12:00", "transfer", "c", to="o", amount="3")
    data, changed = tmp_path / "data", tmp_path / "plan.json"
    changed.write_text(json.dumps({**plan, "units": 1}), encoding="utf-8")
    async with running(data) as product:
        await product.send([PROFILE, plan, CLIENT, other, PAID, grant, spent, transfer])
    result = run("--plan", str(changed), str(data))
    assert "not exact: 1 transfers would have been decided otherwise" in result.stdout


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", "expected the event that defines a profile, found nothing"),
        (b"{", "expected the event that defines a profile as a JSON object: "),
        (b'"x"', "expected the event that defines a profile as a JSON object: "),
        (b"\xff\xfe", "expected the event that defines a profile as a JSON object: "),
        (b'{"profile":"p","max_qt":3}', "max_qt is not a field of this event"),
        (b'{"profile":"p","rules":[{"rule":"r","audience":"client","threshold":5.0}]}', "rules: "),
        (b'{"type":"template","template":"t"}', "expected an event of type profile, found template"),
        (b"\n".join([b'{"profile":"p"}'] * 10_001), "found more than 10000 lines"),
    ],
)
def test_a_definition_that_is_none_is_wrong_use(tmp_path: Path, log: str, content: bytes, sentence: str) -> None:
    path = tmp_path / "changed.json"
    path.write_bytes(content)
    result = run("--profile", str(path), log)
    assert result.exit_code == 2
    assert sentence in result.stderr
    assert len(result.stderr.splitlines()) == 1


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("LOG",), "nothing is changed: give --profile or --plan"),
        (("--profile", "STRICTER", "--since", "noon", "LOG"), "--since: expected an RFC 3339 time"),
        (("--profile", "STRICTER", "/nowhere/log.ndjson"), "there is no such file"),
        (("--profile", "STRICTER", "FOLDER"), "expected a data folder of `plimsoll run`, or a file of events"),
    ],
)
def test_wrong_use(tmp_path: Path, stricter: str, log: str, arguments: tuple[str, ...], sentence: str) -> None:
    names = {"LOG": log, "STRICTER": stricter, "FOLDER": str(tmp_path)}
    result = run(*(names.get(argument, argument) for argument in arguments))
    assert result.exit_code == 2
    assert sentence in result.stderr
