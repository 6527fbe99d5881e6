"""Streams through a mapping alone: its properties by path, the same values on every reading, versions in their order."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from adapters import ldes
from adapters.mapped import Mapped, build, load_mapping
from adapters.sdk import Broken, Change
from broker.errors import Invalid, MappingRefused
from tests.unit.adapters.loopback import Reply, serving
from tests.unit.adapters.test_ldes import BASE, PREFIXES, member, node, site
from tests.unit.adapters.wiring import schema

HEAD = """\
adapter: stroom
product: %s
organisation: gipod
source:
  kind: ldes
  %s
  prefixes:
    m: https://data.vlaanderen.be/ns/mobiliteit#
    prov: http://www.w3.org/ns/prov#
    dct: http://purl.org/dc/terms/
    dc: http://purl.org/dc/elements/1.1/
    adms: http://www.w3.org/ns/adms#
    skos: http://www.w3.org/2004/02/skos/core#
    rdf: http://www.w3.org/1999/02/22-rdf-syntax-ns#
    gipod: https://gipod.vlaanderen.be/ns/gipod#
    locn: http://www.w3.org/ns/locn#
    geo: http://www.opengis.net/ont/geosparql#
    m8g: http://data.europa.eu/m8g/
    adres: https://data.vlaanderen.be/ns/adres#
    generiek: https://data.vlaanderen.be/ns/generiek#
id: .
recordedAt: prov:generatedAtTime
%s
fields:
"""
HINDRANCE = """\
  identificator: dct:isVersionOf
  versie: .
  gipodId: gipod:gipodId
  gebeurtenis: adms:versionNotes
  omschrijving: {from: dct:description, trim: false}
  status.iri: m:Inname.status
  status.omschrijving: m:Inname.status/skos:prefLabel
  aangemaakt: dct:created
  gewijzigd: dct:modified
  beheerder.iri: [m:beheerder/dct:isVersionOf, m:beheerder]
  beheerder.naam: m:beheerder/skos:prefLabel
  aangemaaktDoor.iri: [dc:creator/dct:isVersionOf, dc:creator]
  aangemaaktDoor.naam: dc:creator/skos:prefLabel
  gewijzigdDoor.iri: [dc:contributor/dct:isVersionOf, dc:contributor]
  gewijzigdDoor.naam: dc:contributor/skos:prefLabel
  contactorganisaties: {each: m:contactOrganisatie, fields: {iri: dct:isVersionOf, naam: skos:prefLabel}}
  perioden: {each: m:periode, fields: {begin: m8g:startTime, einde: m8g:endTime}}
  zones:
    each: m:zone
    fields:
      iri: .
      type: m:Zone.type
      geometrie: locn:geometry/geo:asWKT
      gevolgen: {each: m:gevolg, fields: {iri: ., omschrijving: skos:prefLabel}}
  oorzaken: {each: ^m:Inname.heeftGevolg, fields: {iri: ., soort: rdf:type}}
"""
KIND = """\
kind:
  from: adms:versionNotes
  codes: {"": snapshot, MobilityHindranceWasImportedFromLegacy: snapshot, MobilityHindranceWasRegistered: added}
  default: changed
"""
SMALL = """\
  identificator: dct:isVersionOf
  versie: .
  omschrijving: %s
  contactorganisaties: {const: []}
  perioden: %s
  zones: {const: []}
  oorzaken: {const: []}
"""
ADDRESS = """\
  identificator: dct:isVersionOf
  objectId: generiek:lokaleIdentificator
  status: {from: adres:Adres.status/skos:notation, codes: {inGebruik: inGebruik, voorgesteld: voorgesteld}}
  officieelToegekend: adres:officieelToegekend
  huisnummer: adres:huisnummer
  busnummer: adres:busnummer
  straat.iri: adres:heeftStraatnaam
  straat.naam: adres:heeftStraatnaam/adres:straatnaam@nl
  gemeente.nis: {from: adres:heeftGemeentenaam/skos:notation, identifier: nis}
  gemeente.naam: adres:heeftGemeentenaam/adres:gemeentenaam@nl
  postinfo.postcode: adres:heeftPostinfo/adres:postcode
  toegekendAan: {const: []}
