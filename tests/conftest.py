"""What every test shares."""

import os
from typing import Final

import pytest
from hypothesis import settings

NO_BROKER: Final = "no broker could be had"

# No deadline: a loaded machine is no defect. The blob repeats a failure found elsewhere. Derandomized, a run of
# continuous integration says the same twice; HYPOTHESIS_PROFILE=deep looks further, and elsewhere each time.
settings.register_profile("ci", deadline=None, print_blob=True, derandomize=True)
settings.register_profile("deep", deadline=None, print_blob=True, max_examples=2000)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci"))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Says at the end, where it is read, that nothing was shown about Kafka, in whichever process."""
    skipped = terminalreporter.stats.get("skipped", [])
    for reason in sorted({report.longrepr[2] for report in skipped if NO_BROKER in str(report.longrepr)}):
        terminalreporter.write_line(f"KAFKA NOT TESTED: {reason.removeprefix('Skipped: ')}", yellow=True)
