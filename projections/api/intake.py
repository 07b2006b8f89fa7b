"""From a request's body to events: one JSON text each, as received, without reading what is in them.

Lines are split by their line feed and array items by msgspec, so that the door costs an event well under a
microsecond; the engine's codec reads each event once, later.
"""

from collections.abc import Callable
from functools import partial
from typing import Final

import msgspec
from starlette.datastructures import Headers

from engine.log.ports import Answer
from projections.api import cloudevents
from projections.api.options import Limits
from projections.api.problems import ProblemError
from schemas.reasons import Reason, Refusal

JSON: Final = "application/json"
NDJSON: Final = "application/x-ndjson"
MEDIA_ACCEPTED: Final = (JSON, NDJSON, cloudevents.STRUCTURED, cloudevents.BATCH)
_NDJSON_NAMES: Final = frozenset({NDJSON, "application/ndjson", "application/jsonl"})
_BOM: Final = b"\xef\xbb\xbf"
_SPACE: Final = b" \t\r\n"
_COMMAS_AN_EVENT_MAX: Final = 40
"""An array of millions of tiny values would cost dozens of times its size in memory before it can be counted."""

_decode_items = msgspec.json.Decoder(list[msgspec.Raw]).decode


class Intake(msgspec.Struct, frozen=True):
    """What is to be submitted, in order, and what was refused here: by its index among all items, ascending."""

    events: list[bytes]
    refused: list[tuple[int, Answer]]
    single: bool

    def answers(self, submitted: list[Answer]) -> list[Answer]:
        """One answer per item of the request: those of the submission with the refusals of the door put in place."""
        assert len(submitted) == len(self.events), "an ingest gives one answer per event"
        answers = list(submitted) if self.refused else submitted
        for index, answer in self.refused:
            answers.insert(index, answer)
        return answers


def intake_of(body: bytes, headers: Headers, limits: Limits) -> Intake:
    """The events of a body by its content type. Raises ProblemError 400, 413 or 415."""
    media = _media_of(headers)
    if media in _NDJSON_NAMES:
        return _bounded(_lines(body, limits), limits, single=False)
    if media == JSON and "ce-specversion" in headers:
        return _converted([body], partial(cloudevents.from_headers, headers), limits, single=True)
    text = body.strip(_SPACE) if body[:3] != _BOM else body[3:].strip(_SPACE)
    if not text:
        raise ProblemError(400, "body_empty", "expected JSON, found only white space")
    if media == cloudevents.BATCH:
        return _converted(_items(text, limits), cloudevents.from_envelope, limits, single=False)
    if media == cloudevents.STRUCTURED:
        return _converted([text], cloudevents.from_envelope, limits, single=True)
    if text[:1] == b"[":
        return _bounded(_items(text, limits), limits, single=False)
    return _bounded([text], limits, single=True)


def _media_of(headers: Headers) -> str:
    media, _, parameters = headers.get("content-type", "").partition(";")
    media = media.strip().lower()
    known = media in _NDJSON_NAMES or media in MEDIA_ACCEPTED
    name, _, charset = parameters.partition("=")
    if known and (name.strip().lower() != "charset" or charset.strip().strip('"').lower() in ("utf-8", "utf8")):
        return media
    raise ProblemError(
        415,
        "media_unsupported",
        f"expected Content-Type {', '.join(MEDIA_ACCEPTED)}, in UTF-8; found "
        + (repr(headers["content-type"][:100]) if "content-type" in headers else "none"),
        headers={"accept-post": ", ".join(MEDIA_ACCEPTED)},
    )


def _lines(body: bytes, limits: Limits) -> list[bytes]:
    if body[:3] == _BOM:
        body = body[3:]
    line_feeds = body.count(b"\n")
    if line_feeds > 2 * limits.events_max:  # before the split, which costs 40 bytes of memory a line
        _check_count(line_feeds, limits)
    lines = body.split(b"\n")
    if b"\r" in body:
        lines = [line.rstrip(b"\r") for line in lines]
    events = [line for line in lines if line and not line.isspace()]
    if not events:
        raise ProblemError(400, "body_empty", "expected one event per line, found only blank lines")
    return events


def _items(text: bytes, limits: Limits) -> list[bytes]:
    if text.count(b",") > _COMMAS_AN_EVENT_MAX * limits.events_max:
        _check_count(text.count(b","), limits)
    try:
        items = _decode_items(text)
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError) as error:
        raise ProblemError(
            400,
            "json_invalid",
            f"expected a JSON array of events, found no such array: {str(error)[:120]}",
            reason=Reason.MALFORMED.value,
        ) from None
    _check_count(len(items), limits)
    return [bytes(item) for item in items]


def _check_count(count: int, limits: Limits) -> None:
    if count > limits.events_max:
        raise ProblemError(
            413,
            "events_too_many",
            f"expected at most {limits.events_max} events in one request; send smaller batches",
        )


def _bounded(items: list[bytes], limits: Limits, *, single: bool) -> Intake:
    _check_count(len(items), limits)
    most = limits.event_bytes_max
    if max(map(len, items), default=0) <= most:
        return Intake(items, [], single)
    refused = [(index, _too_long(item, most)) for index, item in enumerate(items) if len(item) > most]
    return Intake([item for item in items if len(item) <= most], refused, single)


def _converted(
    items: list[bytes], convert: Callable[[bytes], bytes | Refusal], limits: Limits, *, single: bool
) -> Intake:
    most = limits.event_bytes_max
    events: list[bytes] = []
    refused: list[tuple[int, Answer]] = []
    for index, item in enumerate(items):
        event = item if len(item) > most else convert(item)  # converting costs many times an item's own memory
        if isinstance(event, Refusal):
            refused.append((index, Answer("refused", reason=event.reason.value, message=event.message)))
        elif len(event) > most:
            refused.append((index, _too_long(event, most)))
        else:
            events.append(event)
    return Intake(events, refused, single)


def _too_long(item: bytes, most: int) -> Answer:
    message = f"expected an event of at most {most} bytes, found {len(item)}"
    return Answer("refused", reason=Reason.MALFORMED.value, message=message)