"""
MORE = f"""; adms:versionNotes "MobilityHindranceWasRegistered" ; dct:description "Werken in de Nevelhertendreef" ;
  gipod:gipodId "17" ; <https://data.vlaanderen.be/ns/mobiliteit#Inname.status> <{BASE}/status/vergund> ;
  m:beheerder [ dct:isVersionOf <{BASE}/organisatie/1> ; skos:prefLabel "Stad Gent" ] ;
  m:contactOrganisatie [ dct:isVersionOf <{BASE}/organisatie/2> ; skos:prefLabel "b" ] ,
    [ dct:isVersionOf <{BASE}/organisatie/3> ; skos:prefLabel "a" ] ;
  m:periode [ m8g:startTime "2026-03-01" ; m8g:endTime "2026-03-02" ] , [ m8g:startTime "2026-02-01" ] ;
  m:zone <{BASE}/zone/1>"""
AROUND = f"""<{BASE}/zone/1> <https://data.vlaanderen.be/ns/mobiliteit#Zone.type> <{BASE}/type/hinder> ;
  locn:geometry [ geo:asWKT "POINT (1 2)" ] ; m:gevolg <{BASE}/gevolg/1> .
  <{BASE}/gevolg/1> skos:prefLabel "Geen doorgang" . <{BASE}/status/vergund> skos:prefLabel "Vergund" .
  <{BASE}/werk/1> a m:Werk ; <https://data.vlaanderen.be/ns/mobiliteit#Inname.heeftGevolg> <{BASE}/1/1> ."""
Make = Callable[..., Mapped]


@pytest.fixture
def adapter(tmp_path: Path) -> Make:
    (tmp_path / "bron").mkdir()

    def make(rules: str, place: str = "path: bron", more: str = "", product: str = "hinder.v1") -> Mapped:
        (tmp_path / "mapping.yaml").write_text(HEAD % (product, place, more) + rules)
        return build(load_mapping(tmp_path, schema), None)

    return make


@pytest.fixture
def written(tmp_path: Path) -> Callable[..., None]:
    def write(text: str, name: str = "a.ttl") -> None:
        (tmp_path / "bron" / name).write_text(PREFIXES + text)

    return write


def small(rule: str = "dct:description", perioden: str = "{const: []}") -> str:
    return SMALL % (rule, perioden)


def told(items: list[tuple[Any, str]]) -> list[Any]:
    return [
        item.value["omschrijving"]
        if isinstance(item, Change) and item.value is not None
        else getattr(item, "reason", None)
        for item, _ in items
    ]


async def test_a_mapping_alone_makes_of_gipods_stream_what_our_program_does(
    adapter, written, drain, tmp_path, roundtrip
) -> None:
    written(member(1, more=MORE) + AROUND + member(2) + member(2, "2", at="2026-01-02T10:00:00Z"))
    ours = [roundtrip(item) for item, _ in await drain(ldes.build(str(tmp_path / "bron")))]
    theirs = [roundtrip(item) for item, _ in await drain(adapter(HINDRANCE, more=KIND))]
    assert [value["kind"] for value in theirs] == ["added", "snapshot", "snapshot"]

    assert [in_order(value) for value in theirs] == [in_order(value) for value in ours]


async def test_so_it_does_of_all_real_hindrances(adapter, drain, shared_data, roundtrip) -> None:
    source = str(shared_data / "gipod_ldes" / "mobility-hindrances.members.ttl")
    ours = [roundtrip(item) for item, _ in await drain(ldes.build(source))]
    made = adapter(HINDRANCE, more=KIND, place="path: bron\n  member: m:Mobiliteitshinder")
    theirs = [roundtrip(item) for item, _ in await drain(build(made.mapping, source))]
    assert len(theirs) == 125
    assert [in_order(value) for value in theirs] == [in_order(value) for value in ours]


def in_order(value: dict[str, Any]) -> dict[str, Any]:
    """The value with its sets in one order."""
    return {name: sorted(map(str, each)) if isinstance(each, list) else each for name, each in value.items()}


async def test_addresses_of_another_stream_are_a_mapping_too(adapter, written, drain, roundtrip) -> None:
    space = "https://data.vlaanderen.be/id/adres"
    written(f"""@prefix adres: <https://data.vlaanderen.be/ns/adres#> .
      @prefix xsd: <http://www.w3.org/2001/XMLSchema#> .
      <https://gent.example/stroom> tree:member <{space}/1/v1> .
      <{space}/1/v1> dct:isVersionOf <{space}/1> ; prov:generatedAtTime "2026-01-01T10:00:00+01:00"^^xsd:dateTime ;
        <https://data.vlaanderen.be/ns/generiek#lokaleIdentificator> 1 ; adres:officieelToegekend true ; adres:huisnummer "7" ;
        <https://data.vlaanderen.be/ns/adres#Adres.status> [ skos:notation "inGebruik" ] ;
        adres:heeftStraatnaam <https://gent.example/straat/1> ; adres:heeftPostinfo [ adres:postcode "9000" ] ;
        adres:heeftGemeentenaam [ skos:notation "44021" ; adres:gemeentenaam "Gand"@fr , "Gent"@nl-BE ] .
      <https://gent.example/straat/1> adres:straatnaam "Nevelhertendreef"@nl .""")
    [(item, _)] = await drain(adapter(ADDRESS, product="adres.v1"))
    value = roundtrip(item)
    assert (value["identificator"], value["objectId"], value["huisnummer"]) == (f"{space}/1", "1", "7")
    assert (value["straat"]["naam"], value["gemeente"]["naam"], value["gemeente"]["nis"]) == (
        "Nevelhertendreef",
        "Gent",
        "44021",
    )
    assert (value["officieelToegekend"], value["postinfo"]["postcode"]) == (True, "9000")


