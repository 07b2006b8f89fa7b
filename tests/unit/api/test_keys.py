"""Who may pass: keys, scopes, and what is said to those who may not."""

import hashlib
from collections.abc import AsyncIterator

import pytest

from projections.api import ApiKey, ApiOptions, Scope, new_key
from tests.fakes.ingest import charge
from tests.unit.api.doors import JSON, Door, opened, problem

SCOPES: tuple[Scope, ...] = ("ingest", "read", "operate")
KEYS = {scope: f"plm_key-of-{scope}" for scope in SCOPES}
OPTIONS = ApiOptions(
    keys=tuple(ApiKey(scope, hashlib.sha256(key.encode()).hexdigest(), (scope,)) for scope, key in KEYS.items())
)
WAYS: list[tuple[str, str, Scope]] = [
    ("POST", "/v1/events", "ingest"),
    ("GET", "/v1/clients/c-1", "read"),
    ("GET", "/v1/clients/c-1/why", "read"),
    ("GET", "/v1/log/notifications", "operate"),
    ("GET", "/v1/consumers/mailer/positions", "operate"),
    ("POST", "/v1/consumers/mailer/settled", "operate"),
    ("POST", "/v1/consumers/mailer/commit", "operate"),
]


@pytest.fixture
async def locked() -> AsyncIterator[Door]:
    """A door with one key a scope."""
    async with opened(OPTIONS) as door:
        yield door


def _bearer(key: str) -> dict[str, str]:
    return {**JSON, "authorization": f"Bearer {key}"}


@pytest.mark.parametrize(("method", "path", "scope"), WAYS)
async def test_no_key_is_unauthorized(locked: Door, method: str, path: str, scope: Scope) -> None:
    answer = await locked.client.request(method, path, headers=JSON, content=b"x")
    assert problem(answer) == (401, "key_needed")
    assert answer.headers["www-authenticate"] == 'Bearer realm="plimsoll"'
    assert scope in answer.json()["detail"]


@pytest.mark.parametrize(("method", "path", "scope"), WAYS)
async def test_a_key_without_the_scope_is_forbidden(locked: Door, method: str, path: str, scope: Scope) -> None:
    for other in set(SCOPES) - {scope}:
        answer = await locked.client.request(method, path, headers=_bearer(KEYS[other]), content=b"x")
        assert problem(answer) == (403, "scope_missing")
        assert answer.json()["detail"] == f"this key lacks the scope {scope}"
        assert f'scope="{scope}"' in answer.headers["www-authenticate"]


@pytest.mark.parametrize(("method", "path", "scope"), WAYS)
async def test_a_key_with_the_scope_passes(locked: Door, method: str, path: str, scope: Scope) -> None:
    answer = await locked.client.request(method, path, headers=_bearer(KEYS[scope]), content=b"x")
    assert answer.status_code not in (401, 403)


@pytest.mark.parametrize(
    "authorization",
    ["", "Bearer", "Bearer ", "Bearer nonsense", f"Basic {KEYS['ingest']}", KEYS["ingest"], b"Bearer \xff\xfe"],
)
async def test_another_key_is_unauthorized(locked: Door, authorization: str | bytes) -> None:
    headers = [(b"content-type", b"application/json")]
    raw = authorization if isinstance(authorization, bytes) else authorization.encode()
    answer = await locked.client.post("/v1/events", content=charge("1"), headers=[*headers, (b"authorization", raw)])
    assert problem(answer) == (401, "key_needed")
    assert 'error="invalid_token"' in answer.headers["www-authenticate"]
    assert KEYS["ingest"] not in answer.text
    assert locked.ingest.submitted == []


async def test_health_needs_no_key_and_metrics_only_where_asked(locked: Door) -> None:
    assert [(await locked.client.get(path)).status_code for path in ("/healthz", "/readyz", "/metrics")] == [200] * 3
    async with opened(ApiOptions(keys=OPTIONS.keys, metrics_protected=True)) as door:
        assert problem(await door.client.get("/metrics")) == (401, "key_needed")
        assert (await door.client.get("/metrics", headers=_bearer(KEYS["read"]))).status_code == 200


async def test_a_new_key_opens_with_its_digest() -> None:
    key, digest = new_key()
    assert new_key()[0] != key
    async with opened(ApiOptions(keys=(ApiKey("switch", digest, ("ingest",)),))) as door:
        answer = await door.client.post("/v1/events", content=charge("1"), headers=_bearer(key))
        assert answer.status_code == 200


@pytest.mark.parametrize("host", ["evil.example", "10.0.0.1:8080", "127.0.0.1.evil.example", "[fe80::1]"])
async def test_with_keys_off_a_foreign_name_does_not_reach_the_door(door: Door, host: str) -> None:
    answer = await door.client.post("/v1/events", content=charge("1"), headers={**JSON, "host": host})
    assert problem(answer) == (400, "host_not_loopback")


@pytest.mark.parametrize("host", ["localhost", "localhost:8080", "127.0.0.1:8080", "127.1.2.3", "[::1]", "[::1]:8080"])
async def test_with_keys_off_loopback_reaches_the_door(door: Door, host: str) -> None:
    answer = await door.client.post("/v1/events", content=charge("1"), headers={**JSON, "host": host})
    assert answer.status_code == 200
