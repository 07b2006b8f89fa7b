"""Options of the mailer and the SMS consumer: what an operator may set, and the sentence for what is wrong.

``mail_options`` and ``sms_options`` read plain values (of a TOML table, of the environment); the Structs may also be
made in code. Both ways check everything and raise OptionsError with one sentence: expected, found, what to do.
"""

import base64
import binascii
import ipaddress
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Final, Literal, TypeVar
from urllib.parse import urlsplit

import msgspec

TlsMode = Literal["starttls", "implicit", "opportunistic", "none"]
SmsTransportKind = Literal["webhook", "kannel"]

_PORTS: Final[dict[TlsMode, int]] = {"starttls": 587, "implicit": 465, "opportunistic": 25, "none": 25}
_DOMAIN = re.compile(r"[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?(\.[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?)*")
_EMAIL = re.compile(r"[^\s@<>]+@[^\s@<>]+")
_LANGUAGE = re.compile(r"[a-z]{2,8}(-[a-z0-9]{1,8})*")
_SECRET_BYTES_MIN: Final = 24
_SECRET_BYTES_MAX: Final = 64  # both bounds are those of Standard Webhooks
_SECRETS: Final = frozenset({"password", "secret", "secret_previous"})


class OptionsError(ValueError):
    """An option that cannot be used; ``str`` is one sentence for whoever wrote it."""


