"""Ceilings over HTTP: read by all, set by their owner only, previewed, and guarded against a change in between."""

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from broker.model.facts import FactType
from broker.policy import limit_documents
from broker.policy.limits import limits_of
from tests.unit.api.office import ROOT, Office, agreement_document, bearer

URL = "/v1/products/rijksregister/persoon.v1/ceilings"
INHABITANTS = f"{URL}/inwonersbestand"
OWNER = bearer("rijksregister")


@pytest.fixture
async def office() -> Office:
    """An office under the reviewed purposes and ceilings, with an agreement of Gent and one of statistics."""
    made = Office()
    await made.open()
    purposes = limit_documents.purposes((ROOT / "policies" / "purposes.yaml").read_text())
    listed = limit_documents.purpose_documents(purposes)
    await made.log.append(FactType.PURPOSES, "purposes", {"purposes": listed}, by="t")
    for ceiling in limit_documents.ceilings((ROOT / "policies" / "ceilings" / "persoon.v1.yaml").read_text()):
        document = limit_documents.ceiling_document(ceiling)
        await made.log.append(FactType.CEILING, f"ceiling/persoon.v1/{ceiling.purpose}", document, by="t")
    for name in ("inwoners-gent", "statistiek-vlaanderen"):
        data = {"document": agreement_document(name), "egress": None}
        await made.log.append(FactType.AGREEMENT_REQUESTED, f"agreement/{name}", data, by="t")
    made.log.written.clear()
    return made


@pytest.fixture
async def http(office: Office) -> AsyncIterator[httpx.AsyncClient]:
    async with office.http() as client:
        yield client


async def narrower(http: httpx.AsyncClient, without: str = "naam.voornamen") -> dict[str, Any]:
    held = (await http.get(INHABITANTS, headers=OWNER)).json()["document"]
    return held | {"fields": [each for each in held["fields"] if each["path"] != without]}


async def test_everyone_with_a_credential_reads_them(http: httpx.AsyncClient) -> None:
    listed = (await http.get(URL, headers=bearer("stad-gent"))).json()["items"]
    assert "inwonersbestand" in [each["purpose"] for each in listed]
    shown = await http.get(INHABITANTS, headers=bearer("stad-gent"))
    assert shown.headers["etag"] == f'"{shown.json()["version"]}"'
    assert shown.json()["own"] is False
    assert {each["path"] for each in shown.json()["effective"]["fields"]} == {
        each["path"] for each in shown.json()["document"]["fields"]
    }
    assert (await http.get(INHABITANTS)).status_code == 401
    for unknown in (f"{URL}/hergebruik", "/v1/products/kbo/auto.v1/ceilings", "/v1/products/abb/persoon.v1/ceilings"):
        assert (await http.get(unknown, headers=OWNER)).status_code == 404


async def test_a_preview_lists_what_would_be_cut_and_changes_nothing(office: Office, http: httpx.AsyncClient) -> None:
    body = await narrower(http)
    answer = (await http.put(INHABITANTS, params={"preview": "true"}, json=body, headers=OWNER)).json()
    assert (answer["written"], answer["differs"], answer["restored"]) == (False, True, [])
    (cut,) = answer["cut"]
    assert (cut["agreement"], cut["state"]) == ("inwoners-gent", "requested")
    assert [(each["code"], each["path"]) for each in cut["findings"]] == [("ABOVE_CEILING", "naam.voornamen")]
    assert "ask the owner" in cut["findings"][0]["text"]
    assert office.log.written == []


async def test_a_ceiling_counts_for_its_source_alone_and_widening_it_restores(
    office: Office, http: httpx.AsyncClient
) -> None:
    wide = (await http.get(INHABITANTS, headers=OWNER)).json()["document"]
    tightened = await http.put(INHABITANTS, json=await narrower(http), headers=OWNER)
    assert (tightened.status_code, tightened.json()["written"]) == (200, True)
    fact = (FactType.CEILING, "ceiling/rijksregister/persoon.v1/inwonersbestand", "rijksregister")
    assert office.log.written == [fact]
    limits = limits_of(office.log.state)
    assert len(limits.ceilings["rijksregister", "persoon.v1", "inwonersbestand"].fields) == 7
    other = (await http.get("/v1/products/kbo/persoon.v1/ceilings/inwonersbestand", headers=OWNER)).json()
    assert other["document"] == wide
    again = await http.put(INHABITANTS, json=await narrower(http), headers=OWNER)
    assert (again.json()["written"], again.json()["differs"], again.json()["cut"]) == (False, False, [])
    restored = (await http.put(INHABITANTS, json=wide, headers=OWNER)).json()
    assert [each["agreement"] for each in restored["restored"]] == ["inwoners-gent"]


async def test_withdrawn_means_nobody_gets_anything(office: Office, http: httpx.AsyncClient) -> None:
    preview = (await http.delete(INHABITANTS, params={"preview": "true"}, headers=OWNER)).json()
    done = (await http.delete(INHABITANTS, headers=OWNER)).json()
    assert preview["cut"] == done["cut"]
    assert {each["code"] for each in done["cut"][0]["findings"]} == {"ABOVE_CEILING", "NOT_SELECTABLE"}
    left = (await http.get(INHABITANTS, headers=OWNER)).json()
    assert (left["document"]["fields"], left["own"]) == ([], True)
    assert (await http.delete(INHABITANTS, headers=OWNER)).json()["differs"] is False
    assert len(office.log.written) == 1
    assert (await http.delete(f"{URL}/hergebruik", headers=OWNER)).status_code == 404