PATHS = [
    ("literal", 'dct:description "a"', "dct:description", "a"),
    ("iri-written-out", 'dct:description "a"', "<http://purl.org/dc/terms/description>", "a"),
    ("typed", 'dct:description "1"^^<http://www.w3.org/2001/XMLSchema#integer>', "dct:description", "1"),
    ("iri", "dct:description <urn:a>", "dct:description", "urn:a"),
    ("language", 'dct:description "a"@nl , "b"@fr', "dct:description@nl", "a"),
    ("language-of-a-region", 'dct:description "a"@nl-BE , "b"@fr', "dct:description@nl", "a"),
    ("another-language", 'dct:description "b"@fr', "dct:description@nl", None),
    ("alternatives", 'dct:description "b"@fr', '["dct:description@nl", "dct:description@fr"]', "b"),
    ("either-generation-of-a-term", 'm:oud "b"', '["m:nieuw", "m:oud"]', "b"),
    ("several", 'dct:description "a"@nl , "b"@fr', "dct:description", "VALUE_NOT_TEXT"),
    ("the-same-twice", 'm:a <urn:x> , <urn:y> . <urn:x> dct:description "a" . <urn:y> dct:description "a"', "m:a/dct:description", "a"),
    ("nested", 'm:a [ m:b [ dct:description "a" ] ]', "m:a/m:b/dct:description", "a"),
    ("blank-node", "m:a [ m:b 1 ]", "m:a", "VALUE_NOT_TEXT"),
    ("inverse", 'm:z 1 . <urn:x> m:of <%s/1/1> ; dct:description "a"', "^m:of/dct:description", "a"),
    ("list", 'm:a ( "a" )', "m:a", "a"),
    ("empty-list", "m:a ( )", "m:a", None),
    ("not-there", "m:a 1", "m:b/m:c", None),
]  # fmt: skip


@pytest.mark.parametrize(("said", "rule", "expected"), [pytest.param(*case[1:], id=case[0]) for case in PATHS])
async def test_a_path_is_properties_as_sparql_writes_them(adapter, written, drain, said, rule, expected) -> None:
    written(member(1, more=f"; {said.replace('%s', BASE)}"))
    assert told(await drain(adapter(small(rule)))) == [expected]


async def test_a_list_keeps_its_order_and_a_set_has_one_of_its_own(adapter, written, drain) -> None:
    written(member(1, more='; m:periode ( [ m8g:startTime "3" ] [ m8g:startTime "1" ] [ m8g:startTime "2" ] )'))
    source = adapter(small(perioden="{each: m:periode, fields: {begin: m8g:startTime}}"))
    [(item, _)] = await drain(source)
    assert [period["begin"] for period in item.value["perioden"]] == ["3", "1", "2"]
    blank = " , ".join(f'[ m8g:startTime "{number}" ]' for number in (3, 1, 2, 5, 4))
    written(member(1, more=f"; m:periode {blank}"))
    readings = [(await drain(source))[0][0].value["perioden"] for _ in range(5)]
    assert all(reading == readings[0] for reading in readings), "blank nodes have another name each time"
    loop = f'; m:periode _:a . _:a <{RDF}first> [ m8g:startTime "1" ] ; <{RDF}rest> _:a'
    written(member(1, more=loop))
    assert len((await drain(source))[0][0].value["perioden"]) == 1


RDF = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"


async def test_what_is_no_member_or_cannot_be_read_says_why(adapter, written, drain) -> None:
    written(member(1, at="gisteren") + member(2, more='; dct:description "a"'), "a.ttl")
    written("<https://gent.example/s> tree:member <https://gent.example/elders> .", "b.ttl")
    written("dit is geen turtle", "c.ttl")
    written("", "d.ttl")
    items = await drain(adapter(small()))
    assert sorted(map(str, told(items))) == [
        "EMPTY_DOCUMENT",
        "MEMBER_INCOMPLETE",
        "RDF_MALFORMED",
        "TIME_INVALID",
        "a",
    ]
    assert {item.product for item, _ in items if isinstance(item, Broken) and item.reason != "RDF_MALFORMED"} == {
        "hinder.v1"
    }


