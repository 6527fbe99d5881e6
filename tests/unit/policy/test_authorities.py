"""The table of municipalities and OCMWs: complete, checked, and as the public lists have it."""

from datetime import date
from pathlib import Path

import pytest
import rdflib

from broker.errors import Invalid
from broker.policy.authorities import Authorities, Kind, authorities

TEXT = (Path(__file__).parents[3] / "policies" / "authorities.csv").read_text(encoding="utf-8")
TABLE = authorities(TEXT)
TODAY = date(2026, 11, 26)
BEFORE = date(2024, 12, 31)
MERGER = date(2025, 1, 1)
HEADER = "id,kind,name,nis,kbo,ovo,from,to,successor\n"
GONE = 15  # municipalities fewer since 2025


def table(*lines: str) -> Authorities:
    return authorities(HEADER + "\n".join(lines))


@pytest.mark.parametrize("kind", list(Kind))
def test_285_municipalities_and_as_many_ocmws_are_left_of_300(kind: Kind) -> None:
    assert len(TABLE.on(TODAY, kind)) == 285
    assert len(TABLE.on(MERGER, kind)) == 285
    assert len(TABLE.on(BEFORE, kind)) == 285 + GONE


def test_a_municipality_and_its_ocmw_are_different_controllers_of_one_place() -> None:
    towns = {row.nis: row for row in TABLE.on(TODAY, Kind.GEMEENTE)}
    centres = {row.nis: row for row in TABLE.on(TODAY, Kind.OCMW)}
    assert towns.keys() == centres.keys()
    for nis, town in towns.items():
        assert town.name == centres[nis].name
        assert town.id != centres[nis].id
        assert town.ovo != centres[nis].ovo


def test_every_body_of_today_is_in_the_organisation_register() -> None:
    assert not [row.id for row in TABLE.on(TODAY) if row.ovo is None]


def test_a_body_that_goes_on_keeps_its_codes_under_another_nis_code() -> None:
    before, now = TABLE.find("gemeente-hasselt", BEFORE), TABLE.find("gemeente-hasselt", TODAY)
    assert (before.nis, now.nis) == ("71022", "71072")
    assert before.ovo == now.ovo
    assert [row.id for row in TABLE.merged_into("gemeente-hasselt", TODAY)] == [
        "gemeente-hasselt",
        "gemeente-kortessem",
    ]


def test_who_asks_for_a_body_that_is_gone_hears_who_took_over() -> None:
    with pytest.raises(Invalid, match="gemeente-merelbeke-melle took over"):
        TABLE.find("gemeente-melle", TODAY)
    assert TABLE.find("gemeente-melle", BEFORE).nis == "44040"
    with pytest.raises(Invalid, match="nobody is called gemeente-atlantis"):
        TABLE.find("gemeente-atlantis", TODAY)


def test_an_organisation_of_the_demonstration_keeps_its_name_here() -> None:
    assert {row.id for row in TABLE.on(TODAY) if row.nis == "44021"} == {"stad-gent", "ocmw-gent"}
    assert TABLE.find("ocmw-gent", TODAY).organisation.name == "OCMW Gent"


