"""``plimsoll check``: what is wrong with this installation, its configuration and its disk, before it matters."""

import asyncio
import fcntl
import os
import platform
import shutil
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Final

import click
import httpx

from engine.cli.kafka_options import cluster_flags, configured_cluster, connecting
from engine.cli.options import app_option, json_option, show_json
from engine.cli.sending import end
from engine.config import Config, ConfigError, KafkaOptions
from engine.failures import OperationalError, WrongUse
from engine.findings import Finding
from engine.publish import open_client, problem_of, unreachable
from schemas.topics import Topic

DEDUPE_BYTES_AN_EVENT: Final = 32
"""128 bits of identity and 128 of content (architecture, "State of a partition")."""
DEDUPE_WINDOW_SECONDS: Final = 7 * 86_400
_LIBRARIES: Final = ("msgspec", "rocksdict", "starlette", "uvicorn", "aiosmtplib", "httpx")
_RECORDS_DEFAULT: Final = 10_000
_RECORDS_MAX: Final = 1_000_000  # at 100,000 a second this is what somebody waits for
_PYTHON_MIN: Final = (3, 11)
_GB: Final = 1_000_000_000


@click.command(short_help="What is wrong with configuration, data folder, disk and cluster.")
@cluster_flags
@app_option
@click.option("--data", metavar="DIR", help="Folder of log and state. Default: as configured.")
@click.option("--url", help="Ask a running product too whether it is ready.")
@click.option("--key", envvar="PLIMSOLL_KEY", help="Bearer key for --url. [env: PLIMSOLL_KEY]")
@click.option(
    "--records",
    type=click.IntRange(0, _RECORDS_MAX),
    default=_RECORDS_DEFAULT,
    show_default=True,
    help="Kafka: how many of the last events are looked at for their producers' partitioner.",
)
@click.option("--sample", metavar="TOPIC", help="Kafka: look at this topic instead, into which a producer was tried.")
@json_option
def check(
    config_file: str | None,
    bootstrap: str | None,
    prefix: str | None,
    app: str | None,
    data: str | None,
    url: str | None,
    key: str | None,
    records: int,
    sample: str | None,
    as_json: bool,
) -> None:
    """Checks versions, configuration, data folder and disk, and a Kafka cluster where one is given or configured.

    Exit 1 where there is a problem. A warning is what works today and will not on a bad day.

    \b
    plimsoll check
    plimsoll check --config plimsoll.toml --url http://127.0.0.1:8080
    plimsoll check --bootstrap kafka-1:9092 --records 100000
    plimsoll check --bootstrap kafka-1:9092 --sample trial-of-the-new-switch
    """
    findings = _versions()
    try:
        config = configured_cluster(
            config_file, bootstrap, prefix, ("--data", "engine.data", data), ("--app", "kafka.app", app)
        )
    except ConfigError as error:
        findings += [Finding("configuration", "problem", problem) for problem in error.problems]
    except WrongUse as error:
        findings.append(Finding("configuration", "problem", str(error)))
    else:
        findings.append(Finding("configuration", "ok", _summary(config, config_file)))
        findings += _data(Path(config.engine.data))
        findings.append(_disk(config))
        if config.kafka is not None:
            findings += _cluster(config.kafka, config.worker.session_seconds, records, sample)
    if url is not None:
        findings.append(asyncio.run(_readiness(url, key)))
    bad = sum(finding.state == "problem" for finding in findings)
    if as_json:
        show_json({"problems": bad, "findings": findings})
    else:
        for finding in findings:
            click.echo(f"{finding.state.ljust(7)}  {finding.what}: {finding.detail}")
        warnings = sum(finding.state == "warning" for finding in findings)
        if warnings:
            click.echo(f"{warnings} warning{'s' if warnings > 1 else ''}")
        click.echo("no problems" if bad == 0 else f"{bad} problem{'s' if bad > 1 else ''}")
    end(failed=bad > 0)


def _versions() -> list[Finding]:
    python = platform.python_version()
    new_enough = tuple(int(part) for part in python.split(".")[:2]) >= _PYTHON_MIN
    found = [
        Finding("plimsoll", "ok", _version("plimsoll") or "not installed as a package"),
        Finding("python", "ok" if new_enough else "problem", python if new_enough else f"{python}; 3.11 is needed"),
    ]
    zones = _version("tzdata")
    if zones is None:
        found.append(Finding("zone data", "problem", "tzdata is not installed; local times cannot be read"))
    else:
        found.append(Finding("zone data", "ok", f"tzdata {zones}"))
    libraries = {name: _version(name) for name in _LIBRARIES}
    missing = [name for name, number in libraries.items() if number is None]
    if missing:
        found.append(Finding("libraries", "problem", f"not installed: {', '.join(missing)}"))
    else:
        found.append(Finding("libraries", "ok", ", ".join(f"{name} {number}" for name, number in libraries.items())))
    return found


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _summary(config: Config, file: str | None) -> str:
    mail = "off" if config.mail is None else f"{config.mail.host}:{config.mail.port_used}"
    sms = "off" if config.sms is None else config.sms.transport
    keys = f"{len(config.api.keys)} keys" if config.api.auth == "keys" else "no keys, loopback only"
    kafka = "off" if config.kafka is None else config.kafka.bootstrap
    return (
        f"{file or 'no file'}; {config.engine.partitions} partitions, durability {config.engine.durability}; "
        f"{config.api.host}:{config.api.port}, {keys}; mail {mail}; sms {sms}; kafka {kafka}"
    )