async def test_a_ceiling_above_cuts_the_purposes_below(http: httpx.AsyncClient) -> None:
    url = f"{URL}/openbare-taak"
    held = (await http.get(url, headers=OWNER)).json()["document"]
    body = held | {"fields": [each for each in held["fields"] if each["path"] != "geboorte.datum"], "selectable": []}
    cut = (await http.put(url, params={"preview": "true"}, json=body, headers=OWNER)).json()["cut"]
    assert {each["agreement"]: [finding["path"] for finding in each["findings"]] for each in cut} == {
        "inwoners-gent": ["verblijfplaats.gemeente.nis"],
        "statistiek-vlaanderen": ["geboorte.datum"],
    }


@pytest.mark.parametrize("who", ["operator", "kbo", "stad-gent"])
async def test_nobody_but_the_owner_sets_it(office: Office, http: httpx.AsyncClient, who: str) -> None:
    body = await narrower(http)
    for answer in (
        await http.put(INHABITANTS, json=body, headers=bearer(who)),
        await http.put(INHABITANTS, params={"preview": "true"}, json=body, headers=bearer(who)),
        await http.delete(INHABITANTS, headers=bearer(who)),
    ):
        assert (answer.status_code, answer.json()["code"]) == (403, "FORBIDDEN")
    assert office.log.written == []


async def test_a_ceiling_that_changed_since_it_was_read_is_not_overwritten(
    office: Office, http: httpx.AsyncClient
) -> None:
    read = (await http.get(INHABITANTS, headers=OWNER)).headers["etag"]
    body = await narrower(http)
    first = await http.put(INHABITANTS, json=body, headers=OWNER | {"If-Match": read})
    assert first.status_code == 200
    for late in (
        await http.put(INHABITANTS, json=await narrower(http, "insz"), headers=OWNER | {"If-Match": read}),
        await http.delete(INHABITANTS, headers=OWNER | {"If-Match": read}),
        await http.delete(INHABITANTS, headers=OWNER | {"If-Match": f"W/{read}"}),
    ):
        assert (late.status_code, late.json()["code"]) == (412, "OUTDATED")
    assert len(office.log.written) == 1
    now = (await http.get(INHABITANTS, headers=OWNER)).headers["etag"]
    assert (await http.delete(INHABITANTS, headers=OWNER | {"If-Match": now})).status_code == 200
    assert (await http.put(INHABITANTS, json=body, headers=OWNER | {"If-Match": "*"})).status_code == 200


async def test_the_tag_changes_too_when_the_ceiling_for_all_sources_does(
    office: Office, http: httpx.AsyncClient
) -> None:
    read = (await http.get(INHABITANTS, headers=OWNER)).headers["etag"]
    general = (await narrower(http)) | {"selectable": []}
    await office.log.append(FactType.CEILING, "ceiling/persoon.v1/inwonersbestand", general, by="t")
    late = await http.put(INHABITANTS, json=general, headers=OWNER | {"If-Match": read})
    assert late.status_code == 412


@pytest.mark.parametrize(
    ("change", "place"),
    [
        ({"fields": [{"path": "naam.bijnaam", "transforms": ["keep"]}]}, "fields: naam.bijnaam is no field"),
        ({"selectable": ["naam.bijnaam"]}, "selectable: naam.bijnaam is no field"),
        ({"selectable": ["naam.voornamen"]}, "selectable: naam.voornamen may hold several values"),
        ({"quasi_identifiers": [["insz", "naam.bijnaam"]]}, "quasi_identifiers: naam.bijnaam is no field"),
        ({"quasi_identifiers": [["insz"]]}, "quasi_identifiers.0"),
        ({"fields": [{"path": "insz", "transforms": []}]}, "fields.0.transforms"),
        ({"fields": [{"path": "insz", "transforms": ["raden"]}]}, "fields.0.transforms"),
        ({"product": "adres.v1"}, "product"),
        ({"purpose": "handhaving"}, "purpose"),
        ({"source": "kbo"}, "source"),
        ({"onward_sharing": "ja"}, "onward_sharing"),
        ({"extra": 1}, "extra"),
    ],
)
async def test_what_is_wrong_with_a_ceiling_is_named_by_its_place(
    office: Office, http: httpx.AsyncClient, change: dict[str, Any], place: str
) -> None:
    answer = await http.put(INHABITANTS, json=(await narrower(http)) | change, headers=OWNER)
    assert answer.status_code == 400
    assert place in answer.json()["detail"]
    assert office.log.written == []


async def test_a_ceiling_needs_a_purpose_of_the_list_and_a_product_of_the_source(http: httpx.AsyncClient) -> None:
    nothing: dict[str, Any] = {"fields": []}
    assert (await http.put(f"{URL}/onbekend", json=nothing, headers=OWNER)).status_code == 400
    elsewhere = "/v1/products/rijksregister/auto.v1/ceilings/handhaving"
    assert (await http.put(elsewhere, json=nothing, headers=OWNER)).status_code == 404


async def test_a_request_is_answered_with_what_may_point_at_one_person(http: httpx.AsyncClient) -> None:
    document = agreement_document("statistiek-vlaanderen", title="Bevolkingsstatistiek per gemeente")
    answer = await http.post("/v1/agreements", json=document, headers=bearer("statistiek-vlaanderen"))
    assert answer.status_code in {200, 201}
    (warning,) = answer.json()["warnings"]
    assert (warning["code"], warning["path"]) == ("SMALL_CELL", "verblijfplaats.gemeente.nis")
    plain = await http.post("/v1/agreements", json=agreement_document(title="Anders"), headers=bearer("stad-gent"))
    assert plain.json()["warnings"] == []
