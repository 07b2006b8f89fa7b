"""Why a cluster cannot be reached, or does not let us do what is needed.

aiokafka logs the reason of each broker and raises only that none was left, and says of what was denied only the name.
"""

import ssl
from typing import Any, Final

import msgspec
from aiokafka.conn import create_conn
from aiokafka.errors import (
    ClusterAuthorizationFailedError,
    GroupAuthorizationFailedError,
    KafkaError,
    SaslAuthenticationFailed,
    TopicAuthorizationFailedError,
    TransactionalIdAuthorizationFailed,
    UnsupportedSaslMechanismError,
)
from aiokafka.protocol.metadata import MetadataRequest

from engine.connection import Connection, addresses
from engine.kafka.clients import security

_REQUEST_MS_MAX: Final = 10_000
_TABLE: Final = '"What each process needs" in deploy/kafka/README.md'


class Refused(msgspec.Struct, frozen=True):
    """Why a broker does not let us in; ``passes`` where waiting may help, not only another setting."""

    text: str
    passes: bool = False


def why_denied(error: BaseException, connection: Connection) -> str | None:
    """What the cluster's ACLs do not let us do, and what to grant; None for a failure of another kind.

    ``error``: with names as its first argument, and the operation as its second where that is known.
    """
    named, operation = "", None
    if error.args:
        named, operation = _named(error.args[0]), error.args[1] if len(error.args) > 1 else None
    match error:
        case TopicAuthorizationFailedError():
            denied = f"{operation or 'what is needed'} on Topic {named}"
        case GroupAuthorizationFailedError():
            denied = f"Read on Group {named}"
        case TransactionalIdAuthorizationFailed():
            denied = f"Write on TransactionalId {named}"
        case ClusterAuthorizationFailedError():
            denied = "Write on any Topic"  # what a producer without transactions is told
        case _:
            return None
    who = "this client" if connection.username is None else repr(connection.username)
    return f"the Kafka cluster at {connection.bootstrap} does not allow {who} {denied}: grant what {_TABLE} says"


def _named(given: object) -> str:
    return ", ".join(sorted(map(str, given))) if isinstance(given, list | set) else str(given)


async def why_unreachable(connection: Connection) -> Refused | None:
    """The reason, in words, why the first broker that has one does not let us in; None where all of them do now."""
    arguments: dict[str, Any] = security(connection)  # Any: keyword arguments of aiokafka's
    del arguments["bootstrap_servers"]
    for host, port in addresses(connection.bootstrap):
        try:
            found = await create_conn(host, port, request_timeout_ms=_REQUEST_MS_MAX, **arguments)
            try:
                # A broker that wants SASL answers nothing but which versions it speaks before it.
                await found.send(MetadataRequest([]))
            finally:
                found.close()
        except (KafkaError, OSError, TimeoutError) as error:
            # What a broker has against our certificate comes with the end of the connection, as its cause.
            told = error.__cause__ if isinstance(error.__cause__, ssl.SSLError) else error
            return _in_words(told, f"{host}:{port}", connection)
    return None


def _in_words(error: Exception, broker: str, connection: Connection) -> Refused:
    match error:
        case ssl.SSLCertVerificationError():
            authority = connection.ca_file or "the system's authorities"
            return Refused(
                f"the certificate of {broker} is not one that kafka.ca_file ({authority}) vouches for:"
                f" {error.verify_message or error.reason}"
            )
        case ssl.SSLError():
            return Refused(
                f"{broker} does not speak TLS as asked ({error.reason}): see kafka.tls and kafka.certificate_file"
            )
        case SaslAuthenticationFailed():
            return Refused(
                f"{broker} does not take kafka.username {connection.username!r} with this kafka.password by"
                f" {connection.sasl}"
            )
        case UnsupportedSaslMechanismError():
            return Refused(f"{broker} does not offer {connection.sasl}: set kafka.sasl to what it does")
        case TimeoutError():
            return Refused(f"{broker} does not answer within {_REQUEST_MS_MAX // 1000} s", passes=True)
        case KafkaError():
            return Refused(
                f"{broker} ended the connection without a word, as one does that starts or stops, or that expects"
                f" TLS or SASL: see kafka.tls and kafka.sasl (now {connection.protocol})",
                passes=True,
            )
        case _:
            return Refused(f"{broker}: {getattr(error, 'strerror', None) or error}", passes=True)
