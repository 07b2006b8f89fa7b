"""Options that cannot be used say so at the start."""

import msgspec
import pytest

from projections.api import ApiKey, ApiOptions, Limits, OptionsError
from projections.api.options import KEYS_MAX, check_options

KEY = ApiKey("switch", "a" * 64, ("ingest",))


def test_keys_off_is_for_loopback() -> None:
    for host in ("127.0.0.1", "localhost", "::1", "127.8.8.8"):
        check_options(ApiOptions(host=host, auth="off"))


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.0.0.5", "plimsoll.example", ""])
def test_keys_off_is_refused_elsewhere(host: str) -> None:
    with pytest.raises(OptionsError, match="allowed only on loopback"):
        check_options(ApiOptions(host=host, auth="off"))


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (ApiOptions(), "no key is configured"),
        (ApiOptions(port=70_000, keys=(KEY,)), "api.port: expected 0 to 65535, found 70000"),
        (ApiOptions(keys=(msgspec.structs.replace(KEY, sha256="plm_secret"),)), "not the key itself"),
        (ApiOptions(keys=(KEY, KEY)), "names must be unique"),
        (ApiOptions(keys=(msgspec.structs.replace(KEY, name="a b"),)), "name: expected"),
        (ApiOptions(keys=(msgspec.structs.replace(KEY, scopes=()),)), "at least one of ingest, read, operate"),
        (ApiOptions(keys=tuple(ApiKey(f"k{n}", KEY.sha256, KEY.scopes) for n in range(KEYS_MAX + 1))), "at most 200"),
        (ApiOptions(auth="off", limits=Limits(events_max=0)), "api.limits.events_max: expected a number above 0"),
        (ApiOptions(auth="off", limits=Limits(bodies_bytes_max=1)), "bodies_bytes_max must be at least"),
        (ApiOptions(auth="off", tls_key="key.pem"), "needed together"),
    ],
)
def test_unusable_options_are_refused(options: ApiOptions, sentence: str) -> None:
    with pytest.raises(OptionsError, match=sentence) as refused:
        check_options(options)
    assert "plm_secret" not in str(refused.value)


def test_options_are_read_from_json_and_strangers_refused() -> None:
    raw = b'{"port":9000,"keys":[{"name":"switch","sha256":"%s","scopes":["ingest"]}]}' % (b"a" * 64)
    assert msgspec.json.decode(raw, type=ApiOptions) == ApiOptions(port=9000, keys=(KEY,))
    with pytest.raises(msgspec.ValidationError):
        msgspec.json.decode(b'{"prot":9000}', type=ApiOptions)
