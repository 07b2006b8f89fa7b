"""Every hook of Faust that the shell hangs on, and of aiokafka and mode below: a version that changes one fails here.

``engine.kafka.shell.membership`` is the only module of ours that imports Faust; ADR 17 says what each hook is for.
"""

import asyncio
import inspect
from importlib.metadata import version
from pathlib import Path
from typing import Any

import aiokafka
import faust
import pytest
from aiokafka.client import AIOKafkaClient
from aiokafka.cluster import ClusterMetadata
from aiokafka.consumer.group_coordinator import GroupCoordinator
from aiokafka.coordinator.protocol import ConsumerProtocolMemberAssignment
from faust.app.base import App
from faust.assignor.client_assignment import ClientMetadata
from faust.transport.consumer import ThreadDelegateConsumer
from faust.transport.drivers.aiokafka import credentials_to_aiokafka_auth
from faust.types import TP
from mode.threads import QueueServiceThread, ServiceThread, WorkerThread

from engine.connection import Connection
from engine.kafka.clients import security
from engine.kafka.shell.hooks import Assignment, Hooks
from engine.kafka.shell.membership import MemberOptions, Membership, MembershipError
from engine.kafka.topics import leader_topic

# Any below: Faust's objects, whose attributes are made at run time.

CONTROL = "p-control"


class Heard:
    """What a membership told its hooks, in order."""

    def __init__(self) -> None:
        self.calls: list[object] = []
        self.called = asyncio.Event()
        self.releasing = asyncio.Event()
        self.releasing.set()

    async def revoked(self) -> None:
        self.calls.append("revoked")
        self.called.set()
        await self.releasing.wait()
        self.calls.append("released")

    def assigned(self, assignment: Assignment) -> None:
        self.calls.append(assignment)

    def commanded(self, number: int, value: bytes, at_ms: int) -> None:
        self.calls.append((number, value, at_ms))

    async def led(self) -> None:
        self.calls.append("led")

    def hooks(self) -> Hooks:
        return Hooks(self.revoked, self.assigned, self.commanded, self.led)


def membership_of(folder: Path, *, url: str = "http://127.0.0.1:1", standbys: int = 1, **given: Any) -> Membership:
    return made(folder, Heard(), url=url, standbys=standbys, **given)


def made(folder: Path, heard: Heard, **given: Any) -> Membership:
    connection = given.pop("connection", Connection(bootstrap="127.0.0.1:9092,[::1]:9093"))
    options = MemberOptions(connection=connection, app="p-plimsoll", prefix="p-", data=folder, **given)
    membership = Membership(options, heard.hooks())
    membership.app.loop = asyncio.get_running_loop()
    membership.app.finalize()
    return membership


class Partitions(ClusterMetadata):
    """A cluster in which the control topic has eight partitions and the leader's one."""

    def partitions_for_topic(self, topic: str) -> set[int]:
        return set(range(8)) if topic == CONTROL else {0}


def shared(members: dict[str, Membership]) -> dict[str, ConsumerProtocolMemberAssignment]:
    """What the assignor of the first gives to each, who takes note of it as a member does."""
    metadata = {
        name: each.app.assignor.metadata({CONTROL, leader_topic("p-plimsoll")}) for name, each in members.items()
    }
    found: dict[str, ConsumerProtocolMemberAssignment] = next(iter(members.values())).app.assignor.assign(
        Partitions(),  # type: ignore[no-untyped-call]  # aiokafka's, without annotations
        metadata,
    )
    for name, each in members.items():
        each.app.assignor.on_assignment(found[name])
    return found


def numbers(places: Any) -> set[int]:
    return {place.partition for place in places if place.topic == CONTROL}


def test_the_versions_are_the_ones_that_these_tests_were_written_for() -> None:
    assert version("faust-streaming") == "0.15.3"
    assert version("aiokafka").startswith("0.14.")


async def test_the_assignor_gives_active_and_standby_partitions_without_a_table(tmp_path: Path) -> None:
    a = membership_of(tmp_path, url="http://a:1")
    b = membership_of(tmp_path, url="http://b:1")
    shared({"a": a, "b": b})
    actives = [numbers(each.app.assignor.assigned_actives()) for each in (a, b)]
    standbys = [numbers(each.app.assignor.assigned_standbys()) for each in (a, b)]
    assert sorted(actives[0] | actives[1]) == list(range(8))
    assert [len(each) for each in actives] == [4, 4]
    assert standbys == [actives[1], actives[0]]


