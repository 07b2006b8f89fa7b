"""The state machine: Hypothesis writes the events, engine and model must agree on all of them at the end."""

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from tests.properties.author import Author
from tests.properties.dice import DrawnDice, SeededDice
from tests.properties.differential import failing
from tests.properties.histories import close, set_up
from tests.properties.runs import HISTORIES

DATA = st.data()


class Clients(RuleBasedStateMachine):
    """Configuration and clients come from a seed; what happens to them is drawn, and shrinks."""

    author: Author

    @initialize(seed=st.integers(0, 10_000))
    def begin(self, seed: int) -> None:
        self.author = Author(SeededDice(seed))
        set_up(self.author)

    def _by(self, data: st.DataObject, *, wait: bool = True) -> Author:
        self.author.dice = DrawnDice(data)
        if wait:
            self.author.wait()
        return self.author

    @rule(data=DATA)
    def charge(self, data: st.DataObject) -> None:
        self._by(data).charge()

    @rule(data=DATA)
    def charge_at_once(self, data: st.DataObject) -> None:
        self._by(data, wait=False).charge()

    @rule(data=DATA)
    def payment(self, data: st.DataObject) -> None:
        self._by(data).payment()

    @rule(data=DATA)
    def adjustment(self, data: st.DataObject) -> None:
        self._by(data).adjustment()

    @rule(data=DATA)
    def credit_limit(self, data: st.DataObject) -> None:
        self._by(data).limit()

    @rule(data=DATA)
    def temporary_credit(self, data: st.DataObject) -> None:
        self._by(data).temporary()

    @rule(data=DATA)
    def invoice(self, data: st.DataObject) -> None:
        self._by(data).invoice()

    @rule(data=DATA)
    def transfer(self, data: st.DataObject) -> None:
        self._by(data).transfer()

    @rule(data=DATA)
    def time_balance(self, data: st.DataObject) -> None:
        self._by(data).units()

    @rule(data=DATA)
    def edit_client(self, data: st.DataObject) -> None:
        self._by(data).edit_client()

    @rule(data=DATA)
    def edit_configuration(self, data: st.DataObject) -> None:
        self._by(data).define()

    @rule(data=DATA)
    def delete_configuration(self, data: st.DataObject) -> None:
        self._by(data).delete()

    @rule(data=DATA)
    def repeat(self, data: st.DataObject) -> None:
        self._by(data).repeat()

    @rule(data=DATA)
    def bad_event(self, data: st.DataObject) -> None:
        self._by(data).spoil()

    @rule(data=DATA)
    def tick(self, data: st.DataObject) -> None:
        self._by(data).tick()

    def teardown(self) -> None:
        if not hasattr(self, "author"):
            return
        self.author.dice = SeededDice(0)
        close(self.author)
        found = failing(self.author.lines)
        if found is not None:
            shown = "\n".join(line.decode(errors="replace") for line in self.author.lines)
            pytest.fail(f"{found}\n{shown}", pytrace=False)


TestClients = Clients.TestCase
TestClients.settings = settings(max_examples=HISTORIES, stateful_step_count=40)
