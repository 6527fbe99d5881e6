"""No source file says two different things of one subject in one product: compaction would keep only the second.

Source topics are compacted by subject, so that a record is the complete state of its subject (design §1). The public
samples are no part of the repository: where they are absent, this says so and checks only our own answers.
"""

from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from adapters import magda
from adapters.sdk import Change
from tests.unit.adapters.test_magda import ANN, BOB, KIM, answer, person, reply
from tests.unit.adapters.test_magda_services import PROOF, case, cases, member, parcel
from tests.unit.schema.published_types import TYPES

DATA = Path(__file__).parents[3] / "shared" / "data"
FOLDERS = ("magda", "association_registry")
ARRAYS = {"diploma.v1": "bewijzen", "dossier.v1": "dossiers", "steunmaatregel.v1": "maatregelen"}
RIGHT = f"""<StatusRechtOndersteuning><INSZ>{ANN}</INSZ><Maatregel><Code>VOP</Code></Maatregel>
  <Status><Code>TG</Code></Status></StatusRechtOndersteuning>"""
BARE = "<Letterexponent>F</Letterexponent>"
OURS = {
    "GeefPersoon": answer(person(ANN)),
    "GeefGezinssamenstelling": answer(f"<Gezinsleden>{member(BOB, '02')}{member(ANN, '01')}</Gezinsleden>"),
    "GeefBewijs": answer(f"<Bewijzen>{PROOF}{PROOF.replace('>r-1<', '>r-2<')}{PROOF.replace(ANN, KIM)}</Bewijzen>"),
    "GeefDossiers": cases(
        case(("PERS", ANN), ("PERS", BOB)),
        case(("PERS", ANN), number="8"),
        case(("PERS", ANN), number="8").replace("Samenstelling", "Behandeling"),
    ),
    "GeefStatusRechtOndersteuningen": answer(
        f"<StatusRechtOndersteuningen>{RIGHT}{RIGHT.replace('VOP', 'LDE')}</StatusRechtOndersteuningen>"
    ),
    "ZoekEigendomstoestanden": answer(
        f"<Eigendom><Eigendomstoestanden>{parcel(BARE)}{parcel(BARE).replace('JaarEinde', 'JaarBegin')}"
        "</Eigendomstoestanden></Eigendom>"
    ),
}
"""Service → an answer of our own about somebody who has several of what it tells."""
VERSIONS = {"GeefPersoon": "02.02.0000", "GeefGezinssamenstelling": "02.02.0000"}


async def states(file: Path) -> AsyncIterator[tuple[str, str, Mapping[str, Any]]]:
    """Product, subject and value of each change that one reading of `file` gives."""
    async for item, _ in magda.build(str(file)).changes(None):
        if isinstance(item, Change) and item.value is not None:
            yield item.product, item.value[TYPES[item.product].principal], item.value


async def contradicted(file: Path) -> list[str]:
    """Products of which one reading of `file` states a subject in two ways."""
    first: dict[tuple[str, str], Mapping[str, Any]] = {}
    return [
        product
        async for product, subject, value in states(file)
        if first.setdefault((product, subject), value) != value
    ]


@pytest.mark.parametrize("service", OURS)
async def test_no_answer_of_our_own_states_a_subject_in_two_ways(service: str, tmp_path: Path) -> None:
    (tmp_path / "a.xml").write_text(reply(service, OURS[service], version=VERSIONS.get(service, "02.00.0000")))
    found = [each async for each in states(tmp_path / "a.xml")]
    assert found
    assert await contradicted(tmp_path / "a.xml") == []
    several = [value[ARRAYS[product]] for product, subject, value in found if product in ARRAYS and subject == ANN]
    assert all(len(own) == 2 for own in several), "nothing of what the answer tells of a person is lost"


async def test_two_ways_in_one_file_would_be_noticed(tmp_path: Path) -> None:
    twice = "".join(
        reply("GeefPersoon", answer(person(ANN).replace("Roos", name))).split("?>")[1] for name in ("Roos", "Lies")
    )
    (tmp_path / "a.xml").write_text(f"<feed>{twice}</feed>")
    assert await contradicted(tmp_path / "a.xml") == ["persoon.v1"]


@pytest.mark.skipif(not DATA.is_dir(), reason=f"{DATA} is absent: NO public answer was looked at for two states")
@pytest.mark.timeout(300)
async def test_no_file_of_the_public_samples_states_a_subject_in_two_ways() -> None:
    files = [file for folder in FOLDERS for file in sorted((DATA / folder).rglob("*.xml"))]
    read = {file: [each async for each in states(file)] for file in files}
    assert {product for found in read.values() for product, *_ in found} == set(magda.build("x").sources)
    assert [(str(file), products) for file in files if (products := await contradicted(file))] == []
    longest = {
        product: max(len(value[array]) for found in read.values() for name, _, value in found if name == product)
        for product, array in ARRAYS.items()
    }
    assert longest["diploma.v1"] > 1
    assert longest["dossier.v1"] > 1
