"""A worker's membership of the group: a Faust app that is assigned partitions of the control topic (ADR 17).

Faust joins, keeps the session, elects a leader, shares out active and standby partitions and hands over what is sent to
the control topic. It reads nothing else, and commits offsets of the control topic only.
"""

import asyncio
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

import faust
import msgspec
from aiokafka.errors import KafkaError
from faust.assignor.client_assignment import ClientMetadata
from faust.assignor.partition_assignor import PartitionAssignor
from mode.threads import WorkerThread

from engine.connection import addresses
from engine.failures import OperationalError
from engine.kafka.clients import Connection
from engine.kafka.refusals import why_denied
from engine.kafka.shell.hooks import LOOK_SECONDS, Assignment, Hooks
from engine.kafka.topics import CONTROL

HEARTBEATS: Final = 10  # in a session: each also tells a member, soon, that the group is being shared out anew
_REBALANCE_SECONDS: Final = 20  # how long the group waits for a member that is stopping its tasks
_NEVER_SECONDS: Final = 10 * 365 * 86_400
_WATCH_SECONDS: Final = 1.0
_REACH_SECONDS: Final = 2.0
_ANSWER_SECONDS_MAX: Final = 30.0
_REFUSALS_MAX: Final = 30  # in a row: half a minute of a group that does not let this worker in
_THREAD_SECONDS_MAX: Final = 1.0


class MembershipError(OperationalError):
    """This process is no member any more and cannot become one again; started anew, it can."""


class MemberOptions(msgspec.Struct, frozen=True, kw_only=True):
    """How a worker is known to the group. ``url``: where other workers send a reader of this one's clients;
    ``instance``: a name that makes the group keep its place while it restarts; ``standbys``: of each partition."""

    connection: Connection
    app: str
    prefix: str
    url: str
    data: Path
    instance: str | None = None
    standbys: int = 1
    session_seconds: float = 10.0


class _Assignor(PartitionAssignor):
    """Faust's own, which takes from the app how many standbys there are; Faust uses it only where there is one."""

    def __init__(self, app: Any, replicas: int = 0) -> None:  # Any: Faust's app, which is not typed
        super().__init__(app, replicas=app.plimsoll_standbys)

    def on_assignment(self, assignment: Any) -> None:  # type: ignore[override]  # as Faust does; Any: not typed
        """Raises MembershipError where the group remembers a static member at another address than it has now."""
        remembered: Any = ClientMetadata.loads(self._decompress(assignment.user_data))  # Any: a Faust record
        if remembered.url != str(self._url):
            raise MembershipError(
                f"the group knows this instance at {remembered.url}, and it is at {self._url}: start it at the same "
                "address, or after its session has ended"
            )
        super().on_assignment(assignment)


class _Thread(WorkerThread):
    """Faust's thread of the group's client, which cannot keep a process alive that has handed over."""

    def __init__(self, service: Any, **given: Any) -> None:  # Any: mode's service
        super().__init__(service, **given)
        self.daemon = True

    def stop(self) -> None:
        """Waits for its end on the event loop, as Faust's does, but not for ever."""
        self.is_stopped.wait(_THREAD_SECONDS_MAX)


