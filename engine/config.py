"""The one configuration of every process: a TOML file, then the environment, then flags, each over the one before.

A setting ``[mail] host`` is ``PLIMSOLL_MAIL_HOST`` in the environment, ``[api.limits] events_max`` is
``PLIMSOLL_API_LIMITS_EVENTS_MAX``; lists are JSON there, or words with commas. Everything is checked before anything
starts, and every problem is told at once, with where the value came from.
"""

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Final, Literal, get_type_hints

import msgspec

from engine.connection import Connection
from engine.failures import WrongUse
from engine.tables import Problem, dotted, load_table, parse_text, read_struct, struct_of
from notifiers.config import MailOptions, SmsOptions
from projections.api.options import ApiOptions, OptionsError, check_options, is_loopback
from schemas.topics import PARTITIONS_DEFAULT

ENVIRONMENT_PREFIX: Final = "PLIMSOLL_"
DATA_DEFAULT: Final = "./plimsoll-data"


class EngineOptions(msgspec.Struct, frozen=True, kw_only=True):
    """The engine of one process: where its data is, and what bounds its work and its memory."""

    data: Annotated[str, msgspec.Meta(min_length=1)] = DATA_DEFAULT
    """Folder of the log, the state and the outputs; made where it is not there. One process at a time."""
    partitions: Annotated[int, msgspec.Meta(ge=1, le=1024)] = PARTITIONS_DEFAULT
    """Units of order and scaling, fixed for the life of the data. 1024: each costs memory even when idle."""
    durability: Literal["fsync", "os"] = "fsync"
    """fsync: an answer means the disk has it. os: an answer means the operating system has it; a power cut may lose
    the last moments, a killed process loses nothing."""
    batch_records_max: Annotated[int, msgspec.Meta(ge=1, le=50_000)] = 4_000
    """Records of one commit. Larger commits keep the interpreter from answering meanwhile."""
    queue_records_max: Annotated[int, msgspec.Meta(ge=1, le=1_000_000)] = 100_000
    """Events waiting for their commit; beyond it senders are asked to come back (429). About 1 KB each."""
    balances_max: Annotated[int, msgspec.Meta(ge=1, le=10_000_000)] = 240_000
    """Clients whose balance is held in memory over the store; those that came first leave first."""
    accounts_max: Annotated[int, msgspec.Meta(ge=1, le=10_000_000)] = 1_200
    """Clients held whole, with settings and rules: needed when a charge does more than lower a balance."""
    store_cache_bytes: Annotated[int, msgspec.Meta(ge=1024 * 1024, le=2**40)] = 64 * 1024 * 1024
    """RocksDB's block cache: what is read often of what does not fit above."""
    dedupe_filter_bytes: Annotated[int, msgspec.Meta(ge=64, le=2**40)] = 32 * 1024 * 1024
    """What says of most new events, without a look into the store, that they are no repeats; once for each of the two
    spans of the dedupe window. A bit an event: beyond that many in a week it says little, and nothing wrong."""
    keep_changes_seconds: Annotated[int, msgspec.Meta(ge=3600, le=10 * 366 * 86_400)] = 86_400
    """How long changes stay in the log for readers that are behind; the last of each client is in the state."""
    keep_outputs_seconds: Annotated[int, msgspec.Meta(ge=86_400, le=10 * 366 * 86_400)] = 30 * 86_400
    """How long notifications, deliveries and rejections stay in the log; events and journal stay for good."""
    events_per_second: Annotated[int, msgspec.Meta(ge=1, le=10_000_000)] = 1000
    """The rate to plan for: what `check` counts disk with. It limits nothing."""


class RunOptions(msgspec.Struct, frozen=True, kw_only=True):
    """What `plimsoll run` runs beside the engine; where false, `plimsoll mailer` and `plimsoll sms` can do it."""

    mailer: bool = True
    sms: bool = True


class MetricsOptions(msgspec.Struct, frozen=True, kw_only=True):
    """What is measured in passing is always counted; this is what costs something to ask, and where it is told."""

    refresh_seconds: Annotated[int, msgspec.Meta(ge=1, le=3600)] = 5
    """How often store sizes and timers due are measured; they cost the store a few milliseconds."""
    host: Annotated[str, msgspec.Meta(min_length=1)] = "127.0.0.1"
    """Where `mailer` and `sms` serve their metrics, without a key; `run` and `worker` do it at their door."""
    port: Annotated[int, msgspec.Meta(ge=1, le=65_535)] | None = None
    """None: they serve none. Two of them on one machine need two ports: give each by its flag."""


