"""Questions about policies over HTTP: who may ask what, what is answered, and what no answer or refusal ever repeats."""

import json
from collections.abc import AsyncIterator
from dataclasses import fields
from typing import Any

import httpx
import pytest

from broker.api.app import create_app
from broker.api.services import Services
from broker.cli.documents import PolicyFolder
from broker.model.facts import FactType
from broker.policy import limit_documents
from tests.unit.api.office import ROOT, Office, agreement_document, bearer

RECORD = {"verblijfplaats.gemeente.nis": "44021", "naam.achternaam": "Zeldzaam"}
ROLES = {
    "operator": ("operator",),
    "rijksregister": ("source-owner",),
    "kbo": ("source-owner",),
    "stad-gent": ("agency",),
    "gent-parkeren": ("agency",),
}


@pytest.fixture
async def office() -> Office:
    """Two agreements of the repository in force, under its own limits."""
    opened = Office()
    await opened.open(ROLES)
    folder = PolicyFolder.of()
    listed = limit_documents.purpose_documents(folder.purposes())
    await opened.log.append(FactType.PURPOSES, "purposes", {"purposes": listed}, by="t")
    for number, ceiling in enumerate(folder.ceilings().values()):
        data = limit_documents.ceiling_document(ceiling)
        await opened.log.append(FactType.CEILING, f"ceiling/{number}", data, by="t")
    for name in ("inwoners-gent", "parkeerboetes-gent"):
        document = agreement_document(name)
        document.pop("conditions", None)  # what is asked here is about data
        data = {"document": document, "egress": "{}"}
        await opened.log.append(FactType.AGREEMENT_REQUESTED, f"agreement/{name}", data, by=document["agency"])
        await opened.log.append(FactType.AGREEMENT_ACTIVE, f"agreement/{name}", {"id": name}, by="rijksregister")
    return opened


@pytest.fixture
async def http(office: Office) -> AsyncIterator[httpx.AsyncClient]:
    behind: dict[str, Any] = dict.fromkeys(service.name for service in fields(Services)) | {"control": office.log}
    transport = httpx.ASGITransport(create_app(Services(**behind)))
    async with httpx.AsyncClient(transport=transport, base_url="http://broker.test") as client:
        yield client


async def _ask(http: httpx.AsyncClient, question: str, who: str, body: dict[str, Any]) -> httpx.Response:
    return await http.post(f"/v1/policy/{question}", json=body, headers=bearer(who))


async def test_a_released_record_is_explained_clause_by_clause(http: httpx.AsyncClient, office: Office) -> None:
    before = office.log.state.epoch
    answer = await _ask(http, "explain", "stad-gent", {"agreement": "inwoners-gent", "record": RECORD})
    body = answer.json()
    assert (body["agreement"], body["version"], body["rule"]) == ("inwoners-gent", 1, "fields")
    assert body["result"] == {"outcome": "release", "kind": "initial", "reason": None}
    assert [clause["clause"] for clause in body["clauses"]] == [
        "population.where",
        "population.dossiers",
        "previous",
        "state",
        "term",
        "ceiling",
        "population.consent",
        "fields",
    ]
    assert "Zeldzaam" not in answer.text
    assert office.log.state.epoch == before


async def test_the_clause_that_settles_it_follows_the_case(http: httpx.AsyncClient) -> None:
    async def rule(agreement: str, **case: Any) -> tuple[str, str | None]:
        body = (await _ask(http, "explain", "rijksregister", {"agreement": agreement, "record": RECORD} | case)).json()
        return body["rule"], body["result"]["reason"]

    assert await rule("inwoners-gent", record={}) == ("population.where", "OUTSIDE_POPULATION")
    assert await rule("parkeerboetes-gent") == ("population.dossiers", "NO_DOSSIER")
    assert await rule("parkeerboetes-gent", dossier=True) == ("fields", None)
    assert await rule("inwoners-gent", at="2020-01-01T00:00:00Z") == ("term", "NOT_IN_TERM")
    gone = {"record": {}, "previous": {"record": RECORD, "at": "2030-01-01T00:00:00Z"}, "at": "2030-02-01T00:00:00Z"}
    assert await rule("inwoners-gent", **gone) == ("population.where", "RECORD_CHANGED")
    assert await rule("inwoners-gent", **gone | {"record": None}) == ("fields", "DELETED")


async def test_a_document_is_explained_as_if_it_were_active(http: httpx.AsyncClient) -> None:
    document = agreement_document("inwoners-gent")
    document["fields"].append({"path": "geboorte.datum", "transform": "keep", "why": "nieuw"})
    answer = await _ask(http, "explain", "stad-gent", {"document": document, "record": RECORD})
    assert (answer.json()["rule"], answer.json()["result"]["reason"]) == ("ceiling", "ABOVE_CEILING")
    ceiling = next(clause for clause in answer.json()["clauses"] if clause["clause"] == "ceiling")
    assert [part["path"] for part in ceiling["parts"] if part["outcome"] == "fails"] == ["geboorte.datum"]


