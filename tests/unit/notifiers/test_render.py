"""Notifications as text: golden texts, languages, an operator's own templates, and what is wrong with broken ones."""

from pathlib import Path

import msgspec
import pytest

from notifiers.render import Renderer, TemplateError, money, samples, show_time
from tests.fakes.notifications import notification

GOLDEN = Path(__file__).parents[2] / "golden" / "notices"


def _write(folder: Path, name: str, text: str) -> None:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def notices(language: str) -> str:
    """Every kind's subject, text and SMS with full values, as kept in the golden file."""
    renderer = Renderer(brand="Acme Telecom")
    parts = []
    for sample in samples(language):
        if sample.cause is not None:
            mail = renderer.mail(sample)
            parts.append(f"== {sample.kind}\n{mail.subject}\n\n{mail.text}\n{renderer.sms(sample, 3)}\n")
    return "\n".join(parts)


@pytest.mark.parametrize("language", ["en", "uk"])
def test_texts_are_the_golden_ones(language: str) -> None:
    assert notices(language) == (GOLDEN / f"{language}.txt").read_text(encoding="utf-8")


def test_html_is_the_golden_one() -> None:
    html = Renderer(brand="Acme & Co").mail(notification()).html
    assert html == (GOLDEN / "low_balance.en.html").read_text(encoding="utf-8")


def test_every_kind_in_every_language_renders_with_full_and_sparse_values() -> None:
    Renderer().check()


@pytest.mark.parametrize(
    ("language", "default", "subject"),
    [
        ("uk", "en", "Баланс нижче"),
        ("uk-UA", "en", "Баланс нижче"),
        ("UK_ua", "en", "Баланс нижче"),
        ("en", "uk", "Balance below"),
        (None, "uk", "Баланс нижче"),
        ("de", "uk", "Баланс нижче"),
        ("de", "fr", "Balance below"),
        ("../en", "uk", "Баланс нижче"),
    ],
)
def test_language_falls_back_to_the_shorter_tag_then_the_default_then_english(
    language: str | None, default: str, subject: str
) -> None:
    mail = Renderer(language=default).mail(notification(language=language))
    assert mail.subject.startswith(subject)


@pytest.mark.parametrize(
    ("amount", "shown"),
    [
        ("5", "5.00"),
        ("4.996", "5.00"),
        ("4.994", "4.99"),
        ("0.125", "0.12"),
        ("0.135", "0.14"),
        ("-0.004", "0.00"),
        ("-95.01", "-95.01"),
    ],
)
def test_money_is_rounded_half_even_to_two_digits(amount: str, shown: str) -> None:
    assert money(amount) == shown


def test_money_takes_other_digits() -> None:
    assert money("0.012345", 4) == "0.0123"
    assert money("1234.5", 0) == "1234"


def test_a_time_is_shown_to_the_begun_minute() -> None:
    assert show_time("2026-03-01T10:05:59.999999Z") == "2026-03-01 10:05 UTC"


def test_values_are_escaped_in_html_and_not_in_text() -> None:
    mail = Renderer().mail(notification("<b>&"))
    assert "account &lt;b&gt;&amp; has" in mail.html
    assert "<b>" not in mail.html.replace("<body", "")
    assert "account <b>& has" in mail.text


def test_an_operators_template_wins_and_the_others_stay(tmp_path: Path) -> None:
    _write(tmp_path, "en/low_balance.txt", "Subject: Top up, {{ client }}\nOnly {{ available | money }} left.\n")
    renderer = Renderer(tmp_path)
    renderer.check()
    mail = renderer.mail(notification())
    assert (mail.subject, mail.text) == ("Top up, c-42", "Only 4.99 left.\n")
    assert "has fallen below" in mail.html
    assert renderer.mail(notification(kind="exhausted")).subject.startswith("Nothing is left")


def test_an_operators_language_may_cover_some_kinds_only(tmp_path: Path) -> None:
    _write(tmp_path, "pt-br/low_balance.txt", "Subject: Saldo baixo\nSaldo: {{ available | money }}\n")
    renderer = Renderer(tmp_path)
    renderer.check()
    assert renderer.mail(notification(language="pt-BR")).subject == "Saldo baixo"
    assert renderer.mail(notification(kind="exhausted", language="pt-BR")).subject.startswith("Nothing is left")


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("en/low_balance.txt", "Subject: a\n{% if %}\n", "template en/low_balance.txt, line 2: "),
        (
            "en/low_balance.txt",
            "Subject: {{ balanse }}\n",
            "template en/low_balance.txt: UndefinedError: 'balanse' is undefined",
        ),
        (
            "en/low_balance.txt",
            "No subject\n",
            "template en/low_balance.txt: expected its first line to be `Subject: ...`",
        ),
        ("en/low_balance.sms", " \n", "template en/low_balance.sms: expected a text, found none"),
        ("en/low_balance.html", "{{ 'a'.__class__.__mro__ }}", "template en/low_balance.html: SecurityError"),
        ("en/recovered.sms", "{{ next_at | time }}", "template en/recovered.sms: "),
        ("en/exhausted.sms", "{{ live | cash }}", "template en/exhausted.sms, line 1: No filter named 'cash'"),
        (
            "en/exhausted.txt",
            "Subject: {{ 'x' * 70000 }}\n",
            "template en/exhausted.txt: expected at most 65536 characters",
        ),
    ],
)
def test_a_broken_template_is_found_at_the_start_and_named(tmp_path: Path, name: str, text: str, said: str) -> None:
    _write(tmp_path, name, text)
    with pytest.raises(TemplateError) as caught:
        Renderer(tmp_path).check()
    assert str(caught.value).startswith(said)


def test_a_default_language_without_templates_is_named() -> None:
    with pytest.raises(TemplateError, match="language de: expected one that has templates, found en, uk"):
        Renderer(language="de").check()


def test_a_subject_is_one_line_whatever_the_values_hold() -> None:
    sneaky = msgspec.structs.replace(notification(), client="c\u2028Bcc: all@example.net")
    assert "\u2028" not in Renderer().mail(sneaky).subject


def test_an_sms_takes_no_more_parts_than_allowed() -> None:
    text = Renderer().sms(notification("c" * 128, language="uk"), 1)
    assert len(text) <= 70
