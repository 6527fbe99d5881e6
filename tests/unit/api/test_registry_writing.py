"""What a source registers over Confluent's REST interface and over ours, over the real use-case on a control log in memory."""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from broker.control.products import Products
from broker.model.facts import FactType
from tests.unit.api.office import Office, bearer

TEXT = (Path(__file__).parents[3] / "schemas" / "persoon.v1.avsc").read_text()
SUBJECT = "source.rijksregister.persoon.{}-value"
V1, V2 = SUBJECT.format("v1"), SUBJECT.format("v2")
LEAF = {
    "name": "nieuw",
    "type": ["null", "string"],
    "default": None,
    "iri": "https://example.org/n",
    "class": "contact",
    "doc": "New.",
}


class Kafka:
    """Topics and positions that are made at once."""

    async def ensure_topics(self, _specs: object) -> None:
        """Nothing."""

    async def commit_offsets(self, _group: str, _offsets: object) -> None:
        """Nothing."""


@pytest.fixture
async def office() -> Office:
    made = Office()
    await made.open()
    return made


@pytest.fixture
async def http(office: Office) -> AsyncIterator[httpx.AsyncClient]:
    async with office.http(products=Products(office.log, Kafka(), Kafka(), 2)) as client:
        yield client


def text(product: str = "persoon.v2", **changes: Any) -> str:
    document = json.loads(TEXT) | {"product": product}
    return json.dumps(document | changes)


def grown() -> str:
    return text(fields=[*json.loads(TEXT)["fields"], LEAF])


def weakened() -> str:
    return text().replace('"class": "identifying"', '"class": "public"', 1)


async def post(http: httpx.AsyncClient, path: str, schema: str, who: str = "rijksregister") -> httpx.Response:
    return await http.post(path, json={"schema": schema, "schemaType": "AVRO"}, headers=bearer(who))


async def test_a_next_version_is_declared_as_planned(office: Office, http: httpx.AsyncClient) -> None:
    path = "/v1/products/rijksregister/persoon.v2"
    form = {"schema": grown(), "planned": True}
    assert (await http.put(path, json=form, headers=bearer("rijksregister"))).is_success
    states = {each: office.log.state.lives.of("rijksregister", each).state for each in ("persoon.v1", "persoon.v2")}
    assert states == {"persoon.v1": "live", "persoon.v2": "planned"}


async def test_an_equal_schema_gets_its_id_back(office: Office, http: httpx.AsyncClient) -> None:
    turned = json.dumps(dict(reversed(json.loads(TEXT).items())))
    answer = await post(http, f"/subjects/{V1}/versions", turned)
    assert answer.json() == {"id": office.log.state.products["rijksregister", "persoon.v1"].schema_id}
    assert office.log.written == []


async def test_a_compatible_next_version_is_a_product_of_its_own(office: Office, http: httpx.AsyncClient) -> None:
    answer = await post(http, f"/subjects/{V2}/versions?normalize=False", grown())
    assert answer.status_code == 200
    assert office.log.written == [(FactType.PRODUCT, "product/rijksregister/persoon.v2", "rijksregister")]
    identifier = answer.json()["id"]
    found = await http.get(f"/schemas/ids/{identifier}/versions", headers=bearer("stad-gent"))
    assert found.json() == [{"subject": V2, "version": 1}]


async def test_a_change_in_place_is_told_where_it_belongs(office: Office, http: httpx.AsyncClient) -> None:
    for schema in (grown(), text("persoon.v1", doc="Else.")):
        answer = await post(http, f"/subjects/{V1}/versions", schema)
        assert (answer.status_code, answer.json()["error_code"]) == (409, 409)
        message = answer.json()["message"]
        assert "persoon.v1 never changes" in message
        assert "persoon.v2" in message
        assert "datanuts product declare FILE.avsc --as rijksregister" in message
    assert office.log.written == []


async def test_what_weakens_a_class_is_no_successor(office: Office, http: httpx.AsyncClient) -> None:
    answer = await post(http, f"/subjects/{V2}/versions", weakened())
    assert answer.status_code == 409
    assert "naam.achternaam" in answer.json()["message"]
    assert "[CLASS_WEAKENED]" in answer.json()["message"]
    ours = await http.put(
        "/v1/products/rijksregister/persoon.v2", json={"schema": weakened()}, headers=bearer("rijksregister")
    )
    assert (ours.status_code, ours.json()["code"]) == (409, "CONFLICT")
    assert "[CLASS_WEAKENED]" in ours.json()["detail"]
    assert office.log.written == []