async def test_a_stream_is_followed_and_its_versions_come_in_order(adapter, drain) -> None:
    later, earlier = "2026-02-01T00:00:00Z", "2026-01-01T00:00:00Z"
    gone = f"""<{BASE}/3/9> a <https://www.w3.org/ns/activitystreams#Delete> ; dct:isVersionOf <{BASE}/3> ;
      prov:generatedAtTime "{later}" ."""
    first = Reply(
        (PREFIXES + member(1, at=later, more='; dct:description "a"') + member(3, more='; dct:description "c"')
         + "<> tree:relation [ tree:node </2> ] .").encode(),
        headers={"content-type": "text/turtle"},
    )  # fmt: skip
    second = Reply(
        (PREFIXES + member(1, "0", at=earlier, more='; dct:description "oud"') + member(1, at=later) + gone).encode(),
        headers={"content-type": "text/turtle"},
    )
    async with serving(site({"/": first, "/2": second})) as server:
        source = adapter(small(), place=f"url: {server.origin}/\n  member: m:Mobiliteitshinder")
        items = await drain(source)
        assert told(items) == ["c", "a", "VERSION_SUPERSEDED", "MEMBER_REPEATED", None]
        last = items[-1][0]
        assert (last.value, last.subject) == (None, f"{BASE}/3")
        asked = len(server.asked)
        again = await drain(source, items[1][1])
        assert "/" not in [each.path for each in server.asked[asked:]], "a page that leads on is not read again"
        assert len(again) == 3
        changed = adapter(small("dct:title"), place=f"url: {server.origin}/\n  member: m:Mobiliteitshinder")
        assert len(await drain(changed, items[-1][1])) == 5, "another mapping reads everything again"


async def test_the_streams_members_are_those_that_it_names(adapter, drain) -> None:
    text = f"<{BASE}/s> tree:member <{BASE}/1/1> . {member(1)} {member(2)}"
    page = Reply((PREFIXES + text).encode(), headers={"content-type": "text/turtle"})
    async with serving(site({"/": page})) as server:
        items = await drain(adapter(small(), place=f"url: {server.origin}/"))
    assert [item.source_id for item, _ in items] == [f"{BASE}/1/1"]


async def test_a_credential_comes_from_the_environment_and_stays_out_of_the_file(adapter, drain, monkeypatch) -> None:
    async with serving(site({"/": node(1)})) as server:
        place = f"url: {server.origin}/\n  authorization: {{env: STROOM_SLEUTEL}}"
        with pytest.raises(Invalid, match="STROOM_SLEUTEL"):
            adapter(small(), place=place).findings()
        monkeypatch.setenv("STROOM_SLEUTEL", "Bearer geheim")
        await drain(adapter(small(), place=place))
        assert server.asked[0].headers["authorization"] == "Bearer geheim"


@pytest.mark.parametrize(
    ("rule", "place", "more", "expected"),
    [
        ("x:titel", "path: bron", "", "say which namespace `x:` stands for"),
        ("titel", "path: bron", "", "a path is `.`, or properties"),
        ("dct:a//dct:b", "path: bron", "", "a path is `.`, or properties"),
        ("dct:a@nl/dct:b", "path: bron", "", "a language stands at the end"),
        ("dct:a|dct:b", "path: bron", "", "steps are joined by"),
        ("dct:description", "path: bron\n  url: https://gent.example/", "", "state one of them"),
        ("dct:description", "path: bron\n  member: Werk", "", "a path is `.`, or properties"),
        ("dct:description", "path: bron\n  member: m:a/m:b", "", "is a class"),
        ("dct:description", "url: http://gent.example/\n  authorization: {env: X}", "", "https only"),
        ("dct:description", "url: https://gent.example/\n  authorization: geheim", "", "`authorization`"),
        ("dct:description", "path: bron", "snapshot: true", "never a whole population"),
    ],
)
def test_what_is_wrong_with_the_words_is_told_with_its_line(adapter, rule, place, more, expected) -> None:
    with pytest.raises(MappingRefused) as refused:
        adapter(small(rule), place, more)
    assert [
        found for found in refused.value.findings if expected in found[2] and found[0] > 1 and "geheim" not in found[2]
    ]


async def test_who_looks_inside_sees_the_members(adapter, written) -> None:
    written(member(1, more='; dct:description "a"'))
    written("geen turtle", "b.ttl")
    source = adapter(small())
    [row] = [row async for row in source.rows()]
    assert (source.mapping.paths.one("dct:description")(row), str(row)) == ("a", f"{BASE}/1/1")
    async with serving(site({"/": node(1, 2)})) as server:
        source = adapter(small(), place=f"url: {server.origin}/\n  member: m:Mobiliteitshinder")
        assert len([row async for row in source.rows()]) == 2
