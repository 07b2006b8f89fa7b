"""The state's tables and the ports as they are in memory."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.core.records import Balance
from engine.core.state import DEDUPE_WINDOW, MemoryDueIndex, MemoryReferences, MemorySeen, State, Table, pack_seen
from schemas.times import DAY, NEVER


def test_table_loads_what_it_misses_once_and_only_what_exists() -> None:
    asked: list[str] = []

    def load(client: str) -> Balance | None:
        asked.append(client)
        return Balance(client, "USD") if client == "c" else None

    table = Table[Balance](load)
    found = table.find("c")
    assert found == Balance("c", "USD")
    assert table.find("c") is found
    assert table.find("d") is None
    assert table.find("d") is None
    assert asked == ["c", "d", "d"]
    assert table.dirty == {}


def test_table_in_memory_has_nothing_that_was_not_put() -> None:
    table = Table[Balance]()
    assert table.find("c") is None
    balance = Balance("c", "USD")
    table.put("c", balance)
    assert table.find("c") is balance
    assert table.dirty == {"c": balance}


def test_due_index_gives_the_earliest_instant_with_its_clients_by_id() -> None:
    dues = MemoryDueIndex()
    assert dues.earliest == NEVER
    for client, due in (("b", 5), ("c", 7), ("a", 5)):
        dues.move(client, NEVER, due)
    assert dues.earliest == 5
    assert dues.pop() == (5, ["a", "b"])
    assert dues.pop() == (7, ["c"])
    assert dues.earliest == NEVER


def test_due_index_forgets_an_entry_that_was_moved() -> None:
    dues = MemoryDueIndex()
    dues.move("a", NEVER, 5)
    dues.move("b", NEVER, 5)
    dues.move("a", 5, 9)
    assert dues.pop() == (5, ["b"])
    dues.move("a", 9, 3)
    assert dues.earliest == 3
    dues.move("a", 3, NEVER)
    assert dues.earliest == NEVER


def test_due_index_gives_a_client_once_that_was_moved_away_and_back() -> None:
    dues = MemoryDueIndex()
    dues.move("b", NEVER, 5)
    dues.move("a", NEVER, 5)
    dues.move("b", 5, 8)
    dues.move("b", 8, 5)
    assert dues.pop() == (5, ["a", "b"])
    assert dues.earliest == NEVER


def test_due_index_and_its_user_must_agree_where_a_client_stands() -> None:
    dues = MemoryDueIndex()
    dues.move("a", NEVER, 5)
    with pytest.raises(AssertionError):
        dues.move("a", 4, 6)
    with pytest.raises(AssertionError):
        dues.move("b", 5, 6)


@given(st.lists(st.tuples(st.sampled_from("abcd"), st.integers(0, 5) | st.just(NEVER)), max_size=30))
def test_due_index_is_a_sorted_table(moves: list[tuple[str, int]]) -> None:
    dues, table = MemoryDueIndex(), dict[str, int]()
    for client, due in moves:
        dues.move(client, table.pop(client, NEVER), due)
        if due != NEVER:
            table[client] = due
        assert dues.earliest == min(table.values(), default=NEVER)
    while table:
        earliest = min(table.values())
        clients = sorted(client for client, due in table.items() if due == earliest)
        assert dues.pop() == (earliest, clients)
        table = {client: due for client, due in table.items() if due != earliest}


def test_references_follow_a_client_from_key_to_key() -> None:
    references = MemoryReferences()
    references.move("profile", "b", None, "p")
    references.move("profile", "a", None, "p")
    references.move("template", "a", None, "p")
    assert references.clients("profile", "p") == ["a", "b"]
    references.move("profile", "a", "p", "q")
    references.move("profile", "b", "p", "p")
    assert references.clients("profile", "p") == ["b"]
    assert references.clients("profile", "q") == ["a"]
    assert references.clients("template", "p") == ["a"]
    references.move("profile", "b", "p", None)
    assert references.clients("profile", "p") == []


def test_seen_keeps_an_identity_for_a_whole_window() -> None:
    seen = MemorySeen()
    seen.put(b"first", 1, 0, b"kept")
    for day in range(1, 8):
        seen.put(f"of day {day}".encode(), 2, day * DAY)
        assert seen.get(b"first") == (1, 0, b"kept")
    assert seen.get(b"another") is None


def test_seen_forgets_in_time_so_that_memory_is_bounded() -> None:
    seen = MemorySeen(window=100)
    for at in range(400):
        seen.put(str(at).encode(), at, at)
        held = [number for number in range(at + 1) if seen.get(str(number).encode()) is not None]
        assert held[0] >= at - 200
        assert held == list(range(held[0], at + 1))
        assert held[0] <= max(0, at - 100)


def test_finder_finds_what_get_does_in_one_half_of_a_window_and_in_two() -> None:
    seen = MemorySeen(window=100)
    seen.put(b"a", 1, 0)
    assert (seen.finder()(b"a"), seen.finder()(b"b")) == (pack_seen(1, 0), None)
    seen.put(b"b", 2, 60, b"kept")
    assert (seen.finder()(b"a"), seen.finder()(b"b")) == (pack_seen(1, 0), pack_seen(2, 60, b"kept"))
    assert [seen.get(name) for name in (b"a", b"b", b"c")] == [(1, 0, b""), (2, 60, b"kept"), None]


def test_seen_takes_the_later_of_two_under_one_identity() -> None:
    seen = MemorySeen(window=100)
    seen.put(b"a", 1, 0)
    seen.put(b"a", 2, 120)
    assert seen.get(b"a") == (2, 120, b"")


def test_window_is_seven_days() -> None:
    assert DEDUPE_WINDOW == 604_800_000_000


def test_commit_writes_the_tables_in_one_order() -> None:
    state = State()
    assert state.tables == (state.balances, state.accounts, state.ledgers, state.grants)
    assert state.tables[0] is state.balances
    assert state.tables[3] is state.grants
