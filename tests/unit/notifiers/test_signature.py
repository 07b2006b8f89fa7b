"""Signatures as Standard Webhooks defines them."""

import pytest

from notifiers.config import OptionsError, secret_key
from notifiers.signature import SignatureError, sign, verify

# The vector of the reference implementations.
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
ID = "msg_p5jXN8AQM9LWM0D4loKWxJek"
TIMESTAMP = 1_614_265_330
BODY = b'{"test": 2432232314}'
SIGNATURE = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_the_published_vector() -> None:
    assert sign([secret_key(SECRET)], ID, TIMESTAMP, BODY) == {
        "webhook-id": ID,
        "webhook-timestamp": "1614265330",
        "webhook-signature": SIGNATURE,
    }


def test_two_secrets_give_two_signatures_and_either_verifies() -> None:
    old, new = b"o" * 24, b"n" * 24
    headers = sign([new, old], ID, TIMESTAMP, BODY)
    assert len(headers["webhook-signature"].split(" ")) == 2
    verify(old, headers, BODY, TIMESTAMP)
    verify(new, headers, BODY, TIMESTAMP)


@pytest.mark.parametrize(
    ("headers", "body", "now"),
    [
        ({}, b'{"test": 2432232315}', TIMESTAMP),
        ({"webhook-id": "msg_other"}, BODY, TIMESTAMP),
        ({"webhook-timestamp": "1614265331"}, BODY, TIMESTAMP),
        ({"webhook-timestamp": "1614265330.0"}, BODY, TIMESTAMP),
        ({"webhook-signature": "v1,ü"}, BODY, TIMESTAMP),
        ({"webhook-signature": SIGNATURE.replace("v1", "v2")}, BODY, TIMESTAMP),
        ({}, BODY, TIMESTAMP + 301),
        ({}, BODY, TIMESTAMP - 301),
    ],
)
def test_anything_altered_or_late_is_refused(headers: dict[str, str], body: bytes, now: int) -> None:
    signed = sign([secret_key(SECRET)], ID, TIMESTAMP, BODY)
    with pytest.raises(SignatureError):
        verify(secret_key(SECRET), {**signed, **headers}, body, now)


@pytest.mark.parametrize("name", ["webhook-id", "webhook-timestamp", "webhook-signature"])
def test_a_missing_header_is_named(name: str) -> None:
    signed = sign([secret_key(SECRET)], ID, TIMESTAMP, BODY)
    del signed[name]
    with pytest.raises(SignatureError, match=name):
        verify(secret_key(SECRET), signed, BODY, TIMESTAMP)


@pytest.mark.parametrize("secret", ["MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_c2hvcnQ=", "whsec_***", ""])
def test_a_secret_of_another_form_is_refused_without_being_repeated(secret: str) -> None:
    with pytest.raises(OptionsError) as caught:
        secret_key(secret)
    assert not secret or secret not in str(caught.value)