@pytest.mark.parametrize("schema", ["{", "[]", text(fields=[]), TEXT.replace('"class": "identifying"', "", 1)])
async def test_a_text_that_breaks_the_lint_is_invalid(http: httpx.AsyncClient, schema: str) -> None:
    for path in (f"/subjects/{V1}/versions", f"/compatibility/subjects/{V1}/versions/latest"):
        answer = await post(http, path, schema)
        assert (answer.status_code, answer.json()["error_code"]) == (422, 42201)


async def test_only_the_source_itself_and_the_operator_write(office: Office, http: httpx.AsyncClient) -> None:
    for who in ("kbo", "stad-gent", "statistiek-vlaanderen"):
        answer = await post(http, f"/subjects/{V2}/versions", grown(), who)
        assert (answer.status_code, answer.json()["error_code"]) == (403, 40301)
    for subject in ("delivery.stad-gent.x-value", "control.log-value", "source.rijksregister.persoon.v2-key"):
        assert (await post(http, f"/subjects/{subject}/versions", grown(), "operator")).status_code == 403
    assert office.log.written == []
    assert (await post(http, f"/subjects/{V2}/versions", grown(), "operator")).status_code == 200


async def test_compatibility_tells_every_change(http: httpx.AsyncClient) -> None:
    path = f"/compatibility/subjects/{V1}/versions/latest"
    assert (await post(http, path, grown())).json() == {"is_compatible": True}
    good = (await post(http, f"{path}?verbose=true", grown())).json()
    assert good == {
        "is_compatible": True,
        "messages": ["nieuw: new: nobody receives it until a ceiling and an agreement name it [FIELD_ADDED]"],
    }
    bad = (await post(http, f"{path}?verbose=true", weakened())).json()
    assert bad["is_compatible"] is False
    assert [line for line in bad["messages"] if "CLASS_WEAKENED" in line]
    in_place = (await post(http, f"{path}?verbose=true", text("persoon.v1", doc="Else."))).json()
    assert "persoon.v1 never changes" in in_place["messages"][-1]


@pytest.mark.parametrize(
    ("path", "code"),
    [(f"/compatibility/subjects/{V2}/versions/1", 40401), (f"/compatibility/subjects/{V1}/versions/2", 40402)],
)
async def test_what_is_not_there_has_confluents_codes(http: httpx.AsyncClient, path: str, code: int) -> None:
    assert (await post(http, path, grown())).json()["error_code"] == code


async def test_a_schema_is_looked_up_by_what_it_says(office: Office, http: httpx.AsyncClient) -> None:
    identifier = office.log.state.products["rijksregister", "persoon.v1"].schema_id
    found = (await post(http, f"/subjects/{V1}", json.dumps(json.loads(TEXT)), "stad-gent")).json()
    assert (found["id"], found["version"], found["subject"]) == (identifier, 1, V1)
    for subject, schema, code in ((V1, grown(), 40403), (V1, "{", 40403), (V2, grown(), 40401)):
        assert (await post(http, f"/subjects/{subject}", schema)).json()["error_code"] == code


async def test_level_and_mode_are_what_clients_expect(http: httpx.AsyncClient) -> None:
    for path in ("/config", f"/config/{V1}"):
        assert (await http.get(path, headers=bearer("kbo"))).json() == {"compatibilityLevel": "BACKWARD"}
    assert (await http.get(f"/config/{V2}", headers=bearer("kbo"))).json()["error_code"] == 40401
    assert (await http.get("/mode", headers=bearer("kbo"))).json() == {"mode": "READWRITE"}
    assert (await http.put("/config", json={"compatibility": "NONE"}, headers=bearer("operator"))).status_code == 405


async def test_ours_shows_changes_before_and_after_the_declaration(http: httpx.AsyncClient) -> None:
    path = "/v1/products/rijksregister/persoon.v2"
    asked = {"schema": grown()}
    told = (await http.post(f"{path}/changes", json=asked, headers=bearer("rijksregister"))).json()
    assert (told["since"], told["declared"], told["compatible"]) == ("persoon.v1", False, True)
    assert [(each["path"], each["rule"]) for each in told["changes"]] == [("nieuw", "FIELD_ADDED")]
    declared = await http.put(path, json=asked, headers=bearer("rijksregister"))
    assert declared.json()["id"] == "persoon.v2"
    told = (await http.post(f"{path}/changes", json=asked, headers=bearer("rijksregister"))).json()
    assert (told["since"], told["declared"], told["changes"]) == ("persoon.v2", True, [])
    other = await http.put("/v1/products/rijksregister/persoon.v3", json=asked, headers=bearer("rijksregister"))
    assert other.status_code == 400
    first = {"schema": text("mens.v1")}
    told = (
        await http.post("/v1/products/rijksregister/mens.v1/changes", json=first, headers=bearer("rijksregister"))
    ).json()
    assert (told["since"], told["compatible"]) == (None, True)