@pytest.mark.parametrize(
    ("lines", "place"),
    [
        (["gemeente-a,dorp,A,11001,,,,,"], "line 2, kind"),
        (["Gemeente A,gemeente,A,11001,,,,,"], "line 2, id"),
        (["gemeente-a,gemeente,A,1100,,,,,"], "line 2, nis"),
        (["gemeente-a,gemeente,A,,,,,,"], "line 2 needs"),
        (["gemeente-a,gemeente,{nis},11001,,,,,"], "line 2 needs"),
        (["gemeente-a,gemeente,A,11001,0207451228,,,,"], "line 2, kbo"),
        (["gemeente-a,gemeente,A,11001,,OVO12,,,"], "line 2, ovo"),
        (["gemeente-a,gemeente,A,11001,,,1 januari,,"], "line 2, from"),
        (["gemeente-a,gemeente,A,11001,,"], "line 2 has not 9 cells"),
        (["gemeente-a,gemeente,A,11001,,,,,,"], "line 2 has not 9 cells"),
        (["gemeente-a,gemeente,A,11001,,,2025-01-01,2024-01-01,gemeente-a"], "ends before it begins"),
        (["gemeente-a,gemeente,A,11001,,,,2025-01-01,"], "has a successor"),
        (["gemeente-a,gemeente,A,11001,,,,,gemeente-a"], "has a successor"),
        (["gemeente-a,gemeente,A,11001,,,,2025-01-01,gemeente-b"], "no gemeente gemeente-b exists"),
        (
            ["gemeente-a,gemeente,A,11001,,,,2025-01-01,ocmw-b", "ocmw-b,ocmw,B,11002,,,,,"],
            "no gemeente ocmw-b exists",
        ),
        (["gemeente-a,gemeente,A,11001,,,,,", "gemeente-a,gemeente,A,11002,,,2025-01-01,,"], "listed twice"),
        (["gemeente-a,gemeente,A,11001,,,,,", "gemeente-b,gemeente,B,11001,,,,,"], "the nis of another"),
        (["gemeente-a,gemeente,A,11001,,OVO000001,,,", "ocmw-a,ocmw,A,11001,,OVO000001,,,"], "the ovo of another"),
    ],
)
def test_a_table_that_contradicts_itself_is_refused_by_place(lines: list[str], place: str) -> None:
    with pytest.raises(Invalid, match=place):
        table(*lines)


def test_other_columns_are_refused() -> None:
    with pytest.raises(Invalid, match="the columns are id,kind"):
        authorities("id,name\ngemeente-a,A\n")


def _units(shared_data: Path) -> dict[tuple[Kind, str], set[str]]:
    """Codes by kind and name, of the part of the public list that is shared."""
    graph = rdflib.Graph()
    graph.parse(shared_data / "lblod_bestuurseenheden" / "bestuurseenheden.ttl")
    besluit = rdflib.Namespace("http://data.vlaanderen.be/ns/besluit#")
    code = "http://data.vlaanderen.be/id/concept/BestuurseenheidClassificatieCode/5ab0e9b8a3b2ca7c5e00000"
    found = {}
    for kind, number in ((Kind.GEMEENTE, 1), (Kind.OCMW, 2)):
        for unit in graph.subjects(besluit.classificatie, rdflib.URIRef(f"{code}{number}")):
            name = str(graph.value(unit, rdflib.SKOS.prefLabel))
            found[kind, name] = {str(value) for value in graph.objects(unit, rdflib.DCTERMS.identifier)}
    return found


def test_kbo_numbers_and_ovo_codes_are_those_of_the_public_list(shared_data: Path) -> None:
    checked = 0
    for (kind, name), codes in _units(shared_data).items():
        mine = [row for row in TABLE.rows if row.kind is kind and row.name == name]
        for row in mine:
            assert {row.kbo, row.ovo} == codes, row.id
        checked += len(mine)
    assert checked > 280


def test_nis_codes_and_names_are_those_of_the_public_lists(shared_data: Path) -> None:
    folder = shared_data / "codelists_nis"
    graph = rdflib.Graph()
    graph.parse(folder / "nuts-lau-2021.ttl")
    named = {
        str(code): str(graph.value(place, rdflib.SKOS.prefLabel)) for place, code in graph[: rdflib.SKOS.notation :]
    }
    older = [row for row in TABLE.on(BEFORE) if row.nis in named]
    assert len(older) > 590
    assert not [row.id for row in older if named[row.nis] != row.name]
    listed = {line[-5:] for line in (folder / "nuts-lau-codes.csv").read_text().split()}
    flemish = {code for code in listed if code[:1] in set("1347") or code[:2] in {"23", "24"}}
    assert {row.nis for row in TABLE.on(TODAY)} == flemish
