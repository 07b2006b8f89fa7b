"""Signatures of webhooks as Standard Webhooks 1.0.0 defines them: HMAC-SHA256 over id, timestamp and body."""

import base64
import hashlib
import hmac
from collections.abc import Mapping, Sequence
from typing import Final

TOLERANCE_SECONDS: Final = 300
"""How far a timestamp may be from the receiver's clock: what the reference libraries allow."""


class SignatureError(ValueError):
    """A request that is not what its sender signed, or not of now; ``str`` says which."""


def sign(keys: Sequence[bytes], message_id: str, timestamp: int, body: bytes) -> dict[str, str]:
    """The three headers of a webhook; one signature for each key, so that a receiver may change its secret."""
    signatures = " ".join(_signature(key, message_id, str(timestamp), body) for key in keys)
    return {"webhook-id": message_id, "webhook-timestamp": str(timestamp), "webhook-signature": signatures}


def verify(key: bytes, headers: Mapping[str, str], body: bytes, now: int) -> None:
    """Raises SignatureError unless one signature is the key's and the timestamp is near ``now`` (seconds).

    The header names of ``headers`` are in small letters.
    """
    try:
        message_id, timestamp = headers["webhook-id"], headers["webhook-timestamp"]
        given = headers["webhook-signature"].split(" ")
    except KeyError as error:
        raise SignatureError(f"the header {error.args[0]} is missing") from None
    if not (timestamp.isascii() and timestamp.isdigit()) or abs(now - int(timestamp[:15])) > TOLERANCE_SECONDS:
        raise SignatureError(f"webhook-timestamp is not within {TOLERANCE_SECONDS} seconds of now")
    wanted = _signature(key, message_id, timestamp, body).encode()
    if not any([hmac.compare_digest(wanted, signature.encode()) for signature in given]):
        raise SignatureError("no webhook-signature matches the body and the secret")


def _signature(key: bytes, message_id: str, timestamp: str, body: bytes) -> str:
    signed = b".".join((message_id.encode(), timestamp.encode(), body))
    return "v1," + base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
