"""A notification as text: Jinja2 templates by language and kind, pure but for reading the template files.

A template is ``<language>/<kind>.txt`` (its first line is the subject), ``.html`` or ``.sms``. A notification in
``pt-BR`` is rendered from pt-br, else pt, else the default language, else English; in each language an operator's
file wins over the one that comes with the product. ``check`` renders everything once, so that a broken template is
found at the start and not at the first client below the line.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final, get_args

import jinja2
import msgspec
from jinja2.sandbox import ImmutableSandboxedEnvironment

from notifiers.sms_text import cut
from schemas.money import MICROS_PER_UNIT, divide_half_even, parse_money
from schemas.outputs import Cause, Kind, Notification
from schemas.times import INSTANT_MAX, SECOND, format_time, parse_time

PACKAGED: Final = Path(__file__).with_name("templates")
_LANGUAGE = re.compile(r"[a-z]{2,8}(-[a-z0-9]{1,8}){0,4}")
_SUBJECT_CHARACTERS_MAX: Final = 200
_BODY_CHARACTERS_MAX: Final = 64 * 1024
"""Ten times any sensible notice: what is longer is a template that loops."""


class TemplateError(Exception):
    """A template that is missing or cannot be rendered; ``str`` names the file, the line and what is wrong."""


class MailText(msgspec.Struct, frozen=True):
    """A mail's subject and its two bodies."""

    subject: str
    text: str
    html: str


class Renderer:
    """Renders notifications; ``folder`` holds an operator's templates, ``language`` is the default.

    ``brand`` is who writes, in signatures. Raises TemplateError from every method that renders.
    """

    def __init__(self, folder: Path | None = None, language: str = "en", brand: str = "") -> None:
        folders = [PACKAGED] if folder is None else [folder, PACKAGED]
        self._folders = folders
        self._language = language
        self._brand = brand
        self._environment = ImmutableSandboxedEnvironment(
            loader=jinja2.FileSystemLoader(folders, followlinks=True),
            undefined=jinja2.StrictUndefined,
            autoescape=lambda name: name is not None and name.endswith(".html"),
            trim_blocks=True,
            lstrip_blocks=True,
            keep_trailing_newline=True,
            auto_reload=False,
            cache_size=400,
        )
        self._environment.filters["money"] = money
        self._environment.filters["time"] = show_time

    def mail(self, notification: Notification) -> MailText:
        """Subject, text and HTML of an e-mail."""
        name, text = self._render(notification, "txt")
        subject, _, body = text.partition("\n")
        if not subject.startswith("Subject: ") or not subject.removeprefix("Subject: ").strip():
            raise TemplateError(
                f"template {name}: expected its first line to be `Subject: ...`, found {subject[:60]!r}"
            )
        _, html = self._render(notification, "html")
        subject = " ".join(subject.removeprefix("Subject: ").split())[:_SUBJECT_CHARACTERS_MAX]
        return MailText(subject, body.strip() + "\n", html.strip() + "\n")

    def sms(self, notification: Notification, segments_max: int) -> str:
        """The text of an SMS, on one line, of at most ``segments_max`` parts."""
        name, text = self._render(notification, "sms")
        if not text.strip():
            raise TemplateError(f"template {name}: expected a text, found none")
        return cut(text, segments_max)

    def check(self) -> None:
        """Renders every kind in every language with full and with sparse values; raises TemplateError."""
        languages = {
            path.name
            for folder in self._folders
            for path in folder.iterdir()
            if path.is_dir() and _LANGUAGE.fullmatch(path.name)
        }
        if self._language not in languages:
            raise TemplateError(
                f"language {self._language}: expected one that has templates, found {', '.join(sorted(languages))};"
                " add a folder of that name or set another language"
            )
        for language in sorted(languages):
            for sample in samples(language):
                self.mail(sample)
                self.sms(sample, segments_max=10)

    def _render(self, notification: Notification, suffix: str) -> tuple[str, str]:
        names = [f"{language}/{notification.kind}.{suffix}" for language in self._languages(notification.language)]
        name = names[0]
        try:
            template = self._environment.select_template(names)
            name = template.name or name
            text = template.render(variables(notification, self._brand))
        except jinja2.TemplateSyntaxError as error:
            raise TemplateError(f"template {error.name or name}, line {error.lineno}: {error.message}") from None
        except jinja2.TemplateNotFound as error:
            raise TemplateError(f"template {name}: not found ({error.message})") from None
        except Exception as error:  # whatever an operator's expression does wrong, the sentence names the file
            raise TemplateError(f"template {name}: {type(error).__name__}: {error}") from error
        if len(text) > _BODY_CHARACTERS_MAX:
            raise TemplateError(
                f"template {name}: expected at most {_BODY_CHARACTERS_MAX} characters, found {len(text)}"
            )
        return name, text

    def _languages(self, language: str | None) -> list[str]:
        wanted = (language or "").lower().replace("_", "-")
        found = [wanted, wanted.partition("-")[0]] if _LANGUAGE.fullmatch(wanted) else []
        return list(dict.fromkeys([*found, self._language, "en"]))


