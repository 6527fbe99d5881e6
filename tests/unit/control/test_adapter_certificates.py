from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pytest
from aiokafka.errors import KafkaError

from broker.cli.certified_journal import CertifiedJournal, Rule
from broker.control.adapter_certificates import AdapterCertificates, Kit
from broker.errors import Conflict, Forbidden, Invalid, KafkaUnavailable, NotCertified, NotFound
from broker.model.adapter_certificates import Binding
from broker.model.facts import FactType
from tests.unit.control.room import NOW, Control

KIT = Kit("1", frozenset({"STABLE", "RESUMES"}))
REPORT: dict[str, Any] = {
    "format": "datanuts-conformance/1",
    "kit": "1",
    "adapter": "wegen",
    "module": "theirs.roads",
    "package": "sha256:ab",
    "source": "stad-gent",
    "product": "hinder.v1",
    "at": NOW.isoformat(),
    "checks": [{"code": "STABLE", "outcome": "passed"}, {"code": "RESUMES", "outcome": "not-applicable"}],
}
BINDING = Binding.of(REPORT)


@dataclass
class Clients:
    did: list[Any]
    fails: bool = False

    def transactional_producer(self, transactional_id: str) -> Any:
        return Producer(self, transactional_id)


@dataclass
class Producer:
    clients: Clients
    transactional_id: str

    async def start(self) -> None:
        if self.clients.fails:
            raise KafkaError
        self.clients.did.append(("fenced", self.transactional_id))

    async def stop(self) -> None:
        """Nothing."""


@dataclass
class Room:
    did: list[Any] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.control, self.clients = Control(self.did), Clients(self.did)
        numbers = iter(range(1, 100))
        self.certificates = AdapterCertificates(
            self.control, self.clients, KIT, now=lambda: self.control.now, new_id=lambda: f"c{next(numbers)}"
        )

    async def valid(self) -> str:
        made = await self.certificates.certify(REPORT, by="stad-gent")
        return (await self.certificates.countersign(made.id, by="operator")).id


async def test_a_certificate_is_certified_countersigned_and_withdrawn_by_fact_and_fence() -> None:
    room = Room()
    held = await room.valid()
    ended = await room.certificates.withdraw(held, by="operator", why="lek")
    assert ended.why == "lek"
    facts = [FactType.ADAPTER_CERTIFIED, FactType.ADAPTER_COUNTERSIGNED, FactType.ADAPTER_WITHDRAWN]
    assert room.did == [*facts, ("fenced", "adapter-wegen")]


async def test_an_interrupted_withdrawal_is_completed_by_asking_again() -> None:
    room = Room()
    held = await room.valid()
    room.clients.fails = True
    with pytest.raises(KafkaUnavailable):
        await room.certificates.withdraw(held, by="operator")
    room.clients.fails = False
    await room.certificates.withdraw(held, by="operator")
    assert room.did.count(FactType.ADAPTER_WITHDRAWN) == 1
    assert room.did[-1] == ("fenced", "adapter-wegen")


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"kit": "0"}, "kit"),
        ({"at": (NOW - timedelta(days=31)).isoformat()}, "30 days old"),
        ({"at": (NOW + timedelta(days=1)).isoformat()}, "30 days old"),
        ({"checks": REPORT["checks"][:1]}, "each check of the kit once"),
        ({"checks": [*REPORT["checks"], REPORT["checks"][0]]}, "each check of the kit once"),
        ({"checks": [{"code": "STABLE", "outcome": "failed"}, REPORT["checks"][1]]}, "STABLE did not pass"),
        ({"checks": [{"code": "STABLE", "outcome": "not-tried"}, REPORT["checks"][1]]}, "STABLE did not pass"),
        ({"adapter": "Wegen!"}, "adapter"),
        ({"product": "hinder"}, "product"),
    ],
)
async def test_a_report_that_proves_nothing_is_refused(changed: Mapping[str, Any], told: str) -> None:
    with pytest.raises(Invalid, match=told):
        await Room().certificates.certify(REPORT | changed, by="stad-gent")


async def test_nobody_signs_for_another_or_twice() -> None:
    room = Room()
    with pytest.raises(Forbidden):
        await room.certificates.certify(REPORT, by="operator")
    made = await room.certificates.certify(REPORT, by="stad-gent")
    with pytest.raises(Forbidden):
        await room.certificates.countersign(made.id, by="stad-gent")
    await room.certificates.countersign(made.id, by="operator")
    with pytest.raises(Conflict):
        await room.certificates.countersign(made.id, by="operator")
    for step in (room.certificates.countersign, room.certificates.withdraw):
        with pytest.raises(NotFound):
            await step("weg", by="operator")


class Nowhere:
    """A journal that notes what is committed."""

    def __init__(self) -> None:
        self.commits = 0

    async def open(self) -> Mapping[bytes, bytes]:
        return {}

    async def commit(self, _outputs: Any) -> None:
        self.commits += 1

    async def close(self) -> None:
        """Nothing."""


async def test_where_persons_are_real_nothing_is_committed_without_a_valid_certificate() -> None:
    room, journal = Room(), Nowhere()
    certified = CertifiedJournal(journal, room.control, Rule([BINDING], real=True), now=lambda: room.control.now)
    with pytest.raises(NotCertified, match="datanuts adapter certify"):
        await certified.open()
    await room.certificates.certify(REPORT, by="stad-gent")
    with pytest.raises(NotCertified, match="adapter countersign"):
        await certified.open()
    await room.certificates.countersign("c1", by="operator")
    await certified.open()
    await certified.commit({})
    room.control.now += timedelta(days=365)
    with pytest.raises(NotCertified, match="expired"):
        await certified.commit({})
    assert journal.commits == 1


async def test_where_persons_are_synthetic_only_a_withdrawal_stops_an_adapter() -> None:
    room, journal = Room(), Nowhere()
    certified = CertifiedJournal(journal, room.control, Rule([BINDING], real=False), now=lambda: room.control.now)
    await certified.open()
    await certified.commit({})
    await room.certificates.withdraw(await room.valid(), by="stad-gent")
    with pytest.raises(NotCertified, match="withdrawn"):
        await certified.commit({})
    with pytest.raises(NotCertified, match="withdrawn"):
        await certified.open()
    assert journal.commits == 1
