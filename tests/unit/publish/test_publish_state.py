"""The state file: a second run goes on where the first one ended, and only in the same file."""

from pathlib import Path

import pytest

from engine.failures import OperationalError, WrongUse
from engine.publish import Piece
from engine.publish_state import PublishState


def pieces(*lines: str) -> list[Piece]:
    return [Piece(line.encode(), f"f:{n}", 10 * n) for n, line in enumerate(lines, start=1)]


def left(path: Path, *lines: str) -> list[str]:
    return [piece.raw.decode() for piece in PublishState(str(path)).remaining(iter(pieces(*lines)))]


def test_first_run_sends_everything(tmp_path: Path) -> None:
    assert left(tmp_path / "state", "a", "b") == ["a", "b"]


def test_second_run_goes_on_after_what_was_taken(tmp_path: Path) -> None:
    state = PublishState(str(tmp_path / "state"))
    state.taken(pieces("a", "b"))
    assert left(tmp_path / "state", "a", "b", "c") == ["c"]


def test_run_that_went_on_can_go_on_again(tmp_path: Path) -> None:
    path = tmp_path / "state"
    PublishState(str(path)).taken(pieces("a"))
    second = PublishState(str(path))
    (b,) = second.remaining(iter(pieces("a", "b")))
    second.taken([b])
    assert left(path, "a", "b", "c") == ["c"]


@pytest.mark.parametrize("lines", [("a", "x", "c"), ("a",), ()])
def test_file_that_changed_is_wrong_use(tmp_path: Path, lines: tuple[str, ...]) -> None:
    PublishState(str(tmp_path / "state")).taken(pieces("a", "b"))
    with pytest.raises(WrongUse, match="of another file, or of one that has changed"):
        left(tmp_path / "state", *lines)


def test_state_that_is_no_state_is_wrong_use(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("hello")
    with pytest.raises(WrongUse, match="expected a state file of publish"):
        PublishState(str(tmp_path / "state"))


def test_state_that_cannot_be_written_is_a_sentence(tmp_path: Path) -> None:
    state = PublishState(str(tmp_path / "gone" / "state"))
    with pytest.raises(OperationalError, match="the state cannot be written"):
        state.taken(pieces("a"))
