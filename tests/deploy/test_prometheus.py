"""Scrape configuration and alert rules: what they name exists, and each alert is written up in the runbook."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest
import yaml  # type: ignore[import-untyped]  # ships no types, and its stubs are not worth a dependency
from prometheus_client import CollectorRegistry

from engine.kafka.metrics import TaskMetrics
from engine.kafka.shell.metrics import ShellMetrics
from notifiers.metrics import NotifierMetrics
from projections.api.measures import Measures
from tests.deploy.command_lines import parse
from tests.deploy.test_compose import SERVICES

DEPLOY: Final = Path(__file__).resolve().parents[2] / "deploy"
_NAME = re.compile(r"\bplimsoll_[a-z_]+")
_SELECTED = re.compile(r"\b(plimsoll_[a-z_]+)\{([a-z_]+)=")
_BY = re.compile(r"\b(?:by|on) \(([a-z_, ]+)\)")
SCRAPED: Final = {"job", "instance", "le", "channel"}  # labels that Prometheus or a histogram adds


def _read(name: str) -> dict[str, Any]:  # Any: YAML has no schema here
    loaded = yaml.safe_load((DEPLOY / "prometheus" / name).read_text(encoding="utf-8"))
    assert isinstance(loaded, dict)
    return loaded


def _rules() -> list[dict[str, Any]]:
    return [rule for group in _read("alerts.yml")["groups"] for rule in group["rules"]]


def _series() -> Iterator[tuple[str, tuple[str, ...]]]:
    """Every series that a process of ours can show, with its labels."""
    registry = CollectorRegistry()
    TaskMetrics(registry)
    ShellMetrics(registry)
    NotifierMetrics(registry)
    Measures(registry)
    for collector, names in registry._collector_to_names.items():
        labels = getattr(collector, "_labelnames", ())
        for name in names:
            yield name, labels


SERIES: Final = dict(_series())
RULES: Final = {rule["alert"]: rule for rule in _rules()}


@pytest.mark.parametrize("alert", RULES)
def test_an_alert_names_metrics_and_labels_that_exist(alert: str) -> None:
    expression = RULES[alert]["expr"]
    names = _NAME.findall(expression)
    assert set(names) <= SERIES.keys(), expression
    assert names or expression.startswith("up{")
    for name, label in _SELECTED.findall(expression):
        assert label in SERIES[name], expression
    known = {*SCRAPED, *(label for name in names for label in SERIES[name])}
    for labels in _BY.findall(expression):
        assert set(labels.split(", ")) <= known, expression


@pytest.mark.parametrize("alert", RULES)
def test_an_alert_says_how_urgent_it_is_and_what_is_wrong(alert: str) -> None:
    rule = RULES[alert]
    assert rule["labels"] in ({"severity": "page"}, {"severity": "ticket"})
    assert rule["annotations"].keys() == {"summary"}


def test_every_alert_is_tested() -> None:
    tested = {case["alertname"] for test in _read("alerts_test.yml")["tests"] for case in test["alert_rule_test"]}
    assert tested == RULES.keys()


def test_the_runbook_says_what_each_alert_means() -> None:
    text = (DEPLOY / "runbook.md").read_text(encoding="utf-8")
    section = text.split("\n## Alerts\n")[1]
    assert re.findall(r"^\| `(Plimsoll[A-Za-z]+)`", section, re.MULTILINE) == list(RULES)


def test_jobs_are_what_the_alerts_call_them_and_targets_what_the_compose_file_starts() -> None:
    jobs = {job["job_name"]: job for job in _read("prometheus.yml")["scrape_configs"]}
    for rule in RULES.values():
        for found in re.findall(r'job=~?"([^"]+)"', rule["expr"]):
            assert set(found.split("|")) <= jobs.keys()
    workers = jobs["plimsoll-worker"]["static_configs"][0]["targets"]
    assert [target.split(":")[0] for target in workers] == [name for name in SERVICES if name.startswith("worker")]
    (mailer,) = jobs["plimsoll-notifier"]["static_configs"][0]["targets"]
    params = parse(SERVICES["mailer"]["command"]).params
    assert (mailer, params["metrics_host"]) == (f"mailer:{params['metrics_port']}", "0.0.0.0")
    assert _read("prometheus.yml")["rule_files"] == ["alerts.yml"]
