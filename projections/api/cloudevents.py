"""CloudEvents 1.0 over HTTP: structured, batch and binary mode, turned into the contract's flat event.

The event is the ``data`` object. Where it lacks a field, the attribute fills it: ``type``, ``id``, ``source`` and
``time`` as they are named, ``subject`` as ``client`` (for types that belong to a client). A field that is present
in the data stays, whatever the attribute says. Other attributes and extensions are not used.
"""

import base64
import binascii
from typing import Final
from urllib.parse import unquote

import msgspec
from starlette.datastructures import Headers

from schemas.events import EVENT_TYPES, ClientEvent
from schemas.readers import tag_of
from schemas.reasons import Reason, Refusal

STRUCTURED: Final = "application/cloudevents+json"
BATCH: Final = "application/cloudevents-batch+json"

_CLIENT_TYPES: Final = frozenset(tag_of(cls) for cls in EVENT_TYPES if issubclass(cls, ClientEvent))


class Envelope(msgspec.Struct, frozen=True):
    """The attributes of a CloudEvent that are used, as on the wire in structured mode; empty ``data``: absent."""

    specversion: str
    id: str
    source: str
    type: str
    time: str | None = None
    subject: str | None = None
    datacontenttype: str | None = None
    data: msgspec.Raw = msgspec.Raw()
    data_base64: str | None = None


_decode_envelope = msgspec.json.Decoder(Envelope).decode
_decode_fields = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_decode_text = msgspec.json.Decoder(str).decode
_encode = msgspec.json.Encoder().encode


def from_envelope(raw: bytes) -> bytes | Refusal:
    """The event of one CloudEvent in structured mode, or why there is none."""
    try:
        envelope = _decode_envelope(raw)
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError) as error:
        return _refused(f"expected a CloudEvent in structured mode, found another: {str(error)[:120]}")
    data = bytes(envelope.data)
    if envelope.data_base64 is None:
        return _filled(envelope, data or b"{}")
    if data:
        return _refused("expected data or data_base64, found both")
    try:
        return _filled(envelope, base64.b64decode(envelope.data_base64, validate=True))
    except (binascii.Error, ValueError):
        return _refused("data_base64: expected base64, found something else")


def from_headers(headers: Headers, body: bytes) -> bytes | Refusal:
    """The event of one CloudEvent in binary mode: ``body`` is the data, the ``ce-`` headers are the attributes."""
    missing = [f"ce-{name}" for name in ("id", "source", "type") if f"ce-{name}" not in headers]
    if missing:
        return _refused(f"expected the headers ce-id, ce-source and ce-type, found no {missing[0]}")

    def attribute(name: str) -> str | None:
        value = headers.get(f"ce-{name}")
        return None if value is None else unquote(value)

    envelope = Envelope(
        specversion=headers["ce-specversion"],
        id=unquote(headers["ce-id"]),
        source=unquote(headers["ce-source"]),
        type=unquote(headers["ce-type"]),
        time=attribute("time"),
        subject=attribute("subject"),
    )
    return _filled(envelope, body)


def _filled(envelope: Envelope, data: bytes) -> bytes | Refusal:
    if envelope.specversion != "1.0":
        return _refused("specversion: expected 1.0, found another")
    media = (envelope.datacontenttype or "application/json").partition(";")[0].strip().lower()
    if media != "application/json" and not media.endswith("+json"):
        return _refused("datacontenttype: expected application/json, found another")
    try:
        fields = _decode_fields(data)
        type_ = _decode_text(fields["type"]) if "type" in fields else envelope.type
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError) as error:
        return _refused(f"data: expected the event as a JSON object, found another: {str(error)[:120]}")
    attributes = {"type": envelope.type, "id": envelope.id, "source": envelope.source, "time": envelope.time}
    if type_ in _CLIENT_TYPES:
        attributes["client"] = envelope.subject
    lacking = {name: value for name, value in attributes.items() if value is not None and name not in fields}
    if not lacking:
        return data
    return _encode({**{name: msgspec.Raw(_encode(value)) for name, value in lacking.items()}, **fields})


def _refused(message: str) -> Refusal:
    return Refusal(Reason.MALFORMED, message)