class KafkaOptions(Connection, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The cluster that `worker`, `topics` and the others work on, and which topics of it are theirs."""

    prefix: Annotated[str, msgspec.Meta(max_length=64, pattern=r"^[A-Za-z0-9._-]*$")] = ""
    """What the names of the topics start with; 64 leaves room for the longest name in Kafka's 249 characters."""
    app: Annotated[str, msgspec.Meta(max_length=64, pattern=r"^[A-Za-z0-9._-]+$")] = "plimsoll"
    """Name of the group of workers, and what the ids that fence start with: the same for whoever works here."""

    def app_id(self, app: str | None = None) -> str:
        """The name of the group on the cluster; ``app``: one that was given in place of the configured one."""
        return self.prefix + (self.app if app is None else app)


class WorkerOptions(msgspec.Struct, frozen=True, kw_only=True):
    """One worker (`plimsoll worker`): its disk, its place in the group, and what bounds its work and its memory."""

    data: Annotated[str, msgspec.Meta(min_length=1)] = "./plimsoll-worker"
    """Folder of the local state, a copy of what the cluster has. One process at a time."""
    instance: Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9._-]{1,128}$")] | None = None
    """Keeps the worker's place in the group while it restarts; each worker has another."""
    advertise: str | None = None
    """The URL at which other workers reach this one; where it listens, if not given."""
    standbys: Annotated[int, msgspec.Meta(ge=0, le=3)] = 1
    """Copies of each partition's state on other workers. 3: each is read and stored like the partition itself."""
    session_seconds: Annotated[float, msgspec.Meta(ge=6, le=60)] = 10.0
    """A worker silent for so long is taken for dead. 6 is the least that brokers allow by default."""
    batch_records_max: Annotated[int, msgspec.Meta(ge=1, le=50_000)] = 50_000
    """Records of one transaction of a partition, where so many wait: a client's changes in it are written once. Less
    than 1 KB each, by estimate, while they are under way."""
    step_records_max: Annotated[int, msgspec.Meta(ge=1, le=50_000)] = 2_000
    """Records folded at a time, a fiftieth of a second, in which nobody is answered. Where more of a partition wait it
    has a backlog, which is folded step by step, for half a second at most, before it is committed."""
    batch_wait_ms: Annotated[int, msgspec.Meta(ge=1, le=5_000)] = 100
    """How long an idle partition waits for records before it looks at its timers. 5,000: half of a transaction."""
    balances_max: Annotated[int, msgspec.Meta(ge=1, le=10_000_000)] = 20_000
    """Clients of one partition whose balance is held in memory over the store; about 0.4 KB each."""
    accounts_max: Annotated[int, msgspec.Meta(ge=1, le=10_000_000)] = 4_000
    """Clients of one partition held whole: needed when a charge does more than lower a balance."""
    dedupe_filter_bytes: Annotated[int, msgspec.Meta(ge=64, le=2**30)] = 4 * 1024 * 1024
    """As the engine's, for each owned partition: a bit an event of it, once for each of the two spans."""
    restores_max: Annotated[int, msgspec.Meta(ge=1, le=64)] = 4
    """Restores side by side, one core's worth: more would only share it and hold more fetches in memory."""
    caught_up_records_max: Annotated[int, msgspec.Meta(ge=0, le=1_000_000)] = 10_000
    """How far behind the end of `events` a partition may be and count as caught up: a tenth of a second of work."""
    commit_interval_ms: Annotated[int, msgspec.Meta(ge=0, le=5_000)] = 50
    """A partition commits once in so long, unless a whole batch waits: a commit costs 2 ms of CPU."""
    commits_max: Annotated[int, msgspec.Meta(ge=1, le=64)] = 12
    """Partitions that fold and commit at a time: while some wait for the broker, another one folds."""
    asides_max: Annotated[int, msgspec.Meta(ge=1, le=100)] = 2
    """Stores set aside and kept, by partition: they take as much disk as the one in use."""
    history_records_max: Annotated[int, msgspec.Meta(ge=0, le=100_000_000)] = 1_000_000
    """Records of a partition's log that are read for one client's history: at half of a core, a quarter of a minute."""


