"""Histories that are moved or written to a file: a data folder, a file of events as for `replay`."""

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final, TypeVar

import msgspec

from engine.core.fold import Record
from engine.embedded.stored_log import stored_logs_and_deliveries
from engine.lines import open_input, read_lines
from engine.moving import History
from schemas.codec import decode_line
from schemas.events import Channel

CONSUMERS: Final[dict[Channel, str]] = {"email": "mailer", "sms": "sms"}
"""Who delivers the notifications of a channel."""
_LINE_BYTES_MAX: Final = 64 * 1024 * 1024  # as in `replay`

Delivered = tuple[str, bytes, str]
"""A delivery that was recorded: its client, its record, and the consumer whose it is."""
T = TypeVar("T")


class _Delivery(msgspec.Struct):
    client: str
    channel: Channel


@asynccontextmanager
async def folder_history(folder: Path) -> AsyncIterator[tuple[History, AsyncIterator[Delivered]]]:
    """The history of a stopped product. Raises WrongUse for a folder that is none, StoreError where it is in use."""
    with stored_logs_and_deliveries(folder) as (logs, deliveries):
        yield History([_each(records) for records in logs]), _each(map(_delivered, deliveries))


def _delivered(raw: bytes) -> Delivered:
    delivery = msgspec.json.decode(raw, type=_Delivery)
    return delivery.client, raw, CONSUMERS[delivery.channel]


@asynccontextmanager
async def file_history(file: str) -> AsyncIterator[tuple[History, AsyncIterator[Delivered]]]:
    """A file of events, one a line, in the order of their log times; transfers are settled at once. Raises WrongUse."""
    with open_input(file) as stream:
        lines = read_lines(stream, file, line_bytes_max=_LINE_BYTES_MAX)
        records = (_record(line.data) for line in lines if line.data.strip())
        yield History([_each(records)], legs_follow=True), _each(())


def _record(raw: bytes) -> Record:
    decoded = decode_line(raw)
    return Record(decoded.at, decoded.event, raw)


async def _each(items: Iterable[T]) -> AsyncIterator[T]:
    for item in items:
        yield item
