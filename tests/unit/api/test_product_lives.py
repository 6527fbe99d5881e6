"""A product version's life over HTTP: what its owner says, what each party reads, and what every exit says in its headers."""

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any

import httpx
import pytest
from rdflib import DCTERMS, URIRef

from broker.control.event_seals import verify_event
from broker.control.product_lives import ProductLives
from broker.model.facts import FactType
from tests.unit.api.conftest import NOW, World, bearer, opened
from tests.unit.schema.published_types import graph as parsed
from tests.unit.schema.test_compatibility import at_end, version

PRODUCT = "/v1/products/rijksregister/persoon.v1"
SUNSET = NOW + timedelta(days=200)
FORM = {"sunset": SUNSET.isoformat(), "reason": "Een nieuwe versie.", "successor": "persoon.v2"}


@pytest.fixture
async def world() -> AsyncIterator[World]:
    """Both versions are declared; a clock that a test sets."""
    async with opened() as made:
        data = {"id": "persoon.v2", "source": "rijksregister", "schema": version(at_end).text}
        await made.control.append(FactType.PRODUCT, "product/persoon.v2", data, by="rijksregister")
        app = made.http._transport.app
        lives = ProductLives(made.control, made.agreements, now=lambda: NOW)
        app.state.services = replace(app.state.services, lives=lives)
        yield made


async def ask(world: World, method: str, path: str, who: str, expect: int = 200, **more: Any) -> Any:
    answer = await world.http.request(method, path, headers=bearer(who), **more)
    assert answer.status_code == expect, answer.text
    return answer.json()


async def deprecated(world: World, **more: Any) -> Any:
    return await ask(world, "POST", f"{PRODUCT}/deprecate", "source", json=FORM | more)


async def test_a_deprecation_answers_every_agreement_with_why_and_by_when(world: World) -> None:
    done = await deprecated(world)
    assert (done["state"], done["successor"], done["sunset"]) == ("deprecated", "persoon.v2", SUNSET.isoformat())
    assert [each["id"] for each in done["agreements"]] == ["jeugd", "parkeren", "wachtend"]
    parking = done["agreements"][1]
    assert (parking["agency"], parking["state"], parking["textMustChange"]) == ("gent-parkeren", "active", True)
    assert [each["reason"] for each in parking["grounds"]] == ["PRODUCT_NAMED"]
    assert "persoon.v1" in " ".join(line for each in parking["clauses"] for line in each["before"])
    assert (parking["rule"], parking["by"]) == ("NOTICE", (SUNSET - timedelta(days=90)).isoformat())
    assert "owner" in parking["ruleText"]


async def test_a_dry_run_answers_the_same_and_tells_nobody(world: World) -> None:
    epoch = world.control.state.epoch
    tried = await deprecated(world, dryRun=True)
    assert (world.control.state.epoch, tried["state"], tried["dryRun"]) == (epoch, "live", True)
    assert tried["agreements"] == (await deprecated(world))["agreements"]


async def test_each_party_reads_what_it_asks_of_its_own_agreements(world: World) -> None:
    assert (await ask(world, "GET", f"{PRODUCT}/succession", "agency"))["agreements"] == []
    await deprecated(world)
    own = {
        who: [each["id"] for each in (await ask(world, "GET", f"{PRODUCT}/succession", who))["agreements"]]
        for who in ("agency", "foreign", "source", "other-source", "operator")
    }
    everything = ["jeugd", "parkeren", "wachtend"]
    assert own == {
        "agency": ["parkeren", "wachtend"],
        "foreign": ["jeugd"],
        "source": everything,
        "other-source": [],
        "operator": everything,
    }


