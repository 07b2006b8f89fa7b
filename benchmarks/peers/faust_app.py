"""Stock Faust doing the charge work: one agent, one table in RocksDB, one change record a charge.

Run as ``python faust_app.py`` with BOOTSTRAP, SOURCE, SINK, DATA, APP and GUARANTEE in the environment. Everything is
Faust's default but the store (RocksDB, by rocksdict), the web server (off) and, where it is exactly once, how long a
transaction may be open: the benchmark's broker allows 10 s, Faust asks for 60 s and has no setting for it.
"""

import os
import sys
from collections.abc import Mapping
from typing import Any

import faust
import msgspec
from faust.transport.drivers import aiokafka as driver

OPENING_MICROS = 100_000_000
_TRANSACTION_MS_MAX = 10_000


class Charge(msgspec.Struct):
    """What the work needs of an event."""

    id: str
    source: str
    client: str
    time: str
    amount: str


decode = msgspec.json.Decoder(Charge).decode
encode = msgspec.json.Encoder().encode


def micros(amount: str) -> int:
    """A decimal string of at most 6 digits after the point."""
    whole, _, part = amount.partition(".")
    return int(whole) * 1_000_000 + int(part.ljust(6, "0"))


class Producer(driver.Producer):
    """Faust's own, with a shorter transaction."""

    def _settings_extra(self) -> Mapping[str, Any]:
        settings = dict(super()._settings_extra())
        return settings | {"transaction_timeout_ms": _TRANSACTION_MS_MAX}


def build() -> faust.App:
    """The app that the environment describes."""
    guarantee = os.environ["GUARANTEE"]
    app = faust.App(
        os.environ["APP"],
        broker=f"kafka://{os.environ['BOOTSTRAP']}",
        store="rocksdb://",
        datadir=os.environ["DATA"],
        topic_partitions=int(os.environ["PARTITIONS"]),
        topic_replication_factor=1,
        processing_guarantee=guarantee,
        web_enabled=False,
    )
    if guarantee == "exactly_once":
        driver.Transport.Producer = Producer
    source = app.topic(os.environ["SOURCE"], key_type=bytes, value_type=bytes, value_serializer="raw")
    sink = app.topic(os.environ["SINK"], key_type=bytes, value_type=bytes, value_serializer="raw")
    balances = app.Table("balances", default=lambda: [OPENING_MICROS, 0])

    @app.agent(source)
    async def charge(values: Any) -> None:  # Any: Faust's streams have no usable types
        async for raw in values:
            event = decode(raw)
            live, version = balances[event.client]
            live, version = live - micros(event.amount), version + 1
            balances[event.client] = [live, version]
            change = {
                "output": "change",
                "client": event.client,
                "version": version,
                "at": event.time,
                "cause": {"source": event.source, "id": event.id},
                "live_micros": live,
            }
            await sink.send(key=event.client.encode(), value=encode(change))

    return app


if __name__ == "__main__":
    sys.argv = ["faust", "worker", "--loglevel=warn"]
    build().main()