async def test_only_active_partitions_are_assigned_by_kafka_s_protocol(tmp_path: Path) -> None:
    """Standbys are in the assignor's own data: the client of the group fetches nothing for them."""
    a, b = membership_of(tmp_path, url="http://a:1"), membership_of(tmp_path, url="http://b:1")
    found = shared({"a": a, "b": b})
    given = {topic: set(partitions) for topic, partitions in found["a"].assignment}
    assert given[CONTROL] == numbers(a.app.assignor.assigned_actives())


async def test_the_assignor_is_sticky_and_promotes_standbys(tmp_path: Path) -> None:
    members = {name: membership_of(tmp_path, url=f"http://{name}:1") for name in "ab"}
    shared(members)
    had = {name: numbers(each.app.assignor.assigned_actives()) for name, each in members.items()}
    members["c"] = membership_of(tmp_path, url="http://c:1")
    shared(members)
    for name in "ab":
        assert numbers(members[name].app.assignor.assigned_actives()) <= had[name]
    stood_by = numbers(members["b"].app.assignor.assigned_standbys())
    had = {name: numbers(each.app.assignor.assigned_actives()) for name, each in members.items()}
    left = members.pop("a")
    shared(members)
    gained = numbers(members["b"].app.assignor.assigned_actives()) - had["b"]
    free = numbers(left.app.assignor.assigned_actives())
    assert gained
    assert gained & stood_by or not free & stood_by
    assert had["b"] <= numbers(members["b"].app.assignor.assigned_actives())


async def test_no_standbys_where_none_are_wanted(tmp_path: Path) -> None:
    """Faust takes another assignor where its own setting is 0: ours is 1, and the number comes from the app."""
    a, b = (membership_of(tmp_path, url=f"http://{name}:1", standbys=0) for name in "ab")
    assert a.app.conf.table_standby_replicas == 1
    shared({"a": a, "b": b})
    assert not numbers(a.app.assignor.assigned_standbys())
    assert [len(numbers(each.app.assignor.assigned_actives())) for each in (a, b)] == [4, 4]


async def test_the_router_knows_the_owner_of_every_partition_on_every_worker(tmp_path: Path) -> None:
    members = {name: membership_of(tmp_path, url=f"http://{name}:1") for name in "ab"}
    shared(members)
    expected = {
        number: f"http://{name}:1"
        for name, each in members.items()
        for number in numbers(each.app.assignor.assigned_actives())
    }
    for each in members.values():
        assert each.owners() == expected
        assert sorted(each.urls()) == ["http://a:1", "http://b:1"]


async def test_a_worker_without_a_share_is_known_all_the_same(tmp_path: Path) -> None:
    assert membership_of(tmp_path).owners() == {}
    members = {str(each): membership_of(tmp_path, url=f"http://w{each}:1") for each in range(9)}
    shared(members)
    assert len(members["0"].urls()) == 9


async def test_an_assignment_for_another_address_is_told_in_a_sentence(tmp_path: Path) -> None:
    before = membership_of(tmp_path, url="http://a:1")
    remembered = shared({"a": before})["a"]
    after = membership_of(tmp_path, url="http://a:2")
    with pytest.raises(MembershipError, match="knows this instance at http://a:1"):
        after.app.assignor.on_assignment(remembered)
    raw = after.app.assignor._decompress(remembered.user_data)
    assert ClientMetadata.loads(raw).url == "http://a:1"


async def test_the_group_s_client_gets_our_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given: dict[str, Any] = {}
    monkeypatch.setattr(aiokafka, "AIOKafkaConsumer", lambda **kwargs: given.update(kwargs))
    membership = membership_of(tmp_path, instance="w-1", session_seconds=10.0)
    thread = membership.app.consumer._thread
    thread._create_consumer(loop=asyncio.get_running_loop())
    assert given["group_id"] == "p-plimsoll"
    assert given["group_instance_id"] == "w-1"
    assert given["partition_assignment_strategy"] == [membership.app.assignor]
    assert given["session_timeout_ms"] == 10_000
    assert given["heartbeat_interval_ms"] == 1_000
    assert given["enable_auto_commit"] is False
    assert given["bootstrap_servers"] == ["127.0.0.1:9092", "[::1]:9093"]


