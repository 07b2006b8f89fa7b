"""Who may pass: bearer keys with scopes (RFC 6750), compared in constant time."""

import hashlib
import hmac
import secrets
from typing import Final

from starlette.datastructures import Headers

from projections.api.options import ApiOptions, Scope, is_loopback
from projections.api.problems import ProblemError

_REALM: Final = 'Bearer realm="plimsoll"'


def new_key() -> tuple[str, str]:
    """A fresh key and its SHA-256 in hex: the one goes to its holder and is kept nowhere, the other to the options."""
    key = f"plm_{secrets.token_urlsafe(32)}"
    return key, hashlib.sha256(key.encode()).hexdigest()


class Gate:
    """Lets a request pass or raises the ProblemError that says why not."""

    def __init__(self, options: ApiOptions) -> None:
        self._off = options.auth == "off"
        self._keys = [(bytes.fromhex(key.sha256), frozenset(key.scopes)) for key in options.keys]

    def check(self, headers: Headers, scope: Scope | None) -> None:
        """``scope`` None: open to all. Raises 400, 401 or 403.

        With keys off a page in somebody's browser must not reach the door through a name that its owner points at
        loopback, so the Host header has to name loopback too.
        """
        if self._off:
            if not is_loopback(_host_of(headers.get("host", "localhost"))):
                raise ProblemError(
                    400,
                    "host_not_loopback",
                    "expected a Host header that names loopback, because keys are off; found another: "
                    "use 127.0.0.1 or localhost, or turn keys on",
                )
            return
        if scope is None:
            return
        scopes = self._scopes_of(headers.get("authorization"))
        if scopes is None:
            challenge = _REALM if "authorization" not in headers else f'{_REALM}, error="invalid_token"'
            raise ProblemError(
                401,
                "key_needed",
                f"expected a key with scope {scope} as `Authorization: Bearer KEY`, found "
                + ("none" if "authorization" not in headers else "one that is not known"),
                headers={"www-authenticate": challenge},
            )
        if scope not in scopes:
            raise ProblemError(
                403,
                "scope_missing",
                f"this key lacks the scope {scope}",
                headers={"www-authenticate": f'{_REALM}, error="insufficient_scope", scope="{scope}"'},
            )

    def _scopes_of(self, authorization: str | None) -> frozenset[Scope] | None:
        method, _, token = (authorization or "").partition(" ")
        if method.lower() != "bearer":
            return None
        digest = hashlib.sha256(token.strip().encode("latin-1", "replace")).digest()
        found: frozenset[Scope] | None = None
        for expected, scopes in self._keys:  # every key is compared: where the match stands must not show in time
            if hmac.compare_digest(digest, expected):
                found = scopes
        return found


def _host_of(authority: str) -> str:
    if authority.startswith("["):
        return authority.partition("]")[0] + "]"
    return authority.partition(":")[0]
