"""Quix Streams doing the charge work: exactly once, state in RocksDB with a changelog, one change record a charge.

Run as ``python quix_app.py`` in a venv of ``requirements.lock``, with BOOTSTRAP, SOURCE, SINK, DATA and APP in the
environment. Everything is its default but the guarantee and how long a transaction may be open (the benchmark's broker
allows 10 s; it commits every 5 s).
"""

import os
from typing import Any

from quixstreams import Application, State

OPENING_MICROS = 100_000_000
_TRANSACTION_MS_MAX = 10_000


def micros(amount: str) -> int:
    """A decimal string of at most 6 digits after the point."""
    whole, _, part = amount.partition(".")
    return int(whole) * 1_000_000 + int(part.ljust(6, "0"))


def charge(event: dict[str, Any], state: State) -> dict[str, Any]:
    """The balance after a charge, and the change record that says so."""
    live, version = state.get("balance", [OPENING_MICROS, 0])
    live, version = live - micros(event["amount"]), version + 1
    state.set("balance", [live, version])
    return {
        "output": "change",
        "client": event["client"],
        "version": version,
        "at": event["time"],
        "cause": {"source": event["source"], "id": event["id"]},
        "live_micros": live,
    }


def main() -> None:
    """Works until it is stopped."""
    app = Application(
        broker_address=os.environ["BOOTSTRAP"],
        consumer_group=os.environ["APP"],
        auto_offset_reset="earliest",
        processing_guarantee="exactly-once",
        state_dir=os.environ["DATA"],
        producer_extra_config={"transaction.timeout.ms": _TRANSACTION_MS_MAX},
        loglevel="WARNING",
    )
    source = app.topic(os.environ["SOURCE"], key_deserializer="str", value_deserializer="json")
    sink = app.topic(os.environ["SINK"], key_serializer="str", value_serializer="json")
    app.dataframe(source).apply(charge, stateful=True).to_topic(sink)
    app.run()


if __name__ == "__main__":
    main()
