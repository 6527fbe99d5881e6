"""Use-cases over a log in memory: what they did, in order, to the log, to Kafka, to keys and barriers."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from broker.control.agreements import Agreements
from broker.control.barriers import First, Stopped
from broker.control.enforcement import Enforcement
from broker.control.limits import set_limits
from broker.control.organisations import Organisations
from broker.control.products import Products
from broker.errors import Conflict
from broker.kafka.admin import Grant
from broker.model.control_state import ControlState
from broker.model.facts import Fact, FactType, decode_fact
from broker.model.registered import Organisation
from broker.policy import documents, limit_documents

ROOT = Path(__file__).parents[3]
NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
SCHEMA = (ROOT / "schemas" / "persoon.v1.avsc").read_text()
CEILINGS = limit_documents.ceilings((ROOT / "policies" / "ceilings" / "persoon.v1.yaml").read_text())
PURPOSES = limit_documents.purposes((ROOT / "policies" / "purposes.yaml").read_text())


@dataclass
class Control:
    """The fold, without a log behind it; `did` is the order of everything that happened."""

    did: list[Any]
    state: ControlState = field(default_factory=ControlState)
    now: datetime = NOW

    async def read_to_head(self) -> int:
        return self.state.epoch

    async def append(self, kind: FactType, aggregate: str, data: Mapping[str, Any], *, by: str) -> int:
        fact = Fact(f"f{self.state.epoch}", kind, aggregate, self.state.version(aggregate), self.now, by, data)
        self.did.append(kind)
        if not self.state.apply(self.state.epoch + 1, decode_fact(fact.encode())):
            raise Conflict
        return self.state.epoch


@dataclass
class Kafka:
    did: list[Any]
    fails: str = ""
    users: set[str] = field(default_factory=set)
    granted: list[Grant] = field(default_factory=list)
    quotas: dict[str, dict[str, float]] = field(default_factory=dict)

    def _do(self, *what: Any) -> None:
        self.did.append(what)
        if what[0] == self.fails:
            raise ConnectionError

    async def ensure_topics(self, specs: Any) -> None:
        self._do("topics", *(spec.name for spec in specs))

    async def commit_offsets(self, group: str, offsets: Mapping[tuple[str, int], int]) -> None:
        self._do("offsets", group, *offsets.items())

    async def allow_read_topic(self, principal: str, topic: str, group: str) -> None:
        self._do("allow", principal, topic, group)
        self.granted.append(Grant(principal, "topic", topic, "read"))

    async def allow_write_topic(self, principal: str, topic: str) -> None:
        self._do("allow writing", principal, topic)
        self.granted.append(Grant(principal, "topic", topic, "write"))

    async def remove_access(self, principal: str | None, topic: str) -> None:
        self._do("remove", principal, topic)

    async def remove_user_access(self, principal: str) -> None:
        self._do("no rights", principal)
        self.granted = [each for each in self.granted if each.principal != principal]

    async def grants(self) -> list[Grant]:
        return self.granted

    async def scram_users(self) -> frozenset[str]:
        return frozenset(self.users)

    async def configure(self, topic: str, settings: Mapping[str, str]) -> None:
        self._do("configure", topic, dict(settings))

    async def end_offsets(self, topic: str) -> dict[int, int]:
        del topic
        return {0: 17}

    async def delete_records(self, topic: str, partition: int, before: int) -> None:
        self._do("empty", topic, partition, before)

    async def ensure_scram_user(self, name: str, password: str) -> None:
        self._do("login", name, password)
        self.users.add(name)

    async def delete_scram_user(self, name: str) -> None:
        self._do("no login", name)
        self.users.discard(name)

    async def limit_user(self, name: str, quota: Mapping[str, float]) -> None:
        self._do("quota" if quota else "no quota", name, *quota.values())
        self.quotas.pop(name, None)
        if quota:
            self.quotas[name] = dict(quota)

    async def limited_users(self) -> dict[str, dict[str, float]]:
        return self.quotas


@dataclass
class Barriers:
    did: list[Any]
    first_new: int | None = None
    left: First | None = None
    """What is in the topic when somebody looks."""
    silent: set[str] = field(default_factory=set)
    """Topics whose barriers never come."""

    async def first_delivery(self, topic: str) -> First | None:
        self.did.append(("look", topic))
        return self.left

    async def complete(
        self, topic: str, reason: str, epoch: int, *, since: int | None, began: float, version: int | None = None
    ) -> Stopped:
        del began, version
        self.did.append(("barriers", topic, str(reason), epoch, since))
        if topic in self.silent:
            await asyncio.Event().wait()
        return Stopped({0: 20, 1: 23}, (), 5.0, self.first_new)


@dataclass
class Keys:
    did: list[Any]

    def get(self, name: str) -> bytes:
        raise AssertionError(name)

    def ensure(self, name: str) -> bytes:
        self.did.append(("key", name))
        return bytes(32)


@dataclass
class Room:
    did: list[Any]
    control: Control
    kafka: Kafka
    agreements: Agreements
    organisations: Organisations
    products: Products

    def since(self) -> list[Any]:
        done, self.did[:] = list(self.did), []
        return done


async def open_room(*, fictional: bool = True) -> Room:
    """A room with its limits, three organisations and one product."""
    did: list[Any] = []
    control, kafka = Control(did), Kafka(did)
    made = Room(
        did,
        control,
        kafka,
        Agreements(control, Enforcement(kafka, Keys(did), Barriers(did)), fictional=fictional, now=lambda: control.now),
        Organisations(control, kafka, random=lambda size: f"secret-{size}"),
        Products(control, kafka, kafka, 2),
    )
    await set_limits(control, PURPOSES, CEILINGS, by="t")
    for identifier in ("rijksregister", "stad-gent", "statistiek-vlaanderen"):
        await made.organisations.register(Organisation(identifier, identifier), by="t")
    await made.products.declare("rijksregister", SCHEMA, by="t")
    made.since()
    return made


def document(name: str = "inwoners-gent", **changes: Any) -> dict[str, Any]:
    text = (ROOT / "policies" / "agreements" / f"{name}.yaml").read_text()
    return documents.agreement_document(documents.agreement(text)) | changes
