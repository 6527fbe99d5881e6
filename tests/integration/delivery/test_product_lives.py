"""Two versions of a product side by side: one adapter publishes both, agreements on both deliver, and one is brought to its end."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from adapters.mapped import build, load_mapping
from adapters.sdk import Change, Item
from adapters.synthetic_names import GENT
from broker.cli.documents import PolicyFolder
from broker.cli.publishing import runner_over
from broker.control.limits import set_limits
from broker.errors import Conflict
from broker.model import topics
from broker.model.identifiers import make_test_insz
from broker.model.record import WIRE_HEADER_BYTES
from broker.policy import limit_documents
from broker.schema.avro import Schema, load_schema
from broker.schema.reference import decode
from broker.testing import wait_until
from tests.conftest import ROOT
from tests.integration.delivery.conftest import agency_of
from tests.integration.routing.conftest import World
from tests.listening import listening
from tests.unit.schema.test_compatibility import at_end, enum, field, version

OLD, NEW = "persoon.v1", "persoon.v2"


def grown(document: dict[str, Any]) -> None:
    """A field more, and a stricter constraint."""
    at_end(document)
    field(document, "naam.voornamen")["maxItems"] = 12


def second() -> Schema:
    return version(grown)


@dataclass(frozen=True)
class Both:
    """States each person in both versions: one run, one cursor."""

    name: str
    organisation: str
    persons: tuple[Mapping[str, Any], ...]

    @property
    def sources(self) -> Mapping[str, str]:
        return {OLD: self.organisation, NEW: self.organisation}

    async def changes(self, cursor: str | None) -> AsyncIterator[tuple[Item, str]]:
        for number, person in enumerate(self.persons, 1):
            if number > int(cursor or 0):
                yield Change(f"{number}", OLD, person), str(number - 1)
                yield Change(f"{number}", NEW, {**person, "nieuw": "x"}), str(number)


@asynccontextmanager
async def owner_of(world: World, url: str) -> AsyncIterator[httpx.AsyncClient]:
    issued = await world.installation.organisations.issue(world.source, ("source-owner",), by="test")
    headers = {"Authorization": f"Bearer {issued.token}"}
    async with httpx.AsyncClient(base_url=url, headers=headers, timeout=60, trust_env=False) as http:
        yield http


async def side_by_side(world: World) -> tuple[str, str]:
    """The next version is declared under the ceilings of the first, and each has an agreement of one agency in force."""
    await world.installation.products.declare(world.source, second().text, by=world.source)
    folder = PolicyFolder.of()
    held = (limit_documents.ceiling_document(each) for each in folder.ceilings().values() if each.product == OLD)
    moved = [limit_documents.ceiling({**each, "product": NEW}) for each in held]
    await set_limits(world.site.control, folder.purposes(), moved, by="test")
    new = f"inwoners-gent-twee-{world.suffix}"
    return await world.agree("inwoners-gent"), await world.agree("inwoners-gent", id=new, product=NEW)


async def publish_both(world: World, router: Any, *persons: Mapping[str, Any]) -> None:
    adapter = Both(f"beide-{world.suffix}-{len(persons)}", world.source, persons)
    summary = await (await runner_over(world.site, adapter)).run(once=True)
    assert summary.published == 2 * len(persons)
    for product in (OLD, NEW):
        topic = topics.source(world.source, product)
        await router.route(topic, [(each.partition, each.offset) for each in await world.read(topic)])


async def test_an_agreement_on_each_version_delivers_beside_the_other(world: World) -> None:
    old, new = await side_by_side(world)
    router, people = await world.router(), world.people(4, GENT)
    await publish_both(world, router, *people)
    values = {
        agreement: [each.value for each in await world.delivered(agreement) if each.kind == "initial"]
        for agreement in (old, new)
    }
    names = sorted(person["naam"]["achternaam"] for person in people)
    for found in values.values():
        assert sorted(each["naam"]["achternaam"] for each in found if each) == names
    assert all("nieuw" not in each for each in values[new] if each), "nobody receives a field that no agreement names"


MAPPING = """\
adapter: {adapter}
product: {product}
organisation: {organisation}
source: {{kind: csv, path: personen.csv}}
id: insz
recordedAt: gewijzigd
kind: {{const: changed}}
fields:
  insz: insz
  naam.achternaam: naam
  naam.voornamen: {{from: voornamen, split: " "}}
  geslacht: {{const: vrouwelijk}}
  geboorte.datum: geboren
  geboorte.plaats.nis: {{const: "44021"}}
  geboorte.land.iso: {{const: BE}}
  nationaliteiten: {{const: []}}
  verblijfplaats.straatnaam: straat
  verblijfplaats.gemeente.nis: {{const: "44021"}}
  verblijfplaats.gemeente.naam: {{const: Gent}}
  verblijfplaats.land.iso: {{const: BE}}
  statussen: {{const: []}}
  gezinsleden: {{const: []}}
  ouders: {{const: []}}
  kinderen: {{const: []}}
