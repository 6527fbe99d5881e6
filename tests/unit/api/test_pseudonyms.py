"""An agency rotates its own pseudonyms and gets the map; the operator may rotate and never sees one; others neither."""

import json
from typing import Any

import pytest

from broker.control.pseudonym_map import verify
from broker.model.facts import Fact, FactType
from tests.unit.api.conftest import EGRESS, NOW, bearer, document

PATH = "/v1/agreements/onderzoek/pseudonyms"


def open_study(world: Any) -> None:
    """Give `gent-parkeren` an active agreement with a pseudonym."""
    fields = [{"path": "insz", "transform": "pseudonym", "name": "pseudoniem", "why": "Volgt iemand."}]
    asked = document("onderzoek", "gent-parkeren", dossiers=False) | {"fields": fields}
    state = world.control.state
    for kind, data in (
        (FactType.AGREEMENT_REQUESTED, {"document": asked, "egress": EGRESS}),
        (FactType.AGREEMENT_ACTIVE, {"id": "onderzoek"}),
    ):
        fact = Fact(str(kind), kind, "agreement/onderzoek", state.version("agreement/onderzoek"), NOW, "t", data)
        assert state.apply(state.epoch + 1, fact)


@pytest.fixture
async def study(world: Any) -> Any:
    """The application with that agreement."""
    open_study(world)
    return world


async def test_the_agency_rotates_and_gets_a_map_that_its_seal_holds(study: Any) -> None:
    before = (await study.http.get(PATH, headers=bearer("agency"))).json()
    rotated = (await study.http.post(f"{PATH}/rotate", headers=bearer("agency"))).json()
    assert (before["epoch"], rotated["epoch"], rotated["agreements"]) == (1, 2, ["onderzoek"])
    answer = await study.http.get(f"{PATH}/map?from=1&to=2", headers=bearer("agency"))
    assert answer.headers["content-type"].startswith("application/x-ndjson")
    assert answer.headers["cache-control"] == "no-store"
    lines = answer.content.splitlines(keepends=True)
    scope, pairs = verify(lines, before["sealKey"])
    assert (scope.agency, scope.old, scope.new, pairs) == ("gent-parkeren", 1, 2, 2)
    assert all(set(json.loads(line)) == {"from", "to"} for line in lines[:-1])


async def test_the_operator_may_rotate_but_gets_no_map(study: Any) -> None:
    assert (await study.http.post(f"{PATH}/rotate", headers=bearer("operator"))).json()["epoch"] == 2
    assert (await study.http.get(f"{PATH}/map?from=1&to=2", headers=bearer("operator"))).status_code == 403


@pytest.mark.parametrize(("who", "status"), [("source", 403), ("foreign", 404), ("other-source", 404)])
async def test_nobody_else_rotates_or_gets_a_map(study: Any, who: str, status: int) -> None:
    await study.http.post(f"{PATH}/rotate", headers=bearer("agency"))
    assert (await study.http.post(f"{PATH}/rotate", headers=bearer(who))).status_code == status
    assert (await study.http.get(f"{PATH}/map?from=1&to=2", headers=bearer(who))).status_code == status
    assert study.control.state.pseudonym_epoch("gent-parkeren", study.entry("onderzoek").document["purpose"]) == 2


async def test_a_map_to_an_epoch_that_is_not_is_invalid(study: Any) -> None:
    answer = await study.http.get(f"{PATH}/map?from=1&to=2", headers=bearer("agency"))
    assert (answer.status_code, answer.json()["code"]) == (400, "INVALID")


async def test_an_agreement_without_pseudonyms_has_none(study: Any) -> None:
    for method, path in (("GET", ""), ("POST", "/rotate"), ("GET", "/map?from=1&to=2")):
        answer = await study.http.request(method, f"/v1/agreements/parkeren/pseudonyms{path}", headers=bearer("agency"))
        assert answer.status_code == 404
