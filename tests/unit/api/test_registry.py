"""What stock Confluent clients ask, and that an egress schema is shown to those who receive it only."""

import pytest

from tests.unit.api.conftest import EGRESS, OTHER_EGRESS, World, bearer

OWN = "delivery.gent-parkeren.parkeren-value"


async def test_the_schema_a_frame_names(world: World) -> None:
    schema_id = world.entry("parkeren").egress_schema_id
    answer = await world.http.get(f"/schemas/ids/{schema_id}", headers=bearer("agency"))
    assert answer.json() == {"schema": EGRESS}
    assert answer.headers["content-type"] == "application/vnd.schemaregistry.v1+json"


async def test_anothers_egress_schema_looks_unknown(world: World) -> None:
    schema_id = world.entry("jeugd").egress_schema_id
    foreign = await world.http.get(f"/schemas/ids/{schema_id}", headers=bearer("agency"))
    unknown = await world.http.get("/schemas/ids/999", headers=bearer("agency"))
    assert (foreign.status_code, foreign.json()) == (unknown.status_code, unknown.json())
    assert foreign.json()["error_code"] == 40403
    own = await world.http.get(f"/schemas/ids/{schema_id}", headers=bearer("foreign"))
    assert own.json() == {"schema": OTHER_EGRESS}


async def test_subjects_are_products_and_own_streams(world: World) -> None:
    listed = (await world.http.get("/subjects", headers=bearer("agency"))).json()
    assert listed == [OWN, "delivery.gent-parkeren.wachtend-value", "source.rijksregister.persoon.v1-value"]
    assert (await world.http.get("/subjects", headers=bearer("source"))).json() == listed[2:]


@pytest.mark.parametrize("version", ["latest", "-1", "1"])
async def test_a_version_of_a_subject(world: World, version: str) -> None:
    body = (await world.http.get(f"/subjects/{OWN}/versions/{version}", headers=bearer("agency"))).json()
    assert body == {
        "subject": OWN, "version": 1, "id": world.entry("parkeren").egress_schema_id, "schema": EGRESS,
    }  # fmt: skip


async def test_unknown_versions_and_subjects_have_confluents_codes(world: World) -> None:
    for version in ("2", "0", "x", "²"):
        answer = await world.http.get(f"/subjects/{OWN}/versions/{version}", headers=bearer("agency"))
        assert (answer.status_code, answer.json()["error_code"]) == (404, 40402)
    answer = await world.http.get("/subjects/none-value/versions/latest", headers=bearer("agency"))
    assert (answer.status_code, answer.json()["error_code"]) == (404, 40401)


async def test_a_product_shows_every_field_with_its_class(world: World) -> None:
    body = (await world.http.get("/v1/products/rijksregister/persoon.v1", headers=bearer("agency"))).json()
    fields = {field["path"]: field for field in body["fields"]}
    assert (body["source"], body["principal"]) == ("rijksregister", "insz")
    assert fields["insz"]["class"] == "national-number"
    assert fields["nationaliteiten.code"]["reveals"] == "special"
    assert (await world.http.get("/v1/products/rijksregister/none.v1", headers=bearer("agency"))).status_code == 404