@pytest.mark.parametrize("tls", [False, True])
@pytest.mark.parametrize("sasl", ["none", "scram-sha-512"])
async def test_credentials_come_to_what_our_own_clients_are_opened_with(tmp_path: Path, tls: bool, sasl: Any) -> None:
    who = {} if sasl == "none" else {"username": "u", "password": "p"}
    connection = Connection(bootstrap="127.0.0.1:9092", tls=tls, sasl=sasl, **who)  # type: ignore[arg-type]  # by name
    membership = membership_of(tmp_path, connection=connection)
    found = credentials_to_aiokafka_auth(membership.app.conf.broker_credentials, membership.app.conf.ssl_context)
    ours = security(connection)
    assert found["security_protocol"] == ours["security_protocol"]
    for name in ("ssl_context", "sasl_mechanism", "sasl_plain_username", "sasl_plain_password"):
        if name in found:
            assert found[name] == ours[name]
    assert ("sasl_mechanism" in found) == (sasl != "none")


async def test_faust_awaits_what_a_revocation_stops(tmp_path: Path) -> None:
    """The group goes on only when the client's thread has an answer, which waits for the signal's receivers."""
    heard = Heard()
    membership = made(tmp_path, heard, url="http://a:1")
    heard.releasing.clear()
    membership.is_settled = True
    revoking = asyncio.create_task(membership.app.on_partitions_revoked.send({TP(CONTROL, 1)}))
    await heard.called.wait()
    assert heard.calls == ["revoked"]
    assert not membership.is_settled
    assert not revoking.done()
    heard.releasing.set()
    await revoking
    assert heard.calls == ["revoked", "released"]


async def test_the_signals_are_sent_by_the_callbacks_of_the_consumer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    heard = Heard()
    membership = made(tmp_path, heard, url="http://a:1")
    app = membership.app
    shared({"a": membership})
    assert app.consumer._on_partitions_revoked == app._on_partitions_revoked
    assert app.consumer._on_partitions_assigned == app._on_partitions_assigned
    monkeypatch.setattr(type(app.consumer), "assignment", lambda self: set())

    async def nothing(*_: Any) -> None:
        return None

    monkeypatch.setattr(app.topics, "maybe_wait_for_subscriptions", nothing)
    monkeypatch.setattr(app.tables, "on_rebalance", nothing)
    await app._on_partitions_revoked({TP(CONTROL, 1)})
    await app._on_partitions_assigned({TP(CONTROL, 2), TP(CONTROL, 3), TP(leader_topic("p-plimsoll"), 0)}, 1)
    assert heard.calls == ["revoked", "released", Assignment(frozenset({2, 3}), frozenset())]
    assert membership.is_settled


def test_the_client_s_thread_waits_for_the_app_s_loop() -> None:
    for method in (
        ThreadDelegateConsumer.threadsafe_partitions_revoked,
        ThreadDelegateConsumer.threadsafe_partitions_assigned,
    ):
        source = inspect.getsource(method)
        assert source.index("_method_queue.call(") < source.index("await promise")


def test_aiokafka_revokes_before_it_joins_and_tells_the_assignor_before_it_assigns() -> None:
    """Heartbeats go on while tasks stop, and stop while an assignment is taken: so starting tasks must not wait."""
    joining = inspect.getsource(GroupCoordinator.ensure_active_group)
    order = [
        joining.index(step)
        for step in ("_on_join_prepare", "_stop_heartbeat_task", "_do_rejoin_group", "_start_heartbeat_task")
    ]
    assert order == sorted(order)
    joined = inspect.getsource(GroupCoordinator._on_join_complete)
    assert joined.index("assignor.on_assignment(") < joined.index("listener.on_partitions_assigned(")
    leaving = inspect.getsource(GroupCoordinator._maybe_leave_group)
    assert "self._group_instance_id is None" in leaving  # a static member keeps its place


