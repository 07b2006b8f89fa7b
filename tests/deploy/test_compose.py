"""The compose file: its structure, and that each command line and each setting in it is taken by the product."""

import json
import re
from pathlib import Path
from typing import Any, Final

import pytest
import yaml  # type: ignore[import-untyped]  # ships no types, and its stubs are not worth a dependency

from engine.config import Config, load_config
from tests.deploy.command_lines import parse

ROOT: Final = Path(__file__).resolve().parents[2]
DEPLOY: Final = ROOT / "deploy"
GIVEN: Final = {
    "PLIMSOLL_KEY_SHA256": "ab" * 32,
    "PLIMSOLL_SMS_URL": "https://sms.operator.example/hooks",
    "PLIMSOLL_SMS_SECRET": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
}
KEYS_OF_SERVICE: Final = {
    *("image", "build", "pull_policy", "restart", "stop_grace_period", "read_only", "tmpfs", "cap_drop"),
    *("security_opt", "profiles", "command", "environment", "volumes", "ports", "healthcheck", "depends_on"),
    "network_mode",
}
_VARIABLE = re.compile(r"\$\{([A-Z0-9_]+)(?::[?-][^}]*)?\}")

Service = dict[str, Any]  # Any: YAML has no schema here


def compose() -> dict[str, Any]:
    """The file with the variables put in."""
    text = (DEPLOY / "compose.yaml").read_text(encoding="utf-8")
    loaded = yaml.safe_load(_VARIABLE.sub(lambda found: GIVEN[found[1]], text))
    assert isinstance(loaded, dict)
    return loaded


SERVICES: Final[dict[str, Service]] = compose()["services"]
OURS: Final = sorted(name for name, service in SERVICES.items() if service["image"] == "plimsoll")


def test_the_services() -> None:
    assert sorted(SERVICES) == sorted(
        ["kafka", "topics", "worker-1", "worker-2", "mailer", "sms", "mailpit", "prometheus"]
    )
    assert OURS == ["mailer", "sms", "topics", "worker-1", "worker-2"]


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_has_only_keys_that_compose_knows_and_an_image_of_a_fixed_version(name: str) -> None:
    service = SERVICES[name]
    assert service.keys() <= KEYS_OF_SERVICE
    assert name in OURS or re.fullmatch(r"[a-z]+/[a-z]+:v?[0-9.]+", service["image"]), service["image"]


@pytest.mark.parametrize("name", SERVICES)
def test_what_a_service_refers_to_is_there(name: str) -> None:
    service = SERVICES[name]
    assert service.get("depends_on", {}).keys() <= SERVICES.keys()
    network = service.get("network_mode")
    assert network is None or network.removeprefix("service:") in SERVICES
    assert network is None or "ports" not in service, "ports belong to whoever has the network"
    volumes = compose()["volumes"]
    for volume in service.get("volumes", []):
        source = volume.split(":")[0]
        assert (DEPLOY / source).exists() if source.startswith(".") else source in volumes, volume
    for port in service.get("ports", []):
        assert port.startswith("127.0.0.1:"), "nothing is open to the network unless somebody wants it so"


@pytest.mark.parametrize("name", OURS)
def test_our_command_lines_are_accepted(name: str) -> None:
    assert parse(SERVICES[name]["command"]).params


@pytest.mark.parametrize("name", OURS)
def test_our_settings_are_accepted(name: str) -> None:
    environment = SERVICES[name].get("environment", {})
    assert all(isinstance(value, str) for value in environment.values())
    config = load_config(None, environment)
    assert isinstance(config, Config)
    if name.startswith("worker"):
        assert config.kafka is not None
        assert json.loads(environment["PLIMSOLL_API_KEYS"])[0]["sha256"] == config.api.keys[0].sha256
    assert (config.mail is not None) == (name == "mailer")
    assert (config.sms is not None) == (name == "sms")


def test_each_worker_has_a_place_and_an_address_of_its_own() -> None:
    workers = [parse(SERVICES[name]["command"]).params for name in OURS if name.startswith("worker")]
    assert [worker["instance"] for worker in workers] == ["worker-1", "worker-2"]
    assert [worker["advertise"] for worker in workers] == ["http://worker-1:8080", "http://worker-2:8080"]
    assert SERVICES["worker-1"]["volumes"] != SERVICES["worker-2"]["volumes"]


def test_the_image_is_built_from_the_dockerfile() -> None:
    """Once, for all: where each built it the tag went from one's to another's, and the next `up` began all anew."""
    (build,) = [SERVICES[name]["build"] for name in OURS if "build" in SERVICES[name]]
    assert (DEPLOY / build["context"] / build["dockerfile"]).resolve() == DEPLOY / "Dockerfile"
    assert {SERVICES[name]["pull_policy"] for name in OURS} == {"never"}


def test_the_broker_s_log_is_on_its_volume() -> None:
    """The image takes none of its own settings where any is given, and those put the log into the container's /tmp."""
    (mounted,) = [volume.split(":")[1] for volume in SERVICES["kafka"]["volumes"]]
    assert SERVICES["kafka"]["environment"]["KAFKA_LOG_DIRS"] == mounted
