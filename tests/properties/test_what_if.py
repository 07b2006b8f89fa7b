"""What-if over generated histories: unchanged configuration changes nothing, changed is what a replay of it says."""

import json
from collections import Counter

import msgspec
import pytest

from engine.core.fold import Record
from engine.failures import WrongUse
from engine.replay import replay
from engine.what_if import Changed, Experiment
from schemas.answers import WhatIf
from schemas.codec import decode_line
from schemas.events import Profile
from tests.properties.histories import history

SEEDS = 40
Key = tuple[str, str, str, str, str, tuple[str, ...]]


def _records(lines: list[bytes]) -> list[Record]:
    decoded = [(decode_line(line), line) for line in lines]
    return [Record(line.at, line.event, raw) for line, raw in decoded]


def _profiles(lines: list[bytes]) -> dict[str, tuple[Profile, dict[str, object]]]:
    """The first definition of each profile, as it was read and as it was written."""
    found: dict[str, tuple[Profile, dict[str, object]]] = {}
    for line in lines:
        event = decode_line(line).event
        if isinstance(event, Profile) and event.profile not in found:
            found[event.profile] = event, json.loads(line)
    return found


def _compared(lines: list[bytes], changed: list[Changed]) -> WhatIf:
    experiment = Experiment(changed, None)
    experiment.fold(_records(lines), legs_at_once=True)
    return experiment.answer(limit=100_000)


def _sent(lines: list[bytes]) -> Counter[Key]:
    outputs = [json.loads(line) for line in replay(lines)]
    return Counter(
        (sent["at"], sent["client"], sent["kind"], sent["rule"], sent["channel"], tuple(sent["to"]))
        for sent in outputs
        if sent["output"] == "notification"
    )


def _replaced(lines: list[bytes], profile: str, settings: dict[str, object]) -> list[bytes]:
    """The history as somebody would write it who had the changed profile from the start."""
    written = []
    for line in lines:
        event = decode_line(line).event
        if isinstance(event, Profile) and event.profile == profile:
            own = json.loads(line)
            kept = {name: own[name] for name in ("id", "source", "time", "at") if name in own}
            placed = {name: value for name, value in settings.items() if name != "at"} | kept
            written.append(json.dumps(placed).encode())
        else:
            written.append(line)
    return written


@pytest.mark.parametrize("seed", range(SEEDS))
def test_a_changed_profile_is_what_a_replay_with_it_sends(seed: int) -> None:
    lines = history(seed)
    was = _sent(lines)
    for name, (profile, settings) in _profiles(lines).items():
        changed = msgspec.structs.replace(profile, max_qty=1, period_seconds=None)
        would = _sent(_replaced(lines, name, {**settings, "max_qty": 1, "period_seconds": None}))
        try:
            answer = _compared(lines, [changed])
        except WrongUse:
            continue  # a definition that the history refuses is refused when changed, too
        told = [
            Counter((one.at, one.client, one.kind, one.rule, one.channel, one.to) for one in part)
            for part in (answer.added, answer.dropped)
        ]
        assert told == [would - was, was - would], (seed, name)
        assert (answer.total.was, answer.total.would_be) == (was.total(), would.total()), (seed, name)


@pytest.mark.parametrize("seed", range(SEEDS, SEEDS + 10))
def test_every_first_definition_put_in_its_own_place_again(seed: int) -> None:
    lines = history(seed)
    once = [line for line in lines if not isinstance(decode_line(line).event, Profile)]
    firsts = {name: settings for name, (_, settings) in _profiles(lines).items()}
    lines = [json.dumps(settings).encode() for settings in firsts.values()] + once
    changed: list[Changed] = [profile for profile, _ in _profiles(lines).values()]
    try:
        answer = _compared(lines, changed)
    except WrongUse:
        return  # a profile of it names what comes later
    assert (answer.added, answer.dropped) == ([], []), seed