class DeliveryOptions(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How a channel reads, retries and stops. Every bound says why it has its value."""

    window_notifications_max: int = 500
    """Unresolved notifications held for each partition: one that waits for its retry holds up the position, not the
    500 behind it. With 12 partitions at about 1 KB each this is 6 MB."""
    read_records_max: int = 200
    """Records of one read, so that no partition keeps the others waiting."""
    concurrency_max: int = 8
    """Messages under way at once, each on a connection of its own; common servers allow 10 to 50 from one host."""
    attempts_max: int = 10
    """Refusals of one message that count (others were taken meanwhile) before it is given up. With the back-off
    below ten attempts span 20 minutes, which outlasts ordinary greylisting."""
    deferral_seconds_max: int = 4 * 86_400
    """A message that an answering peer keeps deferring is given up after this long even where no other traffic shows
    the peer to be well: the least that RFC 5321 section 4.5.4.1 asks of a queue."""
    backoff_first_seconds: float = 5.0
    """Wait before the second attempt of a message; doubles with each."""
    backoff_max_seconds: float = 300.0
    """Longest wait between two attempts of a message."""
    down_first_seconds: float = 1.0
    """Wait before a peer that is down is tried again; doubles with each try."""
    down_max_seconds: float = 30.0
    """Longest wait between two tries of a peer that is down: after an outage mail flows within half a minute."""
    retry_after_seconds_max: float = 3600.0
    """A peer's own Retry-After is believed up to here."""
    positions_seconds: float = 1.0
    """How often a position is written that moved only over the other channel's notifications."""
    stop_seconds: float = 10.0
    """What is under way at a stop may finish within this; the rest is cancelled and sent again after the start."""

    def __post_init__(self) -> None:
        for name in self.__struct_fields__:
            value = getattr(self, name)
            least = 0 if name == "stop_seconds" else 1 if isinstance(value, int) else 0.001
            if value < least:
                raise OptionsError(f"{name}: expected at least {least}, found {value}; raise it")
        for first, last in (
            ("backoff_first_seconds", "backoff_max_seconds"),
            ("down_first_seconds", "down_max_seconds"),
        ):
            if getattr(self, first) > getattr(self, last):
                raise OptionsError(
                    f"{first}: expected at most {last} ({getattr(self, last)}), found {getattr(self, first)}; lower it"
                )


class _Options(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What both channels have. ``language`` is for notifications that name none, or one without templates."""

    templates_dir: str | None = None
    language: str = "en"
    brand: str = ""
    delivery: DeliveryOptions = msgspec.field(default_factory=DeliveryOptions)

    def __repr__(self) -> str:
        shown = {
            name: "***" if name in _SECRETS and getattr(self, name) else getattr(self, name)
            for name in self.__struct_fields__
        }
        return f"{type(self).__name__}({', '.join(f'{name}={value!r}' for name, value in shown.items())})"

    def __post_init__(self) -> None:
        if _LANGUAGE.fullmatch(self.language) is None:
            raise OptionsError(
                f"language: expected a language tag in small letters such as en or uk, found {self.language!r}"
            )
        if self.templates_dir is not None and not Path(self.templates_dir).is_dir():
            raise OptionsError(
                f"templates_dir: expected a folder, found none at {self.templates_dir!r}; make it, or leave it out"
                " to use the templates that come with the product"
            )


class MailOptions(_Options, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Where mail goes and as whom.

    ``tls``: starttls (port 587) and implicit (465) require TLS with a certificate that verifies, against the system's
    authorities or ``ca_file``; opportunistic (25) uses STARTTLS where it is offered; none (25) never does.
    ``domain`` ends the Message-ID; the sender's domain where empty. Times in seconds.
    """

    host: str = "127.0.0.1"
    port: int | None = None
    tls: TlsMode = "opportunistic"
    ca_file: str | None = None
    username: str | None = None
    password: str | None = None
    sender: str = "plimsoll@localhost.localdomain"
    sender_name: str = ""
    reply_to: str | None = None
    domain: str = ""
    helo: str = ""
    connect_seconds: float = 15.0
    command_seconds: float = 60.0
    data_seconds: float = 600.0
    """How long the answer to a message's end may take. Long on purpose (RFC 5321 section 4.5.3.2.6): giving up here
    leaves it unknown whether the server took the message, and then it is sent twice."""
    idle_seconds: float = 10.0
    """A connection with nothing to send is closed after this."""
    connection_messages_max: int = 100
    """Messages of one connection: servers drop connections that send more."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.host or any(character.isspace() for character in self.host):
            raise OptionsError(f"host: expected a host name or an address, found {self.host!r}")
        if self.port is not None and not 1 <= self.port <= 65_535:
            raise OptionsError(f"port: expected 1 to 65535, found {self.port}")
        for name in ("sender", "reply_to"):
            address = getattr(self, name)
            if address is not None and (_EMAIL.fullmatch(address) is None or not address.isascii()):
                raise OptionsError(
                    f"{name}: expected an ASCII e-mail address such as no-reply@example.net, found {address!r}"
                )
        for name in ("domain", "helo"):
            if getattr(self, name) and _DOMAIN.fullmatch(getattr(self, name)) is None:
                raise OptionsError(f"{name}: expected a domain name such as example.net, found {getattr(self, name)!r}")
        if not self.sender_name.isprintable():
            raise OptionsError("sender_name: expected one line of text, found a control character")
        if (self.username is None) != (self.password is None):
            raise OptionsError("username and password: expected both or neither; set the one that is missing")
        if self.password is not None and self.tls in ("none", "opportunistic") and not is_loopback(self.host):
            raise OptionsError(
                f"tls: {self.tls!r} could send the password to {self.host} in clear; set starttls or implicit"
            )
        if self.ca_file is not None and not Path(self.ca_file).is_file():
            raise OptionsError(f"ca_file: expected a PEM file, found none at {self.ca_file!r}")
        for name in ("connect_seconds", "command_seconds", "data_seconds", "idle_seconds"):
            if getattr(self, name) <= 0:
                raise OptionsError(f"{name}: expected more than 0 seconds, found {getattr(self, name)}")
        if self.connection_messages_max < 1:
            raise OptionsError(f"connection_messages_max: expected at least 1, found {self.connection_messages_max}")

    @property
    def port_used(self) -> int:
        """``port``, or the customary one of the TLS mode."""
        return _PORTS[self.tls] if self.port is None else self.port

    @property
    def message_domain(self) -> str:
        """What stands after the ``@`` of a Message-ID."""
        return self.domain or self.sender.rpartition("@")[2]


class SmsOptions(_Options, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Where SMS go.

    webhook: one POST a notification to ``url``, signed with ``secret`` (and, while it is being changed, also with
    ``secret_previous``) as Standard Webhooks says. kannel: one request a phone number to ``url`` (its sendsms
    address) with ``username`` and ``password``; ``method`` GET puts them into the address, POST into headers.
    """

    url: str
    transport: SmsTransportKind = "webhook"
    secret: str | None = None
    secret_previous: str | None = None
    username: str | None = None
    password: str | None = None
    method: Literal["GET", "POST"] = "GET"
    sender: str = ""
    smsc: str = ""
    ca_file: str | None = None
    proxy: str | None = None
    connect_seconds: float = 10.0
    answer_seconds: float = 30.0
    segments_max: int = 3
    """Parts of one SMS, each paid for: 3 are 459 characters of GSM 03.38, or 201 of any other alphabet."""

    def __post_init__(self) -> None:
        super().__post_init__()
        try:
            parts = urlsplit(self.url)
            host, _ = parts.hostname or "", parts.port
        except ValueError:
            raise OptionsError(
                f"url: expected an address such as https://sms.example.net/send, found {self.url!r}"
            ) from None
        if parts.scheme not in ("http", "https") or not host:
            raise OptionsError(f"url: expected an http or https address, found {self.url!r}")
        if parts.username is not None or parts.password is not None:
            raise OptionsError("url: expected no user or password in it; use username and password")
        match self.transport:
            case "webhook":
                if self.secret is None:
                    raise OptionsError("secret: expected whsec_ and base64, found none; the webhook is always signed")
            case "kannel":
                if self.username is None or self.password is None:
                    raise OptionsError("username and password: expected both for kannel (its sendsms-user); set them")
        for name in ("secret", "secret_previous"):
            if getattr(self, name) is not None:
                secret_key(getattr(self, name), name)
        for name in ("sender", "smsc"):
            if not getattr(self, name).isprintable():
                raise OptionsError(f"{name}: expected one line of text, found a control character")
        if self.ca_file is not None and not Path(self.ca_file).is_file():
            raise OptionsError(f"ca_file: expected a PEM file, found none at {self.ca_file!r}")
        for name in ("connect_seconds", "answer_seconds"):
            if getattr(self, name) <= 0:
                raise OptionsError(f"{name}: expected more than 0 seconds, found {getattr(self, name)}")
        if not 1 <= self.segments_max <= 10:
            raise OptionsError(f"segments_max: expected 1 to 10, found {self.segments_max}")


def secret_key(secret: str, name: str = "secret") -> bytes:
    """The key of a ``whsec_`` secret (24 to 64 bytes in base64); raises OptionsError without repeating it."""
    try:
        key = base64.b64decode(secret.removeprefix("whsec_"), validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if not secret.startswith("whsec_") or not _SECRET_BYTES_MIN <= len(key) <= _SECRET_BYTES_MAX:
        raise OptionsError(
            f"{name}: expected whsec_ and {_SECRET_BYTES_MIN} to {_SECRET_BYTES_MAX} bytes in base64, found something"
            " else; make one from 32 random bytes"
        )
    return key


def is_loopback(host: str) -> bool:
    """Whether ``host`` is this machine itself."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


_OptionsT = TypeVar("_OptionsT", MailOptions, SmsOptions)


def mail_options(values: Mapping[str, object]) -> MailOptions:
    """The mailer's options from plain values; raises OptionsError. Numbers and booleans may be text."""
    return _read(values, MailOptions)


def sms_options(values: Mapping[str, object]) -> SmsOptions:
    """The SMS consumer's options from plain values; raises OptionsError. Numbers and booleans may be text."""
    return _read(values, SmsOptions)


def _read(values: Mapping[str, object], cls: type[_OptionsT]) -> _OptionsT:
    try:
        return msgspec.convert(dict(values), cls, strict=False)
    except msgspec.ValidationError as error:
        if isinstance(error.__cause__, OptionsError):
            raise error.__cause__ from None
        known = ", ".join(cls.__struct_fields__)
        raise OptionsError(f"{error}; the options are: {known}") from None
