"""How a Kafka cluster is reached: brokers, and what proves who is who. Plain settings; nothing here opens anything."""

import re
import ssl
from functools import lru_cache
from pathlib import Path
from typing import Final, Literal

import msgspec

from engine.failures import WrongUse
from notifiers.config import is_loopback

Sasl = Literal["none", "plain", "scram-sha-256", "scram-sha-512"]

_ADDRESS: Final = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[^\s,:\[\]]+):([0-9]{1,5})", re.ASCII)
_SECRETS: Final = frozenset({"password", "key_password"})


class Connection(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Where the brokers are and how they are spoken to. ``str`` and ``repr`` show no secret."""

    bootstrap: str
    """Brokers to begin with, HOST:PORT with commas between several; the cluster then names the others."""
    tls: bool = False
    """Whether the connection is encrypted and the broker's certificate is checked."""
    ca_file: str | None = None
    """PEM file of the authorities that sign the brokers' certificates; the system's where not given."""
    hostname_check: bool = True
    """Whether a certificate must name the host that was asked for. Off: any certificate of the authority will do."""
    certificate_file: str | None = None
    """PEM file of this client's own certificate, where the brokers ask for one, with the chain below it."""
    key_file: str | None = None
    """PEM file of its private key; where not given, the key is in ``certificate_file``."""
    key_password: str | None = None
    """Opens ``key_file`` where it is encrypted."""
    sasl: Sasl = "none"
    """How this client says who it is. SCRAM proves the password without sending it; plain sends it."""
    username: str | None = None
    password: str | None = None

    def __post_init__(self) -> None:
        check_bootstrap(self.bootstrap, "bootstrap")
        named = self.username is not None or self.password is not None
        if self.sasl == "none" and named:
            raise ValueError("sasl: expected plain, scram-sha-256 or scram-sha-512 with a username, found none; set it")
        if self.sasl != "none" and not (self.username and self.password):
            raise ValueError(f"username and password: expected both for {self.sasl}; set the one that is missing")
        if not self.tls:
            for name in ("ca_file", "certificate_file", "key_file", "key_password"):
                if getattr(self, name) is not None:
                    raise ValueError(f"{name}: expected tls = true with it, found false; set tls, or leave it out")
            if self.sasl == "plain" and not all(is_loopback(host) for host, _ in addresses(self.bootstrap)):
                raise ValueError("sasl: plain would send the password in clear; set tls = true, or use scram-sha-512")
        for name in ("ca_file", "certificate_file", "key_file"):
            path = getattr(self, name)
            if path is not None and not Path(path).is_file():
                raise ValueError(f"{name}: expected a PEM file, found none at {path!r}")
        if self.key_file is not None and self.certificate_file is None:
            raise ValueError("certificate_file: expected one with key_file, found none; set it")

    def __repr__(self) -> str:
        shown = {
            name: "***" if name in _SECRETS and getattr(self, name) else getattr(self, name)
            for name in self.__struct_fields__
        }
        return f"{type(self).__name__}({', '.join(f'{name}={value!r}' for name, value in shown.items())})"

    @property
    def protocol(self) -> str:
        """Kafka's own name of the security protocol."""
        return ("SASL_" if self.sasl != "none" else "") + ("SSL" if self.tls else "PLAINTEXT")

    def tls_context(self) -> ssl.SSLContext | None:
        """What a connection is encrypted and checked with, None without TLS. Raises WrongUse for files that are not
        what they should be. Read once a process: another certificate counts from the next start."""
        if not self.tls:
            return None
        return _context(self.ca_file, self.hostname_check, self.certificate_file, self.key_file, self.key_password)


def check_bootstrap(given: str, name: str) -> None:
    """Raises ValueError with a sentence where ``given`` is no list of addresses."""
    for address in given.split(","):
        found = _ADDRESS.fullmatch(address.strip())
        if found is None or not 0 < int(found[2]) < 65_536:
            raise ValueError(f"{name}: expected HOST:PORT, with commas between several, found {address!r}")


def addresses(bootstrap: str) -> list[tuple[str, int]]:
    """Host and port of each broker of a list that was checked."""
    parted = [address.strip().rpartition(":") for address in bootstrap.split(",")]
    return [(host.strip("[]"), int(port)) for host, _, port in parted]


@lru_cache(maxsize=8)
def _context(
    ca_file: str | None, hostname_check: bool, certificate: str | None, key: str | None, password: str | None
) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=ca_file)
    except (ssl.SSLError, OSError) as error:
        raise WrongUse(f"kafka.ca_file: expected certificates in PEM, found something else in {ca_file!r}") from error
    context.check_hostname = hostname_check
    if certificate is not None:
        try:
            # Without a password OpenSSL would ask on the terminal for one.
            context.load_cert_chain(certificate, key, password or "")
        except (ssl.SSLError, OSError) as error:
            raise WrongUse(
                "kafka.certificate_file and kafka.key_file: expected a certificate and its private key in PEM"
                f" (key_password opens an encrypted one), found something else in {certificate!r}"
                + (f" and {key!r}" if key else "")
            ) from error
    return context