def variables(notification: Notification, brand: str) -> dict[str, object]:
    """What a template may use: the notification's fields, ``plan`` and ``percent`` of a time balance, ``brand``."""
    values: dict[str, object] = {name: getattr(notification, name) for name in notification.__struct_fields__}
    plan, percent = None, None
    if notification.kind == "time_balance":
        plan, _, percent = notification.rule.rpartition(":")
    values |= {"plan": plan, "percent": percent, "brand": brand}
    return values


def money(amount: str, digits: int = 2) -> str:
    """A decimal string rounded half-even to ``digits`` (0 to 6) fractional digits: ``4.996`` is ``5.00``."""
    if not 0 <= digits <= 6:
        raise ValueError(f"money: expected 0 to 6 digits, found {digits}")
    scaled = divide_half_even(parse_money(amount) * 10**digits, MICROS_PER_UNIT)
    whole, fraction = divmod(abs(scaled), 10**digits)
    sign = "-" if scaled < 0 else ""
    return f"{sign}{whole}.{fraction:0{digits}d}" if digits else f"{sign}{whole}"


def show_time(text: str) -> str:
    """An RFC 3339 instant to the minute: ``2026-03-01 10:05 UTC``; a begun minute is not rounded up."""
    instant = min(parse_time(text), INSTANT_MAX)
    return format_time(instant - instant % (60 * SECOND))[:16].replace("T", " ") + " UTC"


def samples(language: str) -> Iterator[Notification]:
    """Notifications of every kind, with every optional value and then with none."""
    full = Notification(
        notification="sample",
        client="c-42",
        kind="low_balance",
        rule="client",
        episode=1,
        sequence=2,
        max=3,
        channel="email",
        to=("ops@example.net",),
        at="2026-03-01T10:05:00Z",
        threshold="5",
        available="4.99",
        live="-95.01",
        credit="100",
        currency="EUR",
        capacity=1,
        next_at="2026-03-02T10:05:00Z",
        cause=Cause("switch", "1"),
        threshold_currency="EUR",
        language=language,
    )
    for kind in get_args(Kind):
        rule, threshold = full.rule, full.threshold
        if kind == "time_balance":
            rule, threshold = "off-net:80", "80"
        elif kind == "temporary_credit_expired":
            threshold = None
        named = msgspec.structs.replace(full, kind=kind, rule=rule, threshold=threshold)
        yield named
        sparse = msgspec.structs.replace(
            named, max=None, capacity=None, next_at=None, cause=None, threshold_currency=None, sequence=1
        )
        yield sparse
        if kind in ("credit_warning", "temporary_credit_expired", "time_balance"):  # unlimited credit is possible
            yield msgspec.structs.replace(sparse, available=None, credit=None)