async def test_the_coordinator_s_failures_are_seen_by_asking_for_them(tmp_path: Path) -> None:
    """Faust reads past aiokafka's own check, so a group that refuses this worker would never be noticed."""
    assert "check_errors" not in inspect.getsource(faust.transport.drivers.aiokafka)
    assert list(inspect.signature(GroupCoordinator.check_errors).parameters) == ["self"]
    assert "_coordination_task" in inspect.getsource(GroupCoordinator.check_errors)
    assert "_pending_exception" in inspect.getsource(GroupCoordinator.check_errors)
    assert list(inspect.signature(QueueServiceThread.call_thread).parameters) == ["self", "fun", "args", "kwargs"]
    assert isinstance(membership_of(tmp_path).app.consumer._thread, QueueServiceThread)


def test_the_group_s_client_can_be_asked_for_fresh_metadata() -> None:
    """How a cluster that does not answer is noticed by a worker that has nothing to read."""
    assert list(inspect.signature(AIOKafkaClient.force_metadata_update).parameters) == ["self"]
    assert "self._client = AIOKafkaClient(" in inspect.getsource(aiokafka.AIOKafkaConsumer.__init__)


async def test_the_client_s_thread_is_one_that_keeps_no_process_alive(tmp_path: Path) -> None:
    assert ServiceThread.Worker is WorkerThread
    assert "self.Worker(self)" in inspect.getsource(ServiceThread.start)
    assert "self._thread.stop()" in inspect.getsource(ServiceThread.stop)
    membership = membership_of(tmp_path)
    membership.use_daemon_thread()
    thread = membership.app.consumer._thread.Worker(membership.app.consumer._thread)
    assert thread.daemon
    thread.is_stopped.set()
    thread.stop()


async def test_the_leader_is_who_has_the_leader_s_partition(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    membership = membership_of(tmp_path)
    app = membership.app
    assert app._leader_assignor._leader_topic_name == leader_topic("p-plimsoll")
    assigned: set[TP] = set()
    monkeypatch.setattr(type(app.consumer), "assignment", lambda self: assigned)
    membership.is_settled = True
    assert not membership.is_leader()
    assigned.add(TP(leader_topic("p-plimsoll"), 0))
    assert membership.is_leader()
    membership.is_settled = False
    assert not membership.is_leader()


async def test_the_leader_s_timer_runs_on_the_leader_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert {"interval", "on_leader", "name"} <= set(inspect.signature(App.timer).parameters)
    heard = Heard()
    membership = made(tmp_path, heard, url="http://a:1")
    app = membership.app
    membership.is_settled = True
    looked = asyncio.Event()
    leads = iter([False, True, True])

    async def ticks(*_: Any, **__: Any) -> Any:
        for _tick in range(3):
            yield 0.0
        looked.set()

    monkeypatch.setattr(app, "itertimer", ticks)
    monkeypatch.setattr(app, "is_leader", lambda: next(leads))
    (task,) = app._app_tasks
    await task()
    assert looked.is_set()
    assert heard.calls == ["led", "led"]


async def test_the_agent_hands_over_commands_with_partition_and_time(tmp_path: Path) -> None:
    heard = Heard()
    membership = made(tmp_path, heard, url="http://a:1")
    (agent,) = membership.app.agents.values()
    assert agent.channel.get_topic_name() == CONTROL
    assert agent.fun == membership._commanded
    message = faust.types.tuples.Message(CONTROL, 3, 0, 1_700_000_000.25, 0, [], None, b"value", None)

    class OneEvent:
        async def events(self) -> Any:
            yield membership.app.create_event(None, b"value", {}, message)

    assert inspect.isasyncgenfunction(faust.Stream.events)
    await membership._commanded(OneEvent())
    assert heard.calls == [(3, b"value", 1_700_000_000_250)]


async def test_a_broken_app_ends_the_watch_with_a_sentence(tmp_path: Path) -> None:
    membership = membership_of(tmp_path)
    watching = asyncio.create_task(membership.watch())
    await asyncio.sleep(0)
    await membership.app.crash(RuntimeError("broken"))
    with pytest.raises(MembershipError, match="RuntimeError: broken"):
        await watching


def test_a_group_without_tables_reads_nothing_but_its_control_topic() -> None:
    """Recovery, which would read changelogs into Faust's tables, ends before it begins where there are none."""
    from faust.tables.recovery import Recovery

    source = inspect.getsource(Recovery._restart_recovery.fun)
    assert source.index("if not self.tables") < source.index("_build_highwaters")