"""
ADDED = "  nieuw: roepnaam\n"
HEAD = "insz,naam,voornamen,geboren,straat,gewijzigd,roepnaam\n"
LINE = "{},Fictief{},Ada Bo,1950-01-0{},{} {},2026-07-01T08:00:00Z,Addie\n"


async def test_two_mapping_files_over_one_source_feed_both_versions(world: World, tmp_path: Path) -> None:
    old, new = await side_by_side(world)
    router, schemas = (
        await world.router(),
        {OLD: load_schema((ROOT / "schemas" / f"{OLD}.avsc").read_text()), NEW: second()},
    )
    born = {make_test_insz(date(1950, 1, day), 1): day for day in (1, 2, 3)}

    async def states(product: str, more: str = "") -> list[Mapping[str, Any]]:
        """What a run of the version's own mapping adds to its topic."""
        named = {"adapter": f"{product[-2:]}-{world.suffix}", "product": product, "organisation": world.source}
        (tmp_path / f"{product}.yaml").write_text(MAPPING.format(**named) + more)
        topic = topics.source(world.source, product)
        before = {(each.partition, each.offset) for each in await world.read(topic)}
        adapter = build(load_mapping(tmp_path / f"{product}.yaml", schemas.__getitem__), None)
        await (await runner_over(world.site, adapter)).run(once=True)
        added = [each for each in await world.read(topic) if (each.partition, each.offset) not in before]
        await router.route(topic, [(each.partition, each.offset) for each in added])
        return [decode(schemas[product].text, each.value[WIRE_HEADER_BYTES:]) for each in added]

    def write(street: str) -> None:
        lines = (LINE.format(insz, day, day, street, day) for insz, day in born.items())
        (tmp_path / "personen.csv").write_text(HEAD + "".join(lines))

    write("Kouter")
    first = await states(OLD)
    assert len(first) == len(born)
    assert all("nieuw" not in each for each in first)
    # The other one comes later, with a cursor of its own: it reads the source from its start.
    assert [each["nieuw"] for each in await states(NEW, ADDED)] == ["Addie"] * len(born)
    assert (await states(OLD), await states(NEW, ADDED)) == ([], [])
    write("Veldstraat")
    for product, more in ((OLD, ""), (NEW, ADDED)):
        assert {each["insz"] for each in await states(product, more)} == born.keys()
    for agreement in (old, new):
        streets = [(each.kind, each.value["verblijfplaats"]["straatnaam"]) for each in await world.delivered(agreement)]
        moved = [(kind, f"{name} {day}") for kind, name in MOVE for day in born.values()]
        assert sorted(streets) == sorted(moved)


MOVE = (("initial", "Kouter"), ("changed", "Veldstraat"))


async def test_the_registry_refuses_a_next_version_with_a_narrower_code_list(world: World) -> None:
    narrower = version(enum("geslacht", lambda symbols: symbols[:-1]))
    with pytest.raises(Conflict, match="SYMBOLS_MOVED"):
        await world.installation.products.declare(world.source, narrower.text, by=world.source)


