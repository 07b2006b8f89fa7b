"""Options: defaults, and a sentence for what cannot be used."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from notifiers.config import DeliveryOptions, MailOptions, OptionsError, SmsOptions, mail_options, sms_options

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


@pytest.mark.parametrize(("tls", "port"), [("starttls", 587), ("implicit", 465), ("opportunistic", 25), ("none", 25)])
def test_the_port_follows_the_tls_mode(tls: str, port: int) -> None:
    assert mail_options({"tls": tls}).port_used == port
    assert mail_options({"tls": tls, "port": 2525}).port_used == 2525


def test_message_ids_end_in_the_senders_domain_unless_another_is_set() -> None:
    assert MailOptions(sender="no-reply@acme.example").message_domain == "acme.example"
    assert MailOptions(sender="no-reply@acme.example", domain="mail.acme.example").message_domain == "mail.acme.example"


def test_numbers_may_be_text_as_the_environment_has_them() -> None:
    options = mail_options({"port": "2525", "delivery": {"attempts_max": "5"}})
    assert (options.port, options.delivery.attempts_max) == (2525, 5)


def test_secrets_do_not_show() -> None:
    assert "hunter2" not in repr(MailOptions(username="u", password="hunter2"))
    assert SECRET not in repr(SmsOptions(url="http://127.0.0.1/", secret=SECRET))


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"hots": "x"}, "Object contains unknown field `hots`"),
        ({"port": 0}, "port: expected 1 to 65535, found 0"),
        ({"port": "smtp"}, "Expected `int | null`, got `str`"),
        ({"host": ""}, "host: expected a host name"),
        ({"sender": "nobody"}, "sender: expected an ASCII e-mail address"),
        ({"sender": "a@b\r\nBcc: c@d"}, "sender: expected an ASCII e-mail address"),
        ({"reply_to": "x"}, "reply_to: expected an ASCII e-mail address"),
        ({"sender_name": "a\nb"}, "sender_name: expected one line"),
        ({"domain": "exa mple"}, "domain: expected a domain name"),
        ({"username": "u"}, "username and password: expected both or neither"),
        (
            {"host": "mx.example.net", "tls": "none", "username": "u", "password": "p"},
            "tls: 'none' could send the password to mx.example.net in clear",
        ),
        ({"tls": "ssl"}, "Invalid enum value 'ssl'"),
        ({"templates_dir": "/nowhere/at/all"}, "templates_dir: expected a folder"),
        ({"ca_file": "/nowhere/ca.pem"}, "ca_file: expected a PEM file"),
        ({"language": "EN"}, "language: expected a language tag in small letters"),
        ({"data_seconds": 0}, "data_seconds: expected more than 0 seconds"),
        ({"delivery": {"attempts_max": 0}}, "attempts_max: expected at least 1, found 0"),
        ({"delivery": {"backoff_first_seconds": 600}}, "backoff_first_seconds: expected at most"),
    ],
)
def test_what_is_wrong_with_mail_options(values: Mapping[str, object], said: str) -> None:
    with pytest.raises(OptionsError) as caught:
        mail_options(values)
    assert str(caught.value).startswith(said)


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({}, "Object missing required field `url`"),
        ({"url": "ftp://x/", "secret": SECRET}, "url: expected an http or https address"),
        ({"url": "http://u:p@x/", "secret": SECRET}, "url: expected no user or password"),
        ({"url": "http://[x/", "secret": SECRET}, "url: expected an address such as"),
        ({"url": "http://x/"}, "secret: expected whsec_ and base64, found none"),
        ({"url": "http://x/", "secret": "short"}, "secret: expected whsec_ and 24 to 64 bytes"),
        ({"url": "http://x/", "secret": SECRET, "secret_previous": "s"}, "secret_previous: expected whsec_"),
        ({"url": "http://x/", "transport": "kannel"}, "username and password: expected both for kannel"),
        ({"url": "http://x/", "secret": SECRET, "segments_max": 11}, "segments_max: expected 1 to 10"),
        ({"url": "http://x/", "secret": SECRET, "sender": "a\r\nb"}, "sender: expected one line"),
    ],
)
def test_what_is_wrong_with_sms_options(values: Mapping[str, object], said: str) -> None:
    with pytest.raises(OptionsError) as caught:
        sms_options(values)
    assert str(caught.value).startswith(said)


def test_a_file_that_is_no_certificate_is_named_at_the_start(tmp_path: Path) -> None:
    from notifiers.smtp import SmtpPeer

    path = tmp_path / "ca.pem"
    path.write_text("not a certificate")
    with pytest.raises(OptionsError, match=r"ca_file: .* cannot be used"):
        SmtpPeer(MailOptions(tls="starttls", ca_file=str(path)))


def test_the_defaults_span_twenty_minutes_of_deferral_before_a_message_is_given_up() -> None:
    options = DeliveryOptions()
    waits = [
        min(options.backoff_max_seconds, options.backoff_first_seconds * 2**n) for n in range(options.attempts_max - 1)
    ]
    assert 0.75 * sum(waits) > 15 * 60
