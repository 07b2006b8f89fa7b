"""What a torture run did and saw, as a table."""

from collections import Counter

import msgspec


class Phase(msgspec.Struct):
    """One phase: its name, its seconds, the longest wait of a committed reader of `events` for a record, and the
    longest in which some partition had no change under load."""

    name: str
    seconds: float = 0.0
    held_up_seconds: float = 0.0
    gap_seconds: float = 0.0
    note: str = ""


class Report(msgspec.Struct):
    """``kills`` by point; ``landed`` where they were found to have landed; ``counts`` what was compared."""

    seed: int
    kills: Counter[str] = msgspec.field(default_factory=Counter)
    landed: Counter[str] = msgspec.field(default_factory=Counter)
    counts: Counter[str] = msgspec.field(default_factory=Counter)
    phases: list[Phase] = msgspec.field(default_factory=list)
    stop_seconds_max: float = 0.0
    """The longest that a worker took to end after SIGTERM."""

    def table(self) -> str:
        """For people."""
        lines = [f"seed {self.seed}", "", f"{'phase':<50}{'seconds':>9}{'held up s':>11}{'no change s':>13}"]
        lines += [
            f"{phase.name:<50}{phase.seconds:>9.1f}{phase.held_up_seconds:>11.2f}{phase.gap_seconds:>13.2f}"
            f"  {phase.note}".rstrip()
            for phase in self.phases
        ]
        for title, counter in (("killed at", self.kills), ("found after a kill", self.landed), ("held", self.counts)):
            lines += ["", f"{title:<50}{'count':>9}"]
            lines += [f"{name:<50}{count:>9,}" for name, count in sorted(counter.items())]
        lines += ["", f"{'slowest end after SIGTERM, seconds':<50}{self.stop_seconds_max:>9.2f}"]
        return "\n".join(lines)
