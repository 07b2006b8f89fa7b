"""A broker that lets nobody do what was not granted, the table that says who needs what, and what was asked of it."""

import asyncio
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import msgspec
from aiokafka.protocol.admin import CreateAclsRequest_v1, DescribeAclsRequest
from aiokafka.protocol.api import Request

from engine.kafka.clients import Connection, open_admin
from tests.docs.fences import ROOT
from tests.integration.kafka.conftest import broker_of

PAGE: Final = ROOT / "deploy" / "kafka" / "README.md"
ADMIN: Final = "admin"
PASSWORD: Final = "correct-horse-battery"
_RESOURCES: Final = {"Topic": 2, "Group": 3, "Cluster": 4, "TransactionalId": 5}
_PATTERNS: Final = {"literal": 3, "prefixed": 4}
_OPERATIONS: Final = {"Read": 3, "Write": 4, "Create": 5, "Delete": 6, "Describe": 8}
_OPERATIONS_OF_SETTINGS: Final = {"DescribeConfigs": 10, "AlterConfigs": 11}
_ANY: Final = 1
_ALLOW: Final = 3
_SECONDS_MAX: Final = 30.0
_ASKED: Final = re.compile(
    r"Principal = User:(\S+) is (Allowed|Denied) operation = (\w+) from host = \S+ on resource = (\w+):LITERAL:(\S+)"
)

Acl = tuple[int, str, int, str, str, int, int]
"""As Kafka's protocol has it: resource, name, pattern, principal, host, operation, permission."""


class Grant(msgspec.Struct, frozen=True, order=True):
    """One thing that somebody may do, in the words of Kafka's own tools."""

    resource: str
    name: str
    operation: str
    pattern: str = "literal"

    def on(self, prefix: str) -> "Grant":
        """The same, of an app on that prefix."""
        name = self.name.replace("{prefix}", prefix).replace("{from-prefix}", prefix).replace("{app}", "plimsoll")
        return msgspec.structs.replace(self, name=name)

    def covers(self, asked: "Grant") -> bool:
        """Whether it is about what was asked for."""
        named = asked.name.startswith(self.name) if self.pattern == "prefixed" else asked.name == self.name
        return named and (asked.resource, asked.operation) == (self.resource, self.operation)

    def acl(self, user: str) -> Acl:
        """It, for a user from anywhere."""
        operation = (_OPERATIONS | _OPERATIONS_OF_SETTINGS)[self.operation]
        resource, pattern = _RESOURCES[self.resource], _PATTERNS[self.pattern]
        return (resource, self.name, pattern, f"User:{user}", "*", operation, _ALLOW)


def table() -> dict[str, list[Grant]]:
    """The table of the README: by process a grant for each operation on each name."""
    (section,) = re.findall(r"^## What each process needs.*?(?=^## |\Z)", PAGE.read_text("utf-8"), re.M | re.S)
    found: dict[str, list[Grant]] = {}
    process = ""
    for line in section.splitlines():
        cells = [cell.strip().replace("`", "") for cell in line.strip("|").split("|")]
        if len(cells) != 4 or cells[1].partition(",")[0] not in _RESOURCES:
            continue
        process = cells[0] or process
        resource, _, pattern = cells[1].partition(", ")
        for name in cells[2].split(", "):
            for operation in cells[3].split(", "):
                found.setdefault(process, []).append(Grant(resource, name, operation, pattern or "literal"))
    return found


class _CreateAcls(Request[CreateAclsRequest_v1]):
    """Many at once: aiokafka's own request takes one."""

    API_KEY = CreateAclsRequest_v1.API_KEY

    def __init__(self, acls: Iterable[Acl]) -> None:
        self._acls = list(acls)

    def build(self, request_struct_class: type[CreateAclsRequest_v1]) -> CreateAclsRequest_v1:
        return request_struct_class(self._acls)


class Guarded(msgspec.Struct, frozen=True):
    """A broker that lets nobody do what was not granted."""

    bootstrap: str
    folder: Path

    def connection(self, user: str) -> Connection:
        """How that user reaches it."""
        return Connection(bootstrap=self.bootstrap, sasl="plain", username=user, password=PASSWORD)

    def configuration(self, user: str, prefix: str, *sections: str) -> str:
        """A configuration file of that user's."""
        lines = [f'bootstrap = "{self.bootstrap}"', f'prefix = "{prefix}"', 'sasl = "plain"']
        lines += [f'username = "{user}"', f'password = "{PASSWORD}"', *sections]
        path = self.folder / f"{user}-{abs(hash(tuple(lines)))}.toml"
        path.write_text("\n".join(["[kafka]", *lines, ""]), encoding="utf-8")
        return str(path)

    async def grant(self, prefix: str, granted: Iterable[tuple[str, Sequence[Grant]]]) -> None:
        """Adds what each user may do on that prefix, and returns when the broker goes by it."""
        acls = {grant.on(prefix).acl(user) for user, grants in granted for grant in grants}
        admin: Any = open_admin(self.connection(ADMIN))  # Any: its requests and answers have no annotations
        await admin.start()
        answer = await admin._send_to_controller(_CreateAcls(acls))
        assert {code for code, _ in answer.creation_responses} == {0}, answer
        everything = DescribeAclsRequest(_ANY, None, _ANY, None, None, _ANY, _ANY)  # type: ignore[arg-type]  # nullable
        held: set[Acl] = set()
        async with asyncio.timeout(_SECONDS_MAX):
            while not acls <= held:
                told = await admin._send_request(everything)
                held = {(*place, *acl) for *place, of_place in told.resources for acl in of_place}
        await admin.close()

    def asked(self, user: str) -> tuple[set[Grant], set[Grant]]:
        """What the user has asked for and was allowed, and what it was denied, as the broker's authorizer has noted."""
        found: dict[str, set[Grant]] = {"Allowed": set(), "Denied": set()}
        log = self.folder / "data" / "node-1" / "broker.log"
        for who, told, operation, resource, name in _ASKED.findall(log.read_text("utf-8")):
            if who == user:
                words = "".join(word.capitalize() for word in operation.split("_"))
                found[told].add(Grant(resource, name, words))
        return found["Allowed"], found["Denied"]


@contextmanager
def guarded_broker(folder: Path, users: Sequence[str]) -> Iterator[Guarded]:
    """A broker with those users, who may do nothing yet, and with an administrator who may do all."""
    known = " ".join(f'user_{user}="{PASSWORD}"' for user in (ADMIN, *users))
    (folder / "server.properties").write_text(
        f"""
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,SASL_PLAINTEXT:SASL_PLAINTEXT
listener.name.sasl_plaintext.sasl.enabled.mechanisms=PLAIN
listener.name.sasl_plaintext.plain.sasl.jaas.config=org.apache.kafka.common.security.plain.PlainLoginModule required \
{known};
authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer
allow.everyone.if.no.acl.found=false
super.users=User:ANONYMOUS;User:{ADMIN}
""",
        encoding="utf-8",
    )
    environment = os.environ | {
        "KAFKA_LISTENER": "SASL_PLAINTEXT",
        "KAFKA_PROPERTIES": str(folder / "server.properties"),
        "KAFKA_JVM": "-Xmx512m -XX:+UseSerialGC -XX:TieredStopAtLevel=1"
        " -Dorg.slf4j.simpleLogger.log.kafka.authorizer.logger=debug",
    }
    with broker_of(folder / "errors", environment) as bootstrap:
        yield Guarded(bootstrap, folder)
