"""The composition root of ``plimsoll run``: engine, mailer, SMS consumer and door in one process, and how it ends.

Stopped in this order, each before the next: the door takes nothing more and answers what it took, the notifiers
record what they sent, the engine writes what is queued, the store is closed. A part that ends unasked ends them all:
a product of which half works would not be noticed.
"""

import asyncio
import logging
import socket
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Final

from prometheus_client import CollectorRegistry

from engine.collector import spare_collector
from engine.config import Config, EngineOptions
from engine.demo.scenery import SHOWCASE
from engine.embedded.demo import Demo, demonstrating
from engine.embedded.engine import EmbeddedEngine, EmbeddedOptions
from engine.embedded.parts import Part, run_parts, stopping_signals
from engine.embedded.views import EmbeddedViews
from engine.failures import WrongUse
from engine.metrics import EngineMetrics
from engine.store.ports import Store
from engine.store.rocks import RocksStore
from notifiers.config import OptionsError
from notifiers.mail import mail_sender, run_mailer
from notifiers.metrics import NotifierMetrics
from notifiers.render import TemplateError
from notifiers.sms import run_sms, sms_sender
from projections.api import create_app, listen, serve
from schemas.times import SECOND

_CAUGHT: Final = ", caught there and shown here"

Tell = Callable[[str], None]


async def run_product(config: Config, *, demo: bool = False, tell: Tell | None = None) -> None:
    """Runs until SIGINT or SIGTERM, then stops in order. ``tell`` is given lines for whoever started it.

    Raises ListenError, StoreError, WrongUse or another OperationalError: a sentence, and nothing is left running.
    """
    say = tell or _print
    stop = asyncio.Event()
    _log_to_stderr()
    with stopping_signals(stop), closing(listen(config.api)) as bound:
        if demo:
            async with demonstrating(config, say) as shown:
                await _run(shown.config, shown, bound, stop, say)
        else:
            await _run(config, None, bound, stop, say)


async def _run(config: Config, demo: Demo | None, bound: socket.socket, stop: asyncio.Event, say: Tell) -> None:
    _check_notifiers(config)
    options = config.engine
    with closing(RocksStore(Path(options.data), cache_bytes=options.store_cache_bytes)) as store:
        registry = CollectorRegistry()
        metrics, notified = EngineMetrics(registry), NotifierMetrics(registry)
        engine = EmbeddedEngine(store, _engine_options(options), metrics)
        spare_collector()
        log, views = engine.notifications, EmbeddedViews(engine, store)
        app = create_app(engine, views, log, config.api, registry)
        parts = [
            Part("the engine", engine.run),
            Part("the measuring", partial(_measure, store, engine, metrics, config.metrics.refresh_seconds)),
        ]
        if config.mail is not None and config.run.mailer:
            parts.append(Part("the mailer", partial(run_mailer, log, config.mail, notified)))
        if config.sms is not None and config.run.sms:
            parts.append(Part("the SMS consumer", partial(run_sms, log, config.sms, notified)))
        parts.append(Part("the door", lambda halt: serve(app, config.api, halt, bound)))
        if demo is not None:
            parts += demo.parts(engine, views)
        for line in _where_to_look(config, bound.getsockname()[1], demo is not None):
            say(line)
        await run_parts(parts, stop)
    say("stopped; everything that was answered is on the disk")


def _engine_options(options: EngineOptions) -> EmbeddedOptions:
    return EmbeddedOptions(
        data=Path(options.data),
        partitions=options.partitions,
        durability=options.durability,
        batch_records_max=options.batch_records_max,
        queue_records_max=options.queue_records_max,
        balances_max=options.balances_max,
        accounts_max=options.accounts_max,
        store_cache_bytes=options.store_cache_bytes,
        dedupe_filter_bytes=options.dedupe_filter_bytes,
        keep_changes_seconds=options.keep_changes_seconds,
        keep_outputs_seconds=options.keep_outputs_seconds,
    )


def _check_notifiers(config: Config) -> None:
    """Before anything starts: a broken template is found here, and not at the first client below the line."""
    try:
        if config.mail is not None and config.run.mailer:
            mail_sender(config.mail)
        if config.sms is not None and config.run.sms:
            sms_sender(config.sms)
    except (OptionsError, TemplateError) as error:
        raise WrongUse(str(error)) from None


async def _measure(
    store: Store, engine: EmbeddedEngine, metrics: EngineMetrics, refresh_seconds: int, stop: asyncio.Event
) -> None:
    """What is counted only when asked for: sizes, and how late the earliest timer is, now and then."""
    while not stop.is_set():
        metrics.observe_store(store, engine.partitions)
        earliest = min(partition.state.dues.earliest for partition in engine.partitions)
        metrics.timer_lag_seconds.set(max(0, engine.now() - earliest) / SECOND)
        with suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), refresh_seconds)


def _where_to_look(config: Config, port: int, demo: bool) -> Iterator[str]:
    api = config.api
    url = f"{'http' if api.tls_key is None else 'https'}://{api.host}:{port}"
    synced = "an answer means the disk has it" if config.engine.durability == "fsync" else "answers before the fsync"
    keys = "no keys: only this machine can ask" if api.auth == "off" else f"{len(api.keys)} keys"
    client = SHOWCASE if demo else "CLIENT"
    yield f"plimsoll {version('plimsoll')} is running; Ctrl-C stops it"
    yield f"  data      {config.engine.data} ({config.engine.partitions} partitions; {synced})"
    yield f"  events    POST {url}/v1/events ({keys})"
    yield f"  a client  {url}/v1/clients/{client}"
    yield f"  why       {url}/v1/clients/{client}/why"
    yield f"  the API   {url}/openapi.json"
    yield f"  metrics   {url}/metrics"
    yield f"  mail      {_mail(config)}{_CAUGHT if demo else ''}"
    yield f"  SMS       {_sms(config)}{_CAUGHT if demo else ''}"


def _mail(config: Config) -> str:
    if config.mail is None:
        return "off: no [mail] in the configuration"
    where = f"{config.mail.host}:{config.mail.port_used}"
    return f"over {where}" if config.run.mailer else "not from here: `plimsoll mailer` sends it (run.mailer is off)"


def _sms(config: Config) -> str:
    if config.sms is None:
        return "off: no [sms] in the configuration"
    return f"over {config.sms.url}" if config.run.sms else "not from here: `plimsoll sms` sends it (run.sms is off)"


def _log_to_stderr() -> None:
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    logging.getLogger("uvicorn.error").setLevel(logging.WARNING)  # it tells of its own start and end


def _print(line: str) -> None:
    print(line, flush=True)
