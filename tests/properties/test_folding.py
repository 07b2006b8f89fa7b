"""However the log is cut, whatever else is in it, by whichever path: the same outputs and the same state."""

import subprocess
import sys
from itertools import groupby
from pathlib import Path
from random import Random

import msgspec
import pytest

from engine.core.encoded_view import encoded_views
from engine.core.fold import Record, fold, new_outcome
from engine.core.records import TRIGGER_ALWAYS
from engine.core.state import State
from engine.replay import replay
from schemas.events import Transfer
from schemas.outputs import Change, encode_output
from schemas.reasons import Refusal
from schemas.times import format_time
from tests.properties.drafts import Json
from tests.properties.histories import history
from tests.properties.runs import HISTORIES, Folded, accepted, folded, log_of, record_of, state_bytes

SEEDS = range(1_000_000, 1_000_000 + HISTORIES)
WINDOW_MICROS = 7 * 86_400 * 1_000_000
HASHED = """
import sys
from hashlib import sha256
from engine.replay import replay
from tests.properties.histories import history
for seed in range(int(sys.argv[1])):
    print(sha256(b"\\n".join(replay(history(seed)))).hexdigest())
"""


@pytest.mark.parametrize("seed", SEEDS)
def test_every_split_into_batches_gives_the_same(seed: int) -> None:
    log, dice = log_of(history(seed)), Random(seed)
    whole, every = State(), new_outcome(every_change=True)
    fold(whole, log, every)
    versions = {(out.client, out.version): encode_output(out) for out in every.outputs if isinstance(out, Change)}
    rest = [encode_output(output) for output in every.outputs if not isinstance(output, Change)]
    for longest in (2, 7, 50, len(log)):
        state, at, others = State(), 0, list[bytes]()
        while at < len(log):
            size, out = dice.randint(1, longest), new_outcome()
            fold(state, log[at : at + size], out)
            at += size
            others += map(encode_output, out.outputs)
            for client, line in zip(out.changed, encoded_views(state, out.changed), strict=True):
                assert line == versions[client, state.balances[client].version]
        assert others == rest
        assert state_bytes(state) == state_bytes(whole)


@pytest.mark.parametrize("seed", SEEDS)
def test_the_trigger_level_is_exact(seed: int) -> None:
    """Every record by the slow way: a trigger that is passed by each charge decides the same."""
    log = log_of(history(seed))
    fast, slow = State(), State()
    fast_out, slow_out = new_outcome(every_change=True), new_outcome(every_change=True)
    fold(fast, log, fast_out)
    for record in log:
        for balance in slow.balances.values():
            balance.trigger = TRIGGER_ALWAYS
        fold(slow, [record], slow_out)
    assert list(map(encode_output, fast_out.outputs)) == list(map(encode_output, slow_out.outputs))
    assert fast_out.answers == slow_out.answers


@pytest.mark.parametrize("seed", SEEDS)
def test_clients_do_not_see_each_other(seed: int) -> None:
    """What comes out for a client is the same without all the others, transfers aside.

    They leave their clock behind, as ticks: log time is the partition's. Configuration that was refused is left out,
    for it may have been on their account.
    """
    lines = [one.line for one in folded(history(seed), State()) if _type(one.event) != "transfer"]
    state = State()
    whole = [(one, state.clock) for one in folded(lines, state)]
    changes = [output for one, _ in whole for output in one.outputs if output["output"] == "change"]
    for client in sorted({str(change["client"]) for change in changes}):
        kept = [
            one.line if _stays(one, client) else b'{"type":"tick","time":"%s"}' % format_time(clock).encode()
            for one, clock in whole
        ]
        alone = [output for one in folded(kept, State()) for output in one.outputs if _whose(output) == client]
        assert alone == [output for one, _ in whole for output in one.outputs if _whose(output) == client]


@pytest.mark.parametrize("seed", SEEDS)
def test_clients_may_be_interleaved_in_any_way_at_one_instant(seed: int) -> None:
    log = [record for record in map(record_of, history(seed)) if not isinstance(record.event, Transfer)]
    dice, shuffled = Random(seed), list[Record]()
    for _, group in groupby(log, key=lambda record: (record.at, hasattr(record.event, "client"))):
        records = list(group)
        by_client: dict[str, list[Record]] = {}
        for record in records:
            by_client.setdefault(getattr(record.event, "client", ""), []).append(record)
        order = [client for client, own in by_client.items() for _ in own]
        dice.shuffle(order)
        shuffled += [by_client[client].pop(0) for client in order]
    assert _by_client(shuffled) == _by_client(log)


@pytest.mark.parametrize("seed", SEEDS)
def test_duplicates_within_the_window_change_nothing(seed: int) -> None:
    dice, state, clean = Random(seed), State(), State()
    taken: list[tuple[int, bytes]] = []
    duplicates = 0
    for one in folded(history(seed), clean):
        out = new_outcome(every_change=True)
        repeated = [line for at, line in taken if clean.clock - at < WINDOW_MICROS]
        assert [again.outputs for again in folded([one.line], state)] == [one.outputs]
        for line in dice.sample(repeated, min(3, len(repeated))):
            fold(state, [msgspec.structs.replace(record_of(line), at=None)], out)
            duplicates += 1
        assert out.outputs == []
        assert [getattr(answer, "name", answer) for answer in out.answers] == ["duplicate"] * len(out.answers)
        if accepted(one) and _type(one.event) != "tick":
            taken.append((clean.clock, one.line))
    assert duplicates > 0
    assert state_bytes(state) == state_bytes(clean)


def test_hashing_has_no_say() -> None:
    """The same bytes under two seeds of Python's hash, in processes of their own."""
    root = Path(__file__).resolve().parents[2]
    digests = [
        subprocess.run(
            [sys.executable, "-c", HASHED, str(min(HISTORIES // 2, 100))],
            env={"PYTHONHASHSEED": seed, "PYTHONPATH": str(root)},
            cwd=root,
            check=True,
            capture_output=True,
        ).stdout
        for seed in ("1", "2")
    ]
    assert digests[0] == digests[1] != b""


@pytest.mark.parametrize("seed", SEEDS)
def test_replay_streams_what_the_fold_gives(seed: int) -> None:
    lines = history(seed)
    out = [output for one in folded(lines, State()) for output in one.outputs]
    assert [msgspec.json.decode(line) for line in replay(lines)] == out


def _type(event: Json | None) -> object:
    return None if event is None else event.get("type")


def _stays(one: Folded, client: str) -> bool:
    if one.event is not None and "client" in one.event:
        return one.event["client"] == client
    return not isinstance(one.answer, Refusal)


def _whose(output: Json) -> object:
    if output["output"] != "rejection":
        return output["client"]
    event = output["event"]
    return event.get("client") if isinstance(event, dict) else None


def _by_client(log: list[Record]) -> dict[object, list[Json]]:
    state, out = State(), new_outcome(every_change=True)
    fold(state, log, out)
    found: dict[object, list[Json]] = {}
    for output in out.outputs:
        plain: Json = msgspec.json.decode(encode_output(output))
        found.setdefault(_whose(plain), []).append(plain)
    return found
