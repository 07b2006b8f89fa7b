"""The notification log for consumers in other processes: NotificationLog, method by method, over HTTP.

``engine.log.http`` is the other end. Positions travel as objects with the partition as a name, values of records in
base64, so that their bytes arrive as they were written.
"""

import asyncio
import re
from collections.abc import Mapping
from typing import Annotated, Final, TypeVar

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from engine.log.ports import LogRecord, NotificationLog, Unavailable
from projections.api.problems import ProblemError, json_response
from projections.api.service import NoQuery, Service, query_of
from schemas.outputs import Delivery

_CONSUMER: Final = re.compile(r"[A-Za-z0-9._-]{1,64}").fullmatch
_OFFSET_MAX: Final = 2**63 - 1

T = TypeVar("T")

Partition = Annotated[int, msgspec.Meta(ge=0, le=2**31 - 1)]
Offset = Annotated[int, msgspec.Meta(ge=0, le=_OFFSET_MAX)]


class NotificationsQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What to read: up to ``max`` records of ``partition`` from ``offset`` on, waiting ``wait_seconds`` for the first.

    Without ``partition`` nothing is read: the answer says how many partitions there are, after waiting where
    ``wait_seconds`` is given. ``seen`` then says to where the caller has read, as ``partition:offset`` separated by
    commas, so that what arrived in between ends the wait at once.
    """

    partition: Partition | None = None
    offset: Offset = 0
    max: Annotated[int, msgspec.Meta(ge=1)] = 500
    wait_seconds: Annotated[float, msgspec.Meta(ge=0)] = 0.0
    seen: Annotated[str, msgspec.Meta(pattern=r"^(|[0-9]{1,10}:[0-9]{1,19}(,[0-9]{1,10}:[0-9]{1,19})*)$")] = ""


class Notifications(msgspec.Struct, frozen=True):
    """Records in the order of their offsets, and the number of partitions of the topic."""

    partitions: int
    records: list[LogRecord]


class Positions(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Per partition the offset of the next record to read."""

    positions: dict[Partition, Offset]


class Asked(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Notification ids that may have been settled."""

    notifications: list[str]


class Settled(msgspec.Struct, frozen=True):
    """Those that are, sorted."""

    settled: list[str]


class Commit(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Deliveries to record and positions to move, in one durable step."""

    positions: dict[Partition, Offset]
    deliveries: list[Delivery]


_decode_asked = msgspec.json.Decoder(Asked)
_decode_commit = msgspec.json.Decoder(Commit)


async def get_notifications(service: Service, request: Request) -> Response:
    """Reads, waits, or says how many partitions there are."""
    query = query_of(request, NotificationsQuery)
    log = service.notification_log
    seconds = min(query.wait_seconds, service.options.limits.wait_seconds_max)
    try:
        if query.partition is None:
            seen = _seen_of(query.seen, log.partitions)
            if seconds > 0:
                await _wait(service, request, seen, seconds)
            return json_response(Notifications(log.partitions, []))
        _check_partitions({query.partition: query.offset}, log.partitions)
        records_max = min(query.max, service.options.limits.records_max)
        records = await log.read(query.partition, query.offset, records_max)
        if not records and seconds > 0:
            await _wait(service, request, {query.partition: query.offset}, seconds)
            records = await log.read(query.partition, query.offset, records_max)
        return json_response(Notifications(log.partitions, list(records)))
    except Unavailable as error:
        raise service.unavailable(error) from None


async def get_positions(service: Service, request: Request) -> Response:
    """Where a consumer stands."""
    query_of(request, NoQuery)
    try:
        positions = await service.notification_log.positions(_consumer_of(request))
    except Unavailable as error:
        raise service.unavailable(error) from None
    return json_response(Positions(dict(positions)))


async def post_settled(service: Service, request: Request) -> Response:
    """Which notifications a consumer has settled already."""
    query_of(request, NoQuery)
    consumer = _consumer_of(request)
    async with service.bodies.read(request) as body:
        asked = decoded(_decode_asked, body, request)
    _check_count("notifications", len(asked.notifications), service.options.limits.ids_max)
    try:
        settled = await service.notification_log.settled(consumer, asked.notifications)
    except Unavailable as error:
        raise service.unavailable(error) from None
    return json_response(Settled(sorted(settled)))


async def post_commit(service: Service, request: Request) -> Response:
    """Records deliveries and moves positions."""
    query_of(request, NoQuery)
    consumer = _consumer_of(request)
    log = service.notification_log
    async with service.bodies.read(request) as body:
        commit = decoded(_decode_commit, body, request)
        _check_count("deliveries", len(commit.deliveries), service.options.limits.ids_max)
        _check_partitions(commit.positions, log.partitions)
        try:
            await log.commit(consumer, commit.positions, commit.deliveries)
        except Unavailable as error:
            raise service.unavailable(error) from None
    return Response(status_code=204)


async def _wait(service: Service, request: Request, seen: Mapping[int, int], seconds: float) -> None:
    """Returns when there may be something after ``seen``, when the door closes or the caller left, or after
    ``seconds``.

    The wait begins before the look at what is there, so that nothing is missed between the two.
    """
    if service.waits >= service.options.limits.waits_max:
        raise ProblemError(
            429,
            "waits_too_many",
            "too many consumers wait at once; ask again",
            headers={"retry-after": str(service.options.retry_after_seconds)},
        )
    service.waits += 1
    tasks: list[asyncio.Task[object]] = [
        asyncio.create_task(service.notification_log.wait(seconds)),
        asyncio.create_task(service.stopping.wait()),
        asyncio.create_task(_left(request)),
    ]
    try:
        await asyncio.sleep(0)  # a task begins only when this one pauses
        if not await _is_behind(service.notification_log, seen):
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED, timeout=seconds)
            for task in done:
                task.result()
    finally:
        service.waits -= 1
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _left(request: Request) -> None:
    """Returns when the caller has closed the connection: its place among those who wait is another's then."""
    while (await request.receive())["type"] != "http.disconnect":
        pass


async def _is_behind(log: NotificationLog, seen: Mapping[int, int]) -> bool:
    for partition, offset in seen.items():
        if await log.read(partition, offset, 1):
            return True
    return False


def _seen_of(seen: str, partitions: int) -> dict[int, int]:
    pairs = [pair.split(":") for pair in seen.split(",")] if seen else []
    positions = {int(partition): int(offset) for partition, offset in pairs}
    _check_partitions(positions, partitions)
    return positions


def _check_partitions(positions: Mapping[int, int], partitions: int) -> None:
    for partition in positions:
        if partition >= partitions:
            raise ProblemError(
                422, "partition_unknown", f"expected a partition from 0 to {partitions - 1}, found {partition}"
            )


def _check_count(what: str, count: int, most: int) -> None:
    if count > most:
        raise ProblemError(413, "items_too_many", f"expected at most {most} {what} in one request, found {count}")


def _consumer_of(request: Request) -> str:
    consumer: str = request.path_params["consumer"]
    if _CONSUMER(consumer) is None:
        raise ProblemError(422, "consumer_invalid", "expected a consumer of 1 to 64 of A-Z a-z 0-9 . _ -")
    return consumer


def decoded(decoder: msgspec.json.Decoder[T], body: bytes, request: Request) -> T:
    media = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media != "application/json":
        raise ProblemError(415, "media_unsupported", "expected Content-Type application/json")
    try:
        return decoder.decode(body)
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError) as error:
        raise ProblemError(400, "json_invalid", f"the body does not fit: {str(error)[:200]}") from None
