"""The catalogue: what may be asked and how, as DCAT-AP-VL too, and the topics that a caller may read as AsyncAPI."""

import asyncio
import json
import re
from dataclasses import replace
from typing import Any

import pytest
from rdflib import DCAT, DCTERMS, RDF, Literal

from broker.model.agreement import State
from broker.model.facts import FactType
from broker.policy import dcat
from broker.policy.dcat_quality import DQV
from tests.unit.api.conftest import EGRESS, ROOT, World, bearer, opened
from tests.unit.api.stand_ins import QualityFigures
from tests.unit.schema.published_types import graph as parsed

OWN = "delivery.gent-parkeren.parkeren"


async def topics(world: World, who: str | None) -> dict[str, Any]:
    answer = await world.http.get("/v1/catalogue/asyncapi", headers=bearer(who) if who else {})
    assert answer.status_code == 200, answer.text
    held: dict[str, Any] = answer.json()
    return held


async def test_the_catalogue_says_what_may_be_asked_and_how(world: World) -> None:
    answer = await world.http.get("/v1/catalogue", headers=bearer("foreign"))
    held = answer.json()
    (product,) = held["items"]
    assert (product["source"], product["id"]) == ("rijksregister", "persoon.v1")
    assert {"path", "class", "iri", "doc"} == set(product["fields"][0])
    by_purpose = {purpose["purpose"]: purpose for purpose in product["purposes"]}
    assert "keep" in by_purpose["handhaving"]["fields"]["naam.achternaam"]
    assert all(purpose["fields"] for purpose in product["purposes"])
    assert [step["step"] for step in held["howToRequest"]][:2] == ["check", "request"]
    assert "gent-parkeren" not in answer.text  # who has an agreement is not for everyone


@pytest.mark.parametrize(("accept", "form"), [("application/ld+json", "json-ld"), ("text/turtle", "turtle")])
async def test_the_catalogue_as_linked_data(world: World, accept: str, form: str) -> None:
    answer = await world.http.get("/v1/catalogue", headers={**bearer("foreign"), "Accept": accept})
    assert (answer.headers["content-type"].partition(";")[0], answer.headers["vary"]) == (accept, "Accept")
    graph = parsed(answer.text, form)
    (dataset,) = graph.subjects(RDF.type, DCAT.Dataset)
    assert graph.value(dataset, DCTERMS.identifier) == Literal("rijksregister/persoon.v1")
    assert graph.value(dataset, DCTERMS.issued) is not None
    assert str(graph.value(dataset, DCAT.landingPage)).startswith(str(world.http.base_url))
    assert "gent-parkeren" not in answer.text


async def test_quality_figures_are_beside_the_product_in_json_and_as_linked_data() -> None:
    async with opened(quality=QualityFigures()) as world:
        shown = (await world.http.get("/v1/catalogue", headers=bearer("foreign"))).json()["items"][0]["quality"]
        turtle = await world.http.get("/v1/catalogue", headers={**bearer("foreign"), "Accept": "text/turtle"})
    assert shown == {
        "at": "2026-11-26T12:30:15Z",
        "whole": True,
        "subjects": 12_000,
        "freshness": {
            "lastRecord": "2026-11-26T12:30:00Z",
            "lastPass": "2026-11-26T12:30:15Z",
            "medianSeconds": 45,
            "p95Seconds": 7200,
        },
        "completeness": {"naam.voornamen": 98, "overlijden.datum": 12},
        "quarantine": {"lastDayPercent": 0, "inAllPercent": 1},
    }
    values = {each.toPython() for each in parsed(turtle.text, "turtle").objects(None, DQV.value)}
    assert {12_000, 45, 7200, 98, 12, 0, 1} <= values


async def test_without_figures_the_catalogue_is_shown_all_the_same(world: World) -> None:
    answer = await world.http.get("/v1/catalogue", headers=bearer("foreign"))
    assert answer.json()["items"][0]["quality"] is None


