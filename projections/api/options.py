"""How the door is configured, every bound with its reason, and what makes a configuration unusable."""

import ipaddress
import re
from functools import lru_cache
from typing import Final, Literal

import msgspec

Scope = Literal["ingest", "read", "operate"]

KEYS_MAX: Final = 200
"""Each request is compared with every key, so that its time does not tell which one came close."""

_NAME: Final = re.compile(r"[A-Za-z0-9._-]{1,64}").fullmatch
_SHA256: Final = re.compile(r"[0-9a-f]{64}").fullmatch


class OptionsError(ValueError):
    """A configuration that cannot be used; ``str`` says what was expected, what was found and what to do."""

    retriable = False
    exit_code = 2


class ApiKey(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A bearer key by the SHA-256 of its text in lower-case hex, and what its holder may do."""

    name: str
    sha256: str
    scopes: tuple[Scope, ...]


class Limits(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What one sender, and all of them together, can make this process hold or wait for."""

    body_bytes_max: int = 8 * 1024 * 1024
    """One request's body. Larger is answered 413 as soon as it is known."""
    bodies_bytes_max: int = 32 * 1024 * 1024
    """All bodies that are held at one time; with the events split from them the door costs up to three times this
    in memory. Beyond it, 503."""
    event_bytes_max: int = 256 * 1024
    """One event. The longest legitimate one, a profile with every list full, is below this."""
    events_max: int = 10_000
    """Events in one request: its answers are held together, and one sender should not fill the ingest queue."""
    requests_max: int = 256
    """Requests in flight, waiting ones included. Beyond it, 503; health is still answered."""
    waits_max: int = 64
    """Consumers that wait for notifications at one time, so that they leave room for the senders."""
    wait_seconds_max: float = 30.0
    """The longest wait for notifications: below what proxies between us and the consumer usually allow."""
    records_max: int = 1_000
    """Notifications in one answer."""
    ids_max: int = 10_000
    """Notification ids or deliveries in one request of a consumer."""
    connections_max: int = 1_000
    """Open connections; the next one is answered 503 and closed."""
    head_bytes_max: int = 64 * 1024
    """Request line and headers of one request."""
    head_seconds_max: float = 10.0
    """How long a connection may take to send them."""
    body_seconds_max: float = 30.0
    """How long a sender may take for its body."""
    keep_alive_seconds_max: float = 75.0
    """How long a connection may be idle between two requests."""


class ApiOptions(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The door: where it listens, who may pass, and its limits. ``port`` 0 takes a free one."""

    host: str = "127.0.0.1"
    port: int = 8080
    auth: Literal["keys", "off"] = "keys"
    keys: tuple[ApiKey, ...] = ()
    metrics_protected: bool = False
    """Whether ``/metrics`` needs scope read (only where ``auth`` is on)."""
    tls_certificate: str | None = None
    """Path of a PEM chain; with ``tls_key`` the door speaks HTTPS."""
    tls_key: str | None = None
    retry_after_seconds: int = 2
    """What a sender is told where the engine takes nothing now and does not say for how long."""
    stop_seconds_max: float = 5.0
    """How long requests in flight may take to end once the door is closing."""
    limits: Limits = Limits()


@lru_cache(maxsize=64)  # asked for every request; senders' Host headers are few, and a stranger's push each other out
def is_loopback(host: str) -> bool:
    """Whether a host, as a name or an address, can only be reached from this machine."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def check_options(options: ApiOptions) -> None:
    """Raises OptionsError for the first thing that makes the options unusable or unsafe."""
    if not 0 <= options.port <= 65535:
        raise OptionsError(f"api.port: expected 0 to 65535, found {options.port}")
    if (options.tls_certificate is None) != (options.tls_key is None):
        raise OptionsError("api: tls_certificate and tls_key are needed together, found one of them")
    for name in Limits.__struct_fields__:
        if getattr(options.limits, name) <= 0:
            raise OptionsError(f"api.limits.{name}: expected a number above 0")
    if options.limits.bodies_bytes_max < options.limits.body_bytes_max:
        raise OptionsError(
            "api.limits: bodies_bytes_max must be at least body_bytes_max, else no body of that size fits"
        )
    if options.auth == "off":
        if not is_loopback(options.host):
            raise OptionsError(
                f"api.auth is off, which is allowed only on loopback, and api.host is {options.host}: "
                "bind to 127.0.0.1, or set auth to keys and configure keys"
            )
        return
    if not options.keys:
        raise OptionsError(
            "api.auth is keys and no key is configured: add one to api.keys, or bind to 127.0.0.1 and set auth to off"
        )
    _check_keys(options.keys)


def _check_keys(keys: tuple[ApiKey, ...]) -> None:
    if len(keys) > KEYS_MAX:
        raise OptionsError(f"api.keys: expected at most {KEYS_MAX} keys, found {len(keys)}")
    names = [key.name for key in keys]
    for key in keys:
        if _NAME(key.name) is None:
            raise OptionsError("api.keys: name: expected 1 to 64 of A-Z a-z 0-9 . _ -, found another")
        if names.count(key.name) > 1:
            raise OptionsError(f"api.keys: {key.name}: names must be unique, found it twice")
        if _SHA256(key.sha256) is None:
            raise OptionsError(
                f"api.keys: {key.name}: sha256: expected 64 lower-case hex digits, "
                "the SHA-256 of the key, not the key itself"
            )
        if not key.scopes:
            raise OptionsError(f"api.keys: {key.name}: scopes: expected at least one of ingest, read, operate")
