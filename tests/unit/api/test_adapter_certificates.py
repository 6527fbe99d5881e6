"""A report as the kit writes it, through the HTTP interface to a certificate and back."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from adapters.conformance.catalogue import CHECKS, KIT
from adapters.conformance.kit import Outcome, Verdict
from adapters.conformance.report import TriedAdapter, report
from broker.control.adapter_certificates import AdapterCertificates, Kit
from tests.unit.api.conftest import NOW, World, bearer, opened

PATH = "/v1/adapters/certificates"
ABOUT = TriedAdapter("theirs.roads", "wegen", f"sha256:{'ab' * 32}", "rijksregister", "persoon.v1")


class Later:
    """The control log of the world that is made after this."""

    def __init__(self) -> None:
        self.world: World | None = None

    def __getattr__(self, name: str) -> Any:
        assert self.world is not None
        return getattr(self.world.control, name)


class Clients:
    def __init__(self) -> None:
        self.fenced: list[str] = []

    def transactional_producer(self, transactional_id: str) -> Any:
        self.fenced.append(transactional_id)
        return self

    async def start(self) -> None:
        """Nothing."""

    stop = start


@pytest.fixture
async def office() -> AsyncIterator[tuple[World, Clients]]:
    control, clients = Later(), Clients()
    kit = Kit(KIT, frozenset(each.code for each in CHECKS))
    certificates = AdapterCertificates(control, clients, kit, now=lambda: NOW)
    async with opened(adapter_certificates=certificates) as world:
        control.world = world
        yield world, clients


def found(**changed: Outcome) -> dict[str, Any]:
    verdicts = {each.code: Verdict(each.code, changed.get(each.code, Outcome.HELD), "", 0.01) for each in CHECKS}
    return report(ABOUT, verdicts, NOW, http=True)


async def test_a_report_becomes_a_certificate_and_is_taken_back(office) -> None:
    (world, clients), sent = office, found(DRIFT_IS_TOLD=Outcome.NOT_HERE)
    made = await world.http.post(PATH, json=sent, headers=bearer("source"))
    assert made.status_code == 201, made.text
    assert (made.json()["standing"], made.json()["notApplicable"]) == ("pending", ["DRIFT_IS_TOLD"])
    name = f"{PATH}/{made.json()['id']}"
    refused = await world.http.post(f"{name}/countersign", headers=bearer("source"))
    assert refused.status_code == 403
    signed = await world.http.post(f"{name}/countersign", headers=bearer("operator"))
    assert signed.json()["countersignedBy"] == "operator"
    assert signed.json()["expires"][:4] == str(NOW.year + 1)

    for who, seen in (("source", True), ("operator", True), ("other-source", False)):
        items = (await world.http.get(PATH, headers=bearer(who))).json()["items"]
        assert (made.json()["id"] in [each["id"] for each in items]) is seen

    assert (await world.http.delete(name, headers=bearer("other-source"))).status_code == 404
    ended = await world.http.delete(name, params={"why": "lek"}, headers=bearer("source"))
    assert (ended.json()["standing"], ended.json()["why"]) == ("withdrawn", "lek")
    assert clients.fenced == ["adapter-wegen"]


async def test_a_report_with_a_failure_or_with_more_than_a_report_holds_is_refused(office) -> None:
    world, _ = office
    for sent in (found(DRIFT_IS_TOLD=Outcome.BROKEN), found() | {"sample": "Jan"}, found() | {"package": "sha256:x"}):
        refused = await world.http.post(PATH, json=sent, headers=bearer("source"))
        assert refused.status_code in {400, 422}, refused.text
    assert (await world.http.post(PATH, json=found(), headers=bearer("other-source"))).status_code == 403