async def test_a_graph_is_made_once_for_one_position_of_the_control_log_and_one_set_of_figures(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made: list[str] = []
    catalogue = dcat.catalogue

    def counted(*given: Any, **more: Any) -> Any:
        made.append("graph")
        return catalogue(*given, **more)

    monkeypatch.setattr(dcat, "catalogue", counted)
    linked = {**bearer("foreign"), "Accept": "text/turtle"}
    async with opened(quality=QualityFigures()) as world:
        answers = await asyncio.gather(*(world.http.get("/v1/catalogue", headers=linked) for _ in range(5)))
        assert len({each.text for each in answers}) == len(made) == 1
        await world.http.get("/v1/catalogue", headers={**linked, "Accept": "application/ld+json"})
        assert len(made) == 2
        named = {"id": "rijksregister", "name": "Nieuwe naam"}
        await world.control.append(FactType.ORGANISATION, "organisation/rijksregister", named, by="operator")
        assert "Nieuwe naam" in (await world.http.get("/v1/catalogue", headers=linked)).text


@pytest.mark.parametrize("accept", ["application/json", "application/ld+json"])
async def test_an_example_of_a_product_is_about_nobody(world: World, accept: str) -> None:
    path = "/v1/catalogue/rijksregister/persoon.v1/example"
    answer = await world.http.get(path, headers={**bearer("agency"), "Accept": accept})
    assert answer.headers["content-type"] == accept
    held = answer.json()
    assert ("@context" in held) == (accept == "application/ld+json")
    reviewed = json.loads((ROOT / "schemas" / "examples" / "persoon.v1.json").read_text())
    insz = reviewed["insz"]
    assert int(insz[2:4]) > 60, "a test number: month + 60"
    assert insz in answer.text
    if accept == "application/json":
        assert held == reviewed
    assert (await world.http.get(path.replace("persoon", "niets"), headers=bearer("agency"))).status_code == 404


async def test_what_a_product_conforms_to_can_be_fetched(world: World) -> None:
    answer = await world.http.get("/v1/catalogue", headers={**bearer("agency"), "Accept": "text/turtle"})
    own = str(world.http.base_url)
    standards = {str(each) for each in parsed(answer.text, "turtle").objects(None, DCTERMS.conformsTo)}
    ours = sorted(each for each in standards if each.startswith(own))
    assert [each.rpartition("/")[2] for each in ours] == ["context", "shape"]
    context, shape = [await world.http.get(each, headers=bearer("agency")) for each in ours]
    assert "naam" in context.json()["@context"]
    assert len(parsed(shape.text, "turtle"))
    assert (await world.http.get(ours[0].replace("persoon", "niets"), headers=bearer("agency"))).status_code == 404


async def test_a_caller_sees_its_own_topics_with_the_schema_it_receives(world: World) -> None:
    held = await topics(world, "agency")
    assert list(held["channels"]) == [OWN]  # `wachtend` is not active
    assert held["components"]["messages"][f"{OWN}.v1"]["payload"]["schema"] == json.loads(EGRESS)
    assert list((await topics(world, "foreign"))["channels"]) == ["delivery.jeugddienst-leuven.jeugd"]


@pytest.mark.parametrize("who", ["source", "other-source", "operator"])
async def test_who_reads_no_topic_sees_none(world: World, who: str) -> None:
    held = await topics(world, who)
    assert held["channels"] == held["operations"] == {}
    assert "gent-parkeren" not in json.dumps(held)


async def test_a_revoked_agreement_has_no_topic_any_more(world: World) -> None:
    await world.control.append(FactType.AGREEMENT_REVOKED, "agreement/parkeren", {"id": "parkeren"}, by="rijksregister")
    assert world.entry("parkeren").state is State.REVOKED
    assert (await topics(world, "agency"))["channels"] == {}


async def test_without_a_credential_only_names_of_types_are_told(world: World) -> None:
    held = await topics(world, None)
    assert held["channels"] == held["operations"] == {}
    assert list(held["components"]["messages"]) == ["persoon.v1"]
    told = json.dumps(held)
    assert not [each for each in ("payload", "gent-parkeren", "rijksregister", "delivery.") if each in told]


async def test_a_wrong_credential_is_not_taken_for_none(world: World) -> None:
    answer = await world.http.get("/v1/catalogue/asyncapi", headers={"Authorization": "Bearer dn_c1_mis"})
    assert answer.status_code == 401


async def test_addresses_are_those_that_others_reach(world: World) -> None:
    app = world.http._transport.app
    app.state.services = replace(app.state.services, public_url="https://broker.example/uitwisseling")
    held = await topics(world, "agency")
    registries = {each["bindings"]["kafka"]["schemaRegistryUrl"] for each in held["servers"].values()}
    assert registries == {"https://broker.example/uitwisseling"}


def test_every_test_that_the_page_names_exists() -> None:
    page = (ROOT / "docs" / "catalogue.md").read_text(encoding="utf-8")
    named = re.findall(r"`((?:unit|contract|integration|browser)/[\w/]+\.py)(?:::(\w+))?`", page)
    assert len(named) > 10
    tests = ROOT / "tests"
    assert [each for path, each in named if f"def {each}" not in (tests / path).read_text(encoding="utf-8")] == []
