"""The configuration: file, environment, flags; one sentence for each thing that is wrong."""

from pathlib import Path

import pytest

from engine.config import Config, ConfigError, Override, load_config
from engine.failures import WrongUse

SECRET = "whsec_" + "A" * 43 + "="


def load(tmp_path: Path, text: str, environment: dict[str, str] | None = None, *overrides: Override) -> Config:
    path = tmp_path / "p.toml"
    path.write_text(text)
    return load_config(str(path), environment or {}, overrides)


def test_nothing_given_is_a_working_loopback_product() -> None:
    config = load_config(None, {})
    assert (config.engine.partitions, config.engine.durability) == (12, "fsync")
    assert (config.api.host, config.api.port, config.api.auth) == ("127.0.0.1", 8080, "off")
    assert (config.mail, config.sms) == (None, None)


def test_environment_is_over_the_file_and_flags_are_over_both(tmp_path: Path) -> None:
    text = "[engine]\npartitions = 3\nqueue_records_max = 4\nbatch_records_max = 5\n"
    environment = {
        "PLIMSOLL_ENGINE_QUEUE_RECORDS_MAX": "40",
        "PLIMSOLL_ENGINE_BATCH_RECORDS_MAX": "50",
        "PLIMSOLL_KEY": "k",
    }
    config = load(tmp_path, text, environment, Override(("engine", "batch_records_max"), 500, "--batch"))
    assert (config.engine.partitions, config.engine.queue_records_max, config.engine.batch_records_max) == (3, 40, 500)


def test_environment_reaches_nested_settings_and_lists() -> None:
    key = '[{"name": "a", "sha256": "' + "0" * 64 + '", "scopes": ["read"]}]'
    config = load_config(
        None,
        {
            "PLIMSOLL_API_LIMITS_EVENTS_MAX": "77",
            "PLIMSOLL_API_KEYS": key,
            "PLIMSOLL_MAIL_HOST": "mail.example.net",
            "PLIMSOLL_MAIL_TLS": "starttls",
            "PLIMSOLL_MAIL_PASSWORD": "12345",
            "PLIMSOLL_MAIL_USERNAME": "ops",
            "PLIMSOLL_MAIL_DELIVERY_ATTEMPTS_MAX": "3",
            "PLIMSOLL_RUN_MAILER": "no",
        },
    )
    assert config.api.limits.events_max == 77
    assert [(found.name, found.scopes) for found in config.api.keys] == [("a", ("read",))]
    assert config.api.auth == "keys"
    assert config.mail is not None
    assert (config.mail.host, config.mail.password, config.mail.delivery.attempts_max) == (
        "mail.example.net",
        "12345",
        3,
    )
    assert config.run.mailer is False


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("[engine]\npartition = 3", "engine.partition is not a setting; did you mean partitions?"),
        ("[enigne]\nx = 3", "enigne is not a setting; did you mean engine?"),
        ("engine = 3", "engine: expected object, found 3"),
        ('[engine]\npartitions = "many"', "engine.partitions: expected int, found 'many'"),
        ("[engine]\npartitions = 1025", "engine.partitions: expected int <= 1024, found 1025"),
        ("[engine]\npartitions = 1.5", "engine.partitions: expected int, found 1.5"),
        ('[engine]\ndurability = "hope"', "engine.durability: Invalid enum value 'hope', found 'hope'"),
        ("[api]\nport = 70000", "api.port: expected 0 to 65535, found 70000"),
        ('[api]\nhost = "0.0.0.0"', "api.auth is keys and no key is configured"),
        ('[api]\nhost = "0.0.0.0"\nauth = "off"', "api.auth is off, which is allowed only on loopback"),
        ("[api.limits]\nevents_max = 0", "api.limits.events_max: expected a number above 0"),
        ("[mail.delivery]\nattempts_max = 0", "mail.delivery: attempts_max: expected at least 1, found 0; raise it"),
        ('[mail]\ntls = "maybe"', "mail.tls: "),
        ("[sms]\ntransport = 'webhook'", "sms.url is needed and was not given"),
        ('[sms]\nurl = "https://x.example"\nsecret = "hunter2"', "sms: secret: expected whsec_"),
    ],
)
def test_sentence_for_each_mistake_in_the_file(tmp_path: Path, text: str, sentence: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, text)
    assert any(problem.startswith(f"{tmp_path}/p.toml: {sentence}") for problem in caught.value.problems), caught.value
    assert "hunter2" not in str(caught.value)


def test_all_problems_are_told_at_once(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, "[engine]\npartitions = 0\nqueue_records_max = 0\n[metrics]\nrefresh_seconds = 0\n")
    assert len(caught.value.problems) == 3


def test_variable_and_flag_are_named_where_the_value_came_from_them(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, "", {"PLIMSOLL_ENGINE_PARTITIONS": "x"}, Override(("engine", "queue_records_max"), -1, "--wait"))
    assert caught.value.problems == [
        "PLIMSOLL_ENGINE_PARTITIONS: expected int, found 'x'",
        "--wait: expected int >= 1, found -1",
    ]


def test_the_variable_is_named_that_a_section_finds_wrong() -> None:
    with pytest.raises(ConfigError) as caught:
        load_config(None, {"PLIMSOLL_SMS_SECRET": SECRET, "PLIMSOLL_SMS_URL": ""})
    assert caught.value.problems == ["PLIMSOLL_SMS_URL: expected an http or https address, found ''"]


def test_variable_that_is_no_setting_is_told() -> None:
    with pytest.raises(ConfigError, match="PLIMSOLL_ENGINE_PARTITION is not a setting"):
        load_config(None, {"PLIMSOLL_ENGINE_PARTITION": "3"})


def test_secret_of_the_environment_is_not_repeated() -> None:
    with pytest.raises(ConfigError) as caught:
        load_config(None, {"PLIMSOLL_MAIL_PASSWORD": "hunter2"})
    assert "hunter2" not in str(caught.value)


def test_configured_channels(tmp_path: Path) -> None:
    config = load(tmp_path, f'[sms]\nurl = "https://sms.example.net/send"\nsecret = "{SECRET}"\n[mail]\nhost = "m"\n')
    assert config.sms is not None
    assert config.sms.transport == "webhook"
    assert config.mail is not None


@pytest.mark.parametrize(("text", "sentence"), [("[engine", "expected TOML"), ("\x00", "expected TOML")])
def test_file_that_is_no_toml(tmp_path: Path, text: str, sentence: str) -> None:
    with pytest.raises(WrongUse, match=sentence):
        load(tmp_path, text)