@pytest.mark.parametrize(
    ("who", "status"),
    [("stad-gent", 200), ("rijksregister", 200), ("gent-parkeren", 404), ("kbo", 404), ("operator", 403)],
)
async def test_only_its_parties_ask_about_an_agreement(http: httpx.AsyncClient, who: str, status: int) -> None:
    named = {"agreement": "inwoners-gent"}
    assert (await _ask(http, "explain", who, named | {"record": {}})).status_code == status
    assert (await _ask(http, "compare", who, {"old": named, "new": named})).status_code == status


@pytest.mark.parametrize(("who", "status"), [("stad-gent", 200), ("rijksregister", 200), ("gent-parkeren", 403)])
async def test_an_agency_asks_with_documents_of_its_own(http: httpx.AsyncClient, who: str, status: int) -> None:
    body = {"document": agreement_document("inwoners-gent"), "record": {}}
    assert (await _ask(http, "explain", who, body)).status_code == status


@pytest.mark.parametrize(
    "case",
    [
        {"record": {"Zeldzaam": "x"}},
        {"record": {"naam.voornamen": "Zeldzaam"}},
        {"record": {"naam.achternaam": ["Zeldzaam"]}},
        {"record": {"geslacht": "Zeldzaam"}},
        {"record": {}, "kind": "Zeldzaam"},
        {"record": {}, "kind": "initial"},
        {"record": {}, "at": "Zeldzaam"},
        {"record": {}, "previous": {"record": {"Zeldzaam": None}, "at": "2026-01-01T00:00:00Z"}},
        {"record": {}, "previous": {"record": {}, "at": "2026-01-02T00:00:00Z"}, "at": "2026-01-01T00:00:00Z"},
        {"record": {}, "version": 7},
        {"record": {}, "document": {}},
    ],
    ids=str,
)
async def test_what_cannot_be_asked_is_refused_without_repeating_it(http: httpx.AsyncClient, case: Any) -> None:
    answer = await _ask(http, "explain", "stad-gent", {"agreement": "inwoners-gent"} | case)
    assert answer.status_code in {400, 404}
    assert "Zeldzaam" not in answer.text


async def test_a_wider_document_is_compared_with_what_is_in_force(http: httpx.AsyncClient) -> None:
    document = agreement_document("inwoners-gent", version=2)
    document["population"]["where"] = {"path": "verblijfplaats.gemeente.nis", "prefix": "4402"}
    body = {"old": {"agreement": "inwoners-gent", "version": 1}, "new": {"document": document}}
    answer = (await _ask(http, "compare", "stad-gent", body)).json()
    assert (answer["verdict"], answer["new"]) == ("wider", {"agreement": "inwoners-gent", "version": 2})
    (example,) = answer["counterexamples"]
    assert (example["only"], example["clause"]) == ("new", "population.where")
    found = example["record"]["verblijfplaats.gemeente.nis"]
    assert found.startswith("4402")
    assert found != "44021"
    alone = {"document": document, "record": example["record"], "at": example["instant"]}
    assert (await _ask(http, "explain", "stad-gent", alone)).json()["result"]["outcome"] == "release"


@pytest.mark.parametrize(
    ("who", "listed"),
    [
        ("rijksregister", {"inwoners-gent", "parkeerboetes-gent"}),
        ("operator", {"inwoners-gent", "parkeerboetes-gent"}),
        ("stad-gent", {"inwoners-gent"}),
        ("kbo", set()),
    ],
)
async def test_a_new_version_says_who_could_ask_for_its_fields(
    http: httpx.AsyncClient, office: Office, who: str, listed: set[str]
) -> None:
    schema = json.loads((ROOT / "schemas" / "persoon.v1.avsc").read_text())
    leaf = {"name": "bijnaam", "type": ["null", "string"], "default": None, "iri": "https://example.org/bijnaam"}
    schema |= {
        "product": "persoon.v2",
        "fields": [*schema["fields"], leaf | {"doc": "Bijnaam.", "class": "identifying"}],
    }
    data = {"id": "persoon.v2", "source": "rijksregister", "schema": json.dumps(schema)}
    await office.log.append(FactType.PRODUCT, "product/rijksregister/persoon.v2", data, by="t")
    path = "/v1/products/rijksregister/persoon.v2/growth"
    (field,) = (await http.get(path, params={"since": "persoon.v1"}, headers=bearer(who))).json()["fields"]
    assert (field["path"], field["receivedBy"], field["mayAsk"]) == ("bijnaam", [], [])
    assert {each["agreement"] for each in field["ownerFirst"]} == listed
    assert (await http.get(path, params={"since": "persoon.v0"}, headers=bearer(who))).status_code == 404