async def test_a_deprecation_reaches_every_reader_of_that_version_and_none_of_the_other(world: World, url: str) -> None:
    old, new = await side_by_side(world)
    router = await world.router()
    await publish_both(world, router, *world.people(1, GENT))
    sunset = datetime.now(UTC).replace(microsecond=0) + timedelta(days=120)
    form = {"sunset": sunset.isoformat(), "reason": "Nieuwe velden.", "successor": NEW}
    async with owner_of(world, url) as owner:
        done = await owner.post(f"/v1/products/{world.source}/{OLD}/deprecate", json=form)
    assert done.status_code == 200, done.text
    (asked,) = done.json()["agreements"]
    assert (asked["id"], asked["textMustChange"]) == (old, True)
    assert {(each["reason"], each["path"]) for each in asked["grounds"]} == {
        ("PRODUCT_NAMED", ""),
        ("CONSTRAINT_STRICTER", "naam.voornamen"),
    }
    await router.settle()
    path = f"/v1/deliveries/{old}"
    async with agency_of(world, old, url) as http:
        pulled, saved = await http.get(path), await http.get(f"{path}/file")
        root = await http.get(f"/v1/ldes/{old}")
        async with listening(http, f"{path}/events") as heard:
            streamed = await heard.take(2)
        events = (await http.get("/v1/agreements/events?limit=500")).json()["items"]
        other = await http.get(f"/v1/deliveries/{new}")
    (notice,) = [each for each in pulled.json()["items"] if each["kind"] == "life-cycle"]
    assert (notice["reason"], datetime.fromisoformat(notice["ends"])) == ("DEPRECATION", sunset)
    assert "persoon.v2" in notice["text"]
    assert "Nieuwe velden." in notice["text"]
    assert notice in streamed
    assert '"DEPRECATION"' in saved.text
    for answer in (pulled, saved, root, heard.response):
        assert answer.headers["deprecation"].startswith("@")
        assert answer.headers["sunset"] == sunset.strftime("%a, %d %b %Y %H:%M:%S GMT")
        assert answer.links["successor-version"]["url"] == f"/v1/products/{world.source}/{NEW}"
    assert "sunset" not in other.headers
    assert [each["kind"] for each in other.json()["items"]] == ["initial"]
    assert [each["why"] for each in events if each["type"] == "product-deprecated"] == [notice["text"]]


async def test_after_the_sunset_nothing_begins_and_the_version_ends_with_the_agreements_on_it(
    world: World, url: str
) -> None:
    old, new = await side_by_side(world)
    router, people = await world.router(), world.people(3, GENT)
    await publish_both(world, router, *people)
    product = f"/v1/products/{world.source}/{OLD}"
    async with owner_of(world, url) as owner:
        sunset = datetime.now(UTC) + timedelta(seconds=4)  # so that it is not over when the request arrives
        form = {"sunset": sunset.isoformat(), "reason": "Snel.", "successor": NEW, "noticeDays": 0}
        assert (await owner.post(f"{product}/deprecate", json=form)).is_success
        await wait_until(lambda: datetime.now(UTC) > sunset, timeout=10)
        late = {**world.document_of(old), "id": f"te-laat-{world.suffix}", "version": 1}
        async with agency_of(world, old, url) as http:
            refused = await http.post("/v1/agreements", json=late)
        assert (refused.status_code, refused.json()["code"]) == (409, "PRODUCT_NOT_OFFERED")
        held = await owner.post(f"{product}/end")
        assert (held.status_code, old in held.json()["detail"]) == (409, True)
        async with router.running():
            ended = await owner.post(f"{product}/end", json={"endAgreements": True})
        assert (ended.status_code, ended.json()["agreementsEnded"]) == (200, [old])
        assert (await owner.get(product)).json()["state"] == "ended"
    await publish_both(world, router, *world.people(2, GENT))
    after = await world.delivered(old)
    assert {each.headers["ce_reason"] for each in after if each.barrier} == {b"ENDED"}
    assert [each.kind for each in after if not each.barrier and each.notice is None] == []
    assert (await world.kinds(new)).count("initial") == 5
