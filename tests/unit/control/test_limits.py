"""Purposes and ceilings of an installation's folder beside those that their owners set: whose word stands after a start."""

from dataclasses import replace
from typing import Any

import pytest

from broker.control.limits import Policies, set_limits
from broker.errors import Forbidden, Invalid, NotFound, Outdated
from broker.model.facts import FactType
from broker.policy import limit_documents
from broker.policy.limits import limits_of
from tests.unit.api.office import ROOT, Log, Office, agreement_document

PURPOSES = limit_documents.purposes((ROOT / "policies" / "purposes.yaml").read_text())
CEILINGS = limit_documents.ceilings((ROOT / "policies" / "ceilings" / "persoon.v1.yaml").read_text())
STATISTICS = next(ceiling for ceiling in CEILINGS if ceiling.purpose == "statistiek")
OWN = ("rijksregister", "persoon.v1", "statistiek")


@pytest.fixture
async def log() -> Log:
    office = Office()
    await office.open()
    await set_limits(office.log, PURPOSES, CEILINGS, by="operator")
    office.log.written.clear()
    return office.log


def purposes_document(*, without: str = "", **extra: Any) -> dict[str, Any]:
    listed = [each for each in limit_documents.purpose_documents(PURPOSES) if each["code"] != without]
    return {"purposes": [*listed, *([extra] if extra else [])]}


EXTRA = {"code": "eigen", "title": "Eigen", "description": "Van de installatie zelf.", "parents": ["statistiek"]}


async def test_a_start_with_the_same_folder_writes_nothing(log: Log) -> None:
    assert await set_limits(log, PURPOSES, CEILINGS, by="operator") == 0


async def test_a_start_keeps_what_owners_and_operator_set_meanwhile(log: Log) -> None:
    await Policies(log).set_ceiling(*OWN, {"fields": []}, "rijksregister")
    await Policies(log).set_purposes(purposes_document(**EXTRA), "operator")
    proposed = replace(STATISTICS, source="rijksregister")
    assert await set_limits(log, PURPOSES, [*CEILINGS, proposed], by="operator") == 0
    limits = limits_of(log.state)
    assert limits.ceilings[OWN].fields == {}
    assert [each.code for each in limits.purposes.lineage("eigen")] == ["eigen", "statistiek", "openbare-taak"]


async def test_a_ceiling_that_names_its_source_is_brought_in_once(log: Log) -> None:
    proposed = replace(STATISTICS, source="rijksregister")
    assert await set_limits(log, PURPOSES, [proposed], by="operator") == 1
    assert await set_limits(log, PURPOSES, [replace(proposed, selectable=frozenset())], by="operator") == 0
    assert limits_of(log.state).ceilings[OWN] == proposed


async def test_a_purpose_in_use_is_not_dropped(log: Log) -> None:
    policies = Policies(log)
    with pytest.raises(Invalid, match="statistiek"):
        await policies.set_purposes(purposes_document(without="statistiek"), "operator")
    await policies.set_purposes(purposes_document(**EXTRA), "operator")
    document = agreement_document("statistiek-vlaanderen", purpose="eigen")
    await log.append(FactType.AGREEMENT_REQUESTED, "agreement/x", {"document": document, "egress": None}, by="t")
    with pytest.raises(Invalid, match="eigen"):
        await policies.set_purposes(purposes_document(), "operator")


async def test_another_parent_cuts_the_agreements_that_it_denies(log: Log) -> None:
    document = agreement_document("statistiek-vlaanderen")
    await log.append(FactType.AGREEMENT_REQUESTED, "agreement/s", {"document": document, "egress": None}, by="t")
    moved = purposes_document()
    for each in moved["purposes"]:
        if each["code"] == "statistiek":
            each["parents"] = ["handhaving"]
    preview = await Policies(log).set_purposes(moved, "operator", preview=True)
    assert [touched.agreement for touched in preview.touched] == ["statistiek-vlaanderen"]
    assert {finding.code for finding in preview.touched[0].findings} == {"ABOVE_CEILING"}
    assert not preview.written
    version = str(log.state.version("purposes"))
    assert (await Policies(log).set_purposes(moved, "operator", if_match=version)).written
    with pytest.raises(Outdated):
        await Policies(log).set_purposes(purposes_document(), "operator", if_match=version)


async def test_a_ceiling_is_its_sources_own(log: Log) -> None:
    policies = Policies(log)
    for act in (policies.set_ceiling(*OWN, {"fields": []}, "operator"), policies.withdraw_ceiling(*OWN, "kbo")):
        with pytest.raises(Forbidden):
            await act
    with pytest.raises(NotFound):
        await policies.set_ceiling("kbo", "auto.v1", "statistiek", {"fields": []}, "kbo")
    assert log.written == []


async def test_an_organisation_is_registered_once_and_again_when_it_changes(log: Log) -> None:
    policies = Policies(log)
    assert await policies.register({"id": "stad-brugge", "name": "Stad Brugge"}, "operator")
    assert not await policies.register({"id": "stad-brugge", "name": "Stad Brugge"}, "operator")
    assert await policies.register({"id": "stad-brugge", "name": "Brugge", "ovo": "OVO001971"}, "operator")
    for wrong in (
        {"id": "Brugge", "name": "B"},
        {"id": "b", "name": "B", "ovo": "1"},
        {"id": "b"},
        {"id": "b", "name": "B", "x": 1},
    ):
        with pytest.raises(Invalid):
            await policies.register(wrong, "operator")
    assert len(log.written) == 2