async def test_both_parties_get_a_sealed_event_of_each_agreement_on_one_page(world: World) -> None:
    before = world.control.state.epoch
    await deprecated(world)
    page = await ask(world, "GET", f"/v1/agreements/events?after={before}&limit=1", "source")
    assert [(each["agreement"], each["type"]) for each in page["items"]] == [
        (each, "product-deprecated") for each in ("parkeren", "wachtend", "jeugd")
    ]
    for event in page["items"]:
        verify_event(event, page["sealKey"])
        assert "persoon.v2" in event["why"]
    assert (await ask(world, "GET", f"/v1/agreements/events?after={page['next']}", "source"))["items"] == []
    (own,) = (await ask(world, "GET", f"/v1/agreements/events?after={before}", "foreign"))["items"]
    assert own["agreement"] == "jeugd"


def links(answer: httpx.Response) -> dict[str, str]:
    return {name: str(link["url"]) for name, link in answer.links.items()}


@pytest.mark.parametrize(
    "exit_", ["/v1/deliveries/{}", "/v1/deliveries/{}/events", "/v1/deliveries/{}/file", "/v1/ldes/{}"]
)
async def test_every_exit_of_a_deprecated_product_says_so_in_its_headers(world: World, exit_: str) -> None:
    world.deliver("Peeters")

    async def answer() -> httpx.Response:
        got = await world.http.get(exit_.format("parkeren"), headers=bearer("agency"))
        assert got.status_code == 200, got.text
        return got

    if exit_.endswith("events"):  # so that the stream ends
        world.move("parkeren", FactType.AGREEMENT_REVOKED)
        world.barrier()
    plain = await answer()
    assert not {"deprecation", "sunset"} & set(plain.headers)
    await deprecated(world)
    told = await answer()
    assert told.headers["deprecation"] == f"@{int(NOW.timestamp())}"  # RFC 9745: a Date of RFC 9651
    assert parsedate_to_datetime(told.headers["sunset"]) == datetime.fromisoformat(FORM["sunset"])
    assert links(told)["successor-version"] == "/v1/products/rijksregister/persoon.v2"
    assert links(told)["deprecation"] == f"{PRODUCT}/succession"
    assert links(plain).items() <= links(told).items()


async def test_lists_and_catalogue_show_state_sunset_and_successor(world: World) -> None:
    await deprecated(world)
    for path in ("/v1/products", "/v1/catalogue"):
        first, second = (await ask(world, "GET", path, "foreign"))["items"]
        assert (first["state"], first["successor"], first["sunset"]) == ("deprecated", "persoon.v2", SUNSET.isoformat())
        assert (second["state"], second["sunset"]) == ("live", None)
    left = {who: (await ask(world, "GET", PRODUCT, who))["agreementsLeft"] for who in ("agency", "source", "operator")}
    assert left == {"agency": None, "source": 2, "operator": 2}
    turtle = await world.http.get("/v1/catalogue", headers={**bearer("foreign"), "Accept": "text/turtle"})
    graph = parsed(turtle.text, "turtle")
    ((old, new),) = graph.subject_objects(DCTERMS.isReplacedBy)
    assert [str(each).rpartition("/")[2] for each in (old, new)] == ["persoon.v1", "persoon.v2"]
    status = URIRef("http://www.w3.org/ns/adms#status")
    assert str(graph.value(old, status)).endswith("/Deprecated")


@pytest.mark.parametrize(
    "more", [{"sunset": "morgen"}, {"reason": ""}, {"noticeDays": -1}, {"successor": "persoon.v7"}]
)
async def test_a_deprecation_that_makes_no_sense_is_400(world: World, more: dict[str, Any]) -> None:
    await ask(world, "POST", f"{PRODUCT}/deprecate", "source", 400, json=FORM | more)


async def test_a_version_with_agreements_in_force_is_not_ended(world: World) -> None:
    refused = await ask(world, "POST", f"{PRODUCT}/end", "source", 409, json={})
    assert refused["code"] == "CONFLICT"


async def test_what_is_asked_of_an_unknown_product_is_404(world: World) -> None:
    await ask(world, "GET", "/v1/products/rijksregister/hinder.v9/succession", "source", 404)
