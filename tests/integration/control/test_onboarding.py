"""One template onto a running stack: every local authority gets what is its own, and nobody else's."""

import random
from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from adapters.synthetic import people
from broker.model.agreement import State
from broker.model.identifiers import make_test_insz
from broker.model.record import header
from broker.policy.accessions import Accession
from broker.policy.authorities import Authority, Kind, authorities
from broker.policy.templates import template
from broker.testing import wait_until
from tests.conftest import ROOT
from tests.stage import Stage, installation

POLICIES = ROOT / "policies"
TABLE = authorities((POLICIES / "authorities.csv").read_text(encoding="utf-8"))
TEMPLATES = {
    kind: template((POLICIES / "templates" / f"{name}.yaml").read_text(encoding="utf-8"))
    for kind, name in ((Kind.GEMEENTE, "inwoners"), (Kind.OCMW, "sociaal-huis"))
}
BEFORE, TODAY = date(2024, 6, 1), date(2026, 11, 26)
SOURCE, PRODUCT = "rijksregister", "persoon.v1"


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[Stage]:
    async with installation(tmp_path) as made:
        yield made


async def in_force(stage: Stage, rows: Sequence[Authority]) -> list[Accession]:
    """Their agreements, signed by everybody."""
    done = await stage.stack.services.templates.onboard(TEMPLATES[rows[0].kind], rows, "operator", sign=True)
    assert {each.state for each in done} == {State.ACTIVE}, [each.problems for each in done if each.problems][:3]
    return list(done)


def inhabitants(rows: Sequence[Authority]) -> dict[str, dict[str, Any]]:
    """One person in every municipality, by its NIS code, under a name that tells where."""
    models = list(people(random.Random(7), 20, on=date(2026, 1, 1)))
    found = {}
    for number, row in enumerate(rows):
        person, place = models[number % 20], {"nis": row.nis, "naam": row.name}
        found[row.nis] = {
            **person,
            "insz": make_test_insz(date(1930 + number // 900, 1, 1), number % 900 + 1),
            "naam": {**person["naam"], "achternaam": f"Proef-{row.nis}"},
            "verblijfplaats": {**person["verblijfplaats"], "gemeente": place},
        }
    return found


async def told(stage: Stage, accession: Accession) -> list[bytes]:
    """Values of the records in an agreement's stream."""
    records = await stage.read(stage.delivery_topic(accession.agreement))
    return [record.value for record in records if record.value is not None and header(record.headers, "ce_id")]


async def file_on(stage: Stage, accession: Accession, person: Mapping[str, Any]) -> None:
    await stage.stack.services.dossiers.add(
        accession.agreement,
        accession.authority.id,
        subject=str(person["insz"]),
        capacity="cliënt",
        reference=f"D-{accession.authority.nis}",
        begin=None,
        end=None,
    )


async def assert_each_gets_its_own(stage: Stage, towns: Sequence[Authority], centres: Sequence[Authority]) -> None:
    """Every municipality hears of its inhabitant; every OCMW of the one it has a file on, under its own reference."""
    accessions = await in_force(stage, towns) + await in_force(stage, centres)
    persons = inhabitants(towns)
    for accession in accessions:
        if accession.authority.kind is Kind.OCMW:
            await file_on(stage, accession, persons[accession.authority.nis])
    async with stage.router():
        await stage.publish(SOURCE, PRODUCT, persons.values())
        await stage.drained(f"source.{SOURCE}.{PRODUCT}", within=300)
        for accession in accessions:
            (value,) = await told(stage, accession)
            nis = accession.authority.nis
            assert f"Proef-{nis}".encode() in value
            assert (f"D-{nis}".encode() in value) == (accession.authority.kind is Kind.OCMW)
            assert str(persons[nis]["insz"]).encode() not in value


async def test_one_record_of_each_municipality_reaches_exactly_its_own(stage: Stage) -> None:
    await assert_each_gets_its_own(stage, TABLE.on(TODAY, Kind.GEMEENTE)[:10], TABLE.on(TODAY, Kind.OCMW)[:4])


@pytest.mark.long
@pytest.mark.timeout(1800)
async def test_with_all_285_municipalities_and_285_ocmws_too(stage: Stage) -> None:
    await assert_each_gets_its_own(stage, TABLE.on(TODAY, Kind.GEMEENTE), TABLE.on(TODAY, Kind.OCMW))


async def test_after_a_merger_the_files_are_told_in_the_successors_stream(stage: Stage) -> None:
    """Kortessem merged into Hasselt: its OCMW's files go over, under their own references, and its stream is over."""
    old, new = TABLE.find("ocmw-kortessem", BEFORE), TABLE.find("ocmw-hasselt", TODAY)
    (kortessem,), (hasselt,) = await in_force(stage, [old]), await in_force(stage, [new])
    person = inhabitants([old])[old.nis]
    await file_on(stage, kortessem, person)
    templates = stage.stack.services.templates
    async with stage.router():
        await stage.publish(SOURCE, PRODUCT, [person])
        await stage.drained(f"source.{SOURCE}.{PRODUCT}")
        assert len(await told(stage, kortessem)) == 1
        plan = await templates.merger(
            TEMPLATES[Kind.OCMW], TABLE, TODAY, predecessors=["ocmw-kortessem"], successor="ocmw-hasselt"
        )
        (moved,) = await templates.merge(plan, "operator")
        assert (moved.dossiers, moved.state) == (1, State.ENDED)

        async def arrived() -> bool:
            return len(await told(stage, hasselt)) == 1

        await wait_until(arrived, timeout=30, every=0.5)
        (value,) = await told(stage, hasselt)
        assert b"D-73040" in value
        assert await told(stage, kortessem) == []
