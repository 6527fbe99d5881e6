"""Open forms over HTTP: published protocols for everyone, registers and unpublished ODRL for whom they concern."""

import csv
import hashlib
import json
import re
from base64 import b64encode
from io import StringIO

import pytest

from broker.api.limits import Pace
from broker.model.facts import FactType
from broker.policy import documents
from broker.policy.odrl import from_odrl
from broker.policy.protocol_text import text_hash
from tests.unit.api.conftest import World, bearer

PUBLIC = ("/protocollen", "/protocollen/parkeren", "/protocollen/parkeren/tekst", "/v1/agreements/parkeren/odrl")


@pytest.mark.parametrize("path", PUBLIC)
async def test_what_was_published_needs_no_credential(world: World, path: str) -> None:
    answer = await world.http.get(path)
    assert answer.status_code == 200
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert "set-cookie" not in answer.headers


@pytest.mark.parametrize("name", ["wachtend", "bestaat-niet", "<script>", "x" * 81])
async def test_what_was_not_published_looks_like_what_is_not_there(world: World, name: str) -> None:
    for path in (f"/protocollen/{name}", f"/protocollen/{name}/tekst"):
        answer = await world.http.get(path)
        assert answer.status_code in {400, 404}
        assert name not in answer.text
    assert (await world.http.get(f"/v1/agreements/{name}/odrl")).status_code in {400, 401}
    assert "/protocollen/wachtend" not in (await world.http.get("/protocollen")).text


async def test_a_page_may_do_nothing_but_show_its_own_style(world: World) -> None:
    answer = await world.http.get("/protocollen/parkeren")
    policy = answer.headers["Content-Security-Policy"]
    style = re.search(r"<style>(.*?)</style>", answer.text, re.DOTALL)
    assert style is not None
    digest = b64encode(hashlib.sha256(style[1].encode()).digest()).decode()
    assert policy.startswith(f"default-src 'none'; style-src 'sha256-{digest}';")
    assert "frame-ancestors 'none'" in policy
    assert answer.headers["Referrer-Policy"] == "no-referrer"


async def test_a_page_that_is_not_there_is_a_page(world: World) -> None:
    answer = await world.http.get("/protocollen/bestaat-niet")
    assert answer.status_code == 404
    assert answer.headers["Content-Type"] == "text/html; charset=utf-8"
    assert "werd niet bekendgemaakt" in answer.text


async def test_only_published_versions_are_asked_by_number(world: World) -> None:
    assert (await world.http.get("/protocollen/parkeren?versie=1")).status_code == 200
    assert (await world.http.get("/protocollen/parkeren?versie=2")).status_code == 404
    assert (await world.http.get("/v1/agreements/parkeren/odrl?version=2")).status_code == 401
    assert (await world.http.get("/v1/agreements/parkeren/odrl?version=2", headers=bearer("agency"))).status_code == 404


async def test_it_stays_public_after_its_end(world: World) -> None:
    world.move("parkeren", FactType.AGREEMENT_REVOKED)
    for path in PUBLIC:
        assert (await world.http.get(path)).status_code == 200
    assert "Ingetrokken" in (await world.http.get("/protocollen/parkeren")).text


async def test_anyone_can_recompute_the_fingerprint(world: World) -> None:
    text = (await world.http.get("/protocollen/parkeren/tekst")).content
    shown = await world.http.get("/v1/agreements/parkeren/text", headers=bearer("agency"))
    assert text_hash(text.decode()) == shown.json()["sha256"]


async def test_odrl_reads_back_as_the_agreement(world: World) -> None:
    for headers in ({}, bearer("agency"), bearer("foreign")):
        answer = await world.http.get("/v1/agreements/parkeren/odrl", headers=headers)
        assert answer.headers["Content-Type"] == "application/ld+json"
        assert from_odrl(answer.text) == documents.agreement(world.entry("parkeren").document)


async def test_a_wrong_credential_is_refused_even_for_what_is_public(world: World) -> None:
    answer = await world.http.get("/v1/agreements/parkeren/odrl", headers={"Authorization": "Bearer dn_c1_geheim"})
    assert answer.status_code == 401


async def test_each_organisation_has_its_own_register(world: World) -> None:
    async def listed(who: str) -> list[str]:
        answer = await world.http.get("/v1/register-of-processing", headers=bearer(who))
        assert answer.headers["Cache-Control"] == "no-store"
        return [row["Kenmerk"] for row in answer.json()["items"]]

    assert await listed("agency") == ["parkeren"]
    assert await listed("foreign") == ["jeugd"]
    assert await listed("source") == ["jeugd", "parkeren"]
    assert await listed("other-source") == []
    operator = await world.http.get("/v1/register-of-processing", headers=bearer("operator"))
    assert [row["Verwerkingsverantwoordelijke (a)"] for row in operator.json()["items"]] == [
        "gent-parkeren",
        "jeugddienst-leuven",
        "rijksregister",
    ]


async def test_a_register_is_also_a_table(world: World) -> None:
    answer = await world.http.get("/v1/register-of-processing?format=csv", headers=bearer("agency"))
    assert answer.headers["Content-Type"] == "text/csv; charset=utf-8"
    assert answer.headers["Content-Disposition"] == 'attachment; filename="register-gent-parkeren.csv"'
    table = list(csv.DictReader(StringIO(answer.content.decode("utf-8-sig")), delimiter=";"))
    assert [line["Kenmerk"] for line in table] == ["parkeren"]
    assert (await world.http.get("/v1/register-of-processing?format=xml", headers=bearer("agency"))).status_code == 400


async def test_anonymous_requests_have_a_pace_and_callers_do_not_feel_it(world: World) -> None:
    now = [0.0]
    world.http._transport.app.state.public_pace = Pace(rate=1, burst=2, clock=lambda: now[0])
    statuses = [(await world.http.get(path)).status_code for path in PUBLIC]
    assert statuses == [200, 200, 429, 429]
    refused = await world.http.get("/protocollen")
    assert (refused.json()["code"], refused.headers["Retry-After"]) == ("TOO_MANY_REQUESTS", "1")
    assert (await world.http.get("/v1/agreements/parkeren/odrl", headers=bearer("agency"))).status_code == 200
    now[0] = 1.0
    assert [(await world.http.get("/protocollen")).status_code for _ in range(2)] == [200, 429]


async def test_the_description_names_no_credential_for_public_pages(world: World) -> None:
    described = json.loads((await world.http.get("/openapi.json")).text)
    assert "security" not in described["paths"]["/protocollen/{agreement}"]["get"]