def _data(folder: Path) -> list[Finding]:
    if not folder.exists():
        above = _existing(folder)
        if os.access(above, os.W_OK | os.X_OK):
            return [Finding("data folder", "ok", f"{folder} is not there yet; run makes it")]
        return [Finding("data folder", "problem", f"{folder} is not there, and {above} cannot be written to")]
    if not folder.is_dir():
        return [Finding("data folder", "problem", f"{folder}: expected a folder, found a file")]
    if not os.access(folder, os.R_OK | os.W_OK | os.X_OK):
        return [Finding("data folder", "problem", f"{folder} cannot be read and written by this user")]
    use = "in use by a running process" if _in_use(folder) else "not in use"
    return [Finding("data folder", "ok", f"{folder}: {_size(folder) / _GB:.3f} GB, {use}")]


def _in_use(folder: Path) -> bool:
    """Whether a process holds a store in the folder (RocksDB locks a file named LOCK)."""
    for path in [*folder.glob("LOCK"), *folder.glob("*/LOCK")]:
        try:
            with path.open("r+b") as file:
                fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return True
    return False


def _size(folder: Path) -> int:
    total = 0
    for inner, _, names in os.walk(folder):
        for name in names:
            try:
                total += os.stat(os.path.join(inner, name)).st_size
            except OSError:  # a store removes its files while they are counted
                continue
    return total


def _existing(path: Path) -> Path:
    path = path.absolute()
    while not path.exists() and path != path.parent:
        path = path.parent
    return path


def _disk(config: Config) -> Finding:
    """Whether the dedupe window at the configured rate has room on the disk of the data folder."""
    folder = Path(config.engine.data)
    rate = config.engine.events_per_second
    window = DEDUPE_BYTES_AN_EVENT * rate * DEDUPE_WINDOW_SECONDS
    free = shutil.disk_usage(_existing(folder)).free
    held = _size(folder) if folder.is_dir() else 0
    figures = (
        f"{window / _GB:.1f} GB for the dedupe window ({DEDUPE_BYTES_AN_EVENT} bytes x {rate}/s x 7 days), "
        f"{free / _GB:.1f} GB free; log and outputs come on top"
    )
    if config.kafka is not None:
        # Which part of the partitions a worker has is not known here, so this alone is no problem yet.
        figures += "; that is all workers together, as much again for each standby, and each copy on the brokers"
        return Finding("disk", "warning" if free + held < window else "ok", figures)
    if free + held < window:
        advice = "free some space, use a larger disk, or set engine.events_per_second to the rate you expect"
        return Finding("disk", "problem", f"{figures}: {advice}")
    return Finding("disk", "ok", figures)


def _cluster(kafka: KafkaOptions, session_seconds: float, records: int, sample: str | None) -> list[Finding]:
    """What the cluster says, and where the records in it are."""
    findings: list[Finding] = []
    try:
        with connecting(kafka):
            from engine.kafka.checking import cluster_findings
            from engine.kafka.facts import read_facts
            from engine.kafka.partitioning import placement_finding, read_placed

            app = kafka.app_id()
            facts = asyncio.run(read_facts(kafka, kafka.prefix, app))
            findings += cluster_findings(facts, kafka, kafka.prefix, app, session_seconds)
            topic = sample or kafka.prefix + Topic.EVENTS.value
            if records > 0:
                count, placed = asyncio.run(read_placed(kafka, topic, records))
                if count or sample:  # that `events` is not there has been said
                    findings.append(placement_finding(topic, count, placed))
    except OperationalError as error:
        findings.append(Finding("cluster", "problem", str(error)))
    return findings


async def _readiness(url: str, key: str | None) -> Finding:
    async with open_client(url, key, 10.0) as client:
        try:
            response = await client.get(url.rstrip("/") + "/readyz")
        except (httpx.TransportError, httpx.InvalidURL) as error:
            told = unreachable(url, error) if isinstance(error, httpx.TransportError) else str(error)
            return Finding("product", "problem", told)
    if response.status_code != 200:
        return Finding("product", "problem", problem_of(response))
    return Finding("product", "ok", f"{url} is ready")