class Config(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that can be set. ``mail`` and ``sms`` None: that channel is not configured and is not sent; ``kafka``
    None: no cluster, and what needs one says so."""

    engine: EngineOptions = EngineOptions()
    run: RunOptions = RunOptions()
    api: ApiOptions = ApiOptions(auth="off")
    mail: MailOptions | None = None
    sms: SmsOptions | None = None
    metrics: MetricsOptions = MetricsOptions()
    kafka: KafkaOptions | None = None
    worker: WorkerOptions = WorkerOptions()


class ConfigError(WrongUse):
    """A configuration that cannot be used; ``problems`` has one sentence each, with file or variable and key."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


class Override(msgspec.Struct, frozen=True):
    """A setting given by a flag: where it goes, its value, and the flag's name for messages."""

    path: tuple[str, ...]
    value: object
    flag: str


def load_config(file: str | None, environment: Mapping[str, str], overrides: tuple[Override, ...] = ()) -> Config:
    """The configuration; raises ConfigError with every problem found, or WrongUse where the file cannot be read."""
    problems: list[str] = []
    table: dict[str, Any] = {} if file is None else load_table(file)  # Any: what a user wrote, checked below
    origins: dict[str, str] = {}
    for name, path, value in _from_environment(environment, problems):
        _put(table, path, value)
        origins[".".join(path)] = name
    for override in overrides:
        _put(table, override.path, override.value)
        origins[".".join(override.path)] = override.flag
    _settle_auth(table)
    found: list[Problem] = []
    config = read_struct(table, Config, "", found)
    problems += [_told(problem, origins, file) for problem in found]
    if config is not None:
        try:
            check_options(config.api)
        except OptionsError as error:
            problems.append(f"{file}: {error}" if file else str(error))
    if problems or config is None:
        raise ConfigError(problems)
    return config


def _settle_auth(table: dict[str, Any]) -> None:
    """Keys are off where none are configured and only this machine can ask; anywhere else that is an error."""
    api = table.setdefault("api", {})
    if isinstance(api, dict) and "auth" not in api and not api.get("keys"):
        host = api.get("host", ApiOptions().host)
        if isinstance(host, str) and is_loopback(host):
            api["auth"] = "off"


def _put(table: dict[str, Any], path: tuple[str, ...], value: object) -> None:
    for name in path[:-1]:
        inner = table.setdefault(name, {})
        if not isinstance(inner, dict):
            return  # reading the table then says what is wrong with it
        table = inner
    table[path[-1]] = value


def _from_environment(
    environment: Mapping[str, str], problems: list[str]
) -> Iterator[tuple[str, tuple[str, ...], object]]:
    known = dict(_variables(Config, ()))
    sections = tuple(f"{ENVIRONMENT_PREFIX}{name.upper()}_" for name in Config.__struct_fields__)
    for name in sorted(environment):
        if name in known:
            path, hint = known[name]
            yield name, path, parse_text(environment[name], hint)
        elif name.startswith(sections):
            problems.append(f"{name} is not a setting; those of the configuration file have the same names")


def _variables(
    cls: type[msgspec.Struct], path: tuple[str, ...]
) -> Iterator[tuple[str, tuple[tuple[str, ...], object]]]:
    for name, hint in get_type_hints(cls, include_extras=True).items():
        inner = struct_of(hint)
        at = (*path, name)
        if inner is None:
            yield ENVIRONMENT_PREFIX + "_".join(at).upper(), (at, hint)
        else:
            yield from _variables(inner, at)


def _told(problem: Problem, origins: Mapping[str, str], file: str | None) -> str:
    """The problem with where its value came from: the variable, the flag, else the file."""
    origin = origins.get(problem.path)
    if origin is not None:
        return f"{origin}{problem.text}"
    setting, _, found = problem.text.removeprefix(": ").partition(": ")  # what a section as a whole finds names one
    origin = origins.get(dotted(problem.path, setting)) if found else None
    if origin is not None:
        return f"{origin}: {found}"
    within = next((at for at in origins if at.startswith(dotted(problem.path, ""))), None) if problem.path else None
    if file is None:
        return f"{problem} ({origins[within]})" if within else str(problem)
    return f"{file}: {problem}"