class Membership:
    """The member; started, watched and stopped by who runs the process."""

    def __init__(self, options: MemberOptions, hooks: Hooks) -> None:
        self._options = options
        self._hooks = hooks
        self._control = options.prefix + CONTROL
        self.is_settled = False
        """Whether the group has given this worker its share and is not being shared out anew."""
        self.is_reached = True
        """Whether the cluster answered when it was last asked how it is."""
        self.app = self._made()

    def _made(self) -> Any:  # Any: Faust's app, whose attributes are made at run time
        options = self._options
        app: Any = faust.App(
            options.app,
            broker=[f"kafka://{_bracketed(host)}:{port}" for host, port in addresses(options.connection.bootstrap)],
            broker_credentials=_credentials(options.connection),
            broker_session_timeout=options.session_seconds,
            broker_heartbeat_interval=options.session_seconds / HEARTBEATS,
            broker_rebalance_timeout=_REBALANCE_SECONDS,
            consumer_group_instance_id=options.instance,
            consumer_auto_offset_reset="earliest",  # a command sent before the first commit counts too
            table_standby_replicas=max(1, options.standbys),
            PartitionAssignor=_Assignor,
            canonical_url=options.url,
            web_enabled=False,
            datadir=options.data / "faust",
            topic_allow_declare=False,
            autodiscover=False,
            # These watch streams that carry data; an idle control topic is not one that hangs.
            stream_processing_timeout=_NEVER_SECONDS,
            broker_commit_livelock_soft_timeout=_NEVER_SECONDS,
        )
        app.plimsoll_standbys = options.standbys
        control = app.topic(self._control, key_serializer="raw", value_serializer="raw", value_type=bytes)
        app.on_partitions_revoked.connect(self._revoked)
        app.on_partitions_assigned.connect(self._assigned)
        app.agent(control, name="control")(self._commanded)
        app.timer(LOOK_SECONDS, on_leader=True, name="leader")(self._led)
        return app

    @property
    def url(self) -> str:
        """Where this worker is, spelled as the group has it."""
        return str(self.app.conf.canonical_url)

    async def run(self) -> None:
        """Joins the group, and runs as long as the membership works. Raises MembershipError, KafkaError."""
        self._options.data.mkdir(parents=True, exist_ok=True)
        self.app.loop = asyncio.get_running_loop()
        self.app.finalize()
        self.use_daemon_thread()
        tasks = [asyncio.create_task(part) for part in (self._start(), self._reach(), self.watch())]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
        for task in tasks:
            if task.done() and not task.cancelled():
                task.result()
        raise MembershipError("the membership of the group ended by itself")

    def use_daemon_thread(self) -> None:
        """The client's thread, once it is started, ends with the process."""
        self.app.consumer._thread.Worker = _Thread

    async def _start(self) -> None:
        """Returns never: the group's first share, which Faust waits for here, is nothing to wait for."""
        await self.app.start()
        await self.app.wait_until_stopped()

    async def _reach(self) -> None:
        """Asks the cluster for its metadata now and then; a cluster that is gone is not noticed by waiting for it."""
        while True:
            await asyncio.sleep(_REACH_SECONDS)
            consumer = self._consumer()
            if consumer is None:
                continue
            asking = asyncio.create_task(self._call(consumer._client.force_metadata_update))
            await asyncio.wait({asking}, timeout=_REACH_SECONDS)
            self.is_reached = asking.done()
            await asyncio.wait({asking})
            self.is_reached = asking.exception() is None and bool(asking.result())

    async def watch(self) -> None:
        """Looks at what the group's client ran into, which waits until somebody looks, and Faust never does."""
        refusals = 0
        while True:
            stopped = await self.app.wait_for_stopped(asyncio.sleep(_WATCH_SECONDS))
            if self.app.crashed:
                reason = self.app.crash_reason
                denied = why_denied(reason, self._options.connection)
                if denied is not None:
                    raise MembershipError(denied) from reason
                raise MembershipError(f"the membership of the group broke: {type(reason).__name__}: {reason}")
            if stopped:
                return
            consumer = self._consumer()
            if consumer is None:
                continue
            coordinator = consumer._coordinator
            try:
                await asyncio.wait_for(self._call(coordinator.check_errors), _ANSWER_SECONDS_MAX)
            except TimeoutError:
                raise MembershipError(f"the group's client gave no answer in {_ANSWER_SECONDS_MAX:g} s") from None
            except KafkaError as error:
                if isinstance(error.__cause__, MembershipError):
                    raise error.__cause__ from None
                denied = why_denied(error, self._options.connection)
                if denied is not None:
                    raise MembershipError(denied) from error
                refusals += 1
                if refusals > _REFUSALS_MAX or coordinator._coordination_task.done():
                    raise MembershipError(f"the group {self._options.app} lets this worker not in: {error}") from error
            else:
                refusals = 0

    async def stop(self, seconds_max: float) -> bool:
        """Leaves the group, if that takes no longer; whether it did. A static member keeps its place until its session
        ends, and so does one that could not leave."""
        self.is_settled = False
        stopping = asyncio.create_task(self.app.stop())
        await asyncio.wait({stopping}, timeout=seconds_max)
        if not stopping.done():
            return False
        stopping.result()
        return True

    def is_leader(self) -> bool:
        """Whether this is the one worker of the group that does what is done once."""
        return self.is_settled and bool(self.app.is_leader())

    def owners(self) -> Mapping[int, str]:
        """By partition the URL of the worker that the group gave it to, as far as known."""
        shared = self.app.router.external_topics_metadata()
        return {number: url for url, topics in shared.items() for number in topics.get(self._control, ())}

    def urls(self) -> list[str]:
        """The URLs of all workers that the group has shared out to, whether they got something or not."""
        return list(self.app.router.external_topics_metadata())

    async def _call(self, function: Callable[[], Any]) -> Any:  # Any: whatever of aiokafka
        """Calls it where the group's client lives, in a thread of Faust's."""
        return await self.app.consumer._thread.call_thread(function)

    def _consumer(self) -> Any:  # Any: aiokafka's consumer; None before it has begun to join
        consumer = self.app.consumer._thread._consumer
        return None if consumer is None or consumer._coordinator is None else consumer

    async def _revoked(self, sender: Any, revoked: Any, **_: Any) -> None:  # Any: as Faust sends its signals
        self.is_settled = False
        await self._hooks.revoked()

    async def _assigned(self, sender: Any, assigned: Any, **_: Any) -> None:  # Any: as above
        standbys = self._numbers(self.app.assignor.assigned_standbys())
        self._hooks.assigned(Assignment(self._numbers(assigned), standbys))
        self.is_settled = True

    def _numbers(self, places: Any) -> frozenset[int]:  # Any: Faust's topic partitions
        return frozenset(place.partition for place in places if place.topic == self._control)

    async def _led(self) -> None:
        if self.is_settled:
            await self._hooks.led()

    async def _commanded(self, stream: Any) -> None:  # Any: Faust's stream
        async for event in stream.events():
            message = event.message
            self._hooks.commanded(message.partition, message.value or b"", int(message.timestamp * 1000))


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def _credentials(connection: Connection) -> Any:  # Any: one of Faust's classes, or None
    context = connection.tls_context()
    if connection.sasl != "none":
        return faust.SASLCredentials(
            mechanism=connection.sasl.upper(),
            username=connection.username,
            password=connection.password,
            ssl_context=context,
        )
    return None if context is None else faust.SSLCredentials(context)
